package mappings

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/mappings/schema"
)

// Assemble makes the resource that slots come to: the elements in the order of
// the specification, the values of a repeating one in the order of the rows.
func (s Slots) Assemble(typ, id string) ([]byte, error) {
	t := schema.Lookup(typ)
	if t == nil {
		return nil, fmt.Errorf("mappings: slots of a %q, which mappings do not make", typ)
	}
	root := &part{typ: t}
	root.at(t.Element("id")).leaf(&Slot{Values: []json.RawMessage{quote(id)}})
	contained := map[string]*Slot{}
	for _, slot := range s.holding() {
		p := root
		for _, name := range strings.Split(slot.Element, ".") {
			e := p.typ.Element(name)
			if e == nil {
				return nil, fmt.Errorf("mappings: %s has no element %q, which a slot names", typ, slot.Element)
			}
			if p = p.at(e); e.Kind == schema.Complex {
				p.typ = e.Type()
			}
		}
		p.leaf(slot)
		for _, c := range slot.Contained {
			if old := contained[idOf(c)]; old == nil || slot.newer(old) {
				contained[idOf(c)] = slot
			}
		}
	}
	root.contain(s.holding(), contained)
	return root.append(nil), nil
}

// holding lists the slots whose values count, in the order of the rows.
func (s Slots) holding() []*Slot {
	var out []*Slot
	stated := ""
	for i := range s { // a default follows what is stated of its slot
		slot := &s[i]
		if slot.Deleted() || slot.label() && s.lifted(slot) || slot.Default && stated == slot.Name {
			continue
		}
		if !slot.Default {
			stated = slot.Name
		}
		out = append(out, slot)
	}
	slices.SortStableFunc(out, func(a, b *Slot) int { return a.Place - b.Place })
	return out
}

func (s *Slot) newer(t *Slot) bool {
	if s.Version != t.Version {
		return s.Version > t.Version
	}
	return s.Digest > t.Digest
}

// A part is an element of a resource that is put together.
type part struct {
	element *schema.Element
	typ     *schema.Type // of a Complex element and of the resource
	values  []json.RawMessage
	absent  string
	by      *Slot
	below   []*part
}

// at finds or makes the part for an element, in the specification's order.
func (p *part) at(e *schema.Element) *part {
	i, found := slices.BinarySearchFunc(p.below, e.Index, func(q *part, index int) int { return q.element.Index - index })
	if !found {
		p.below = slices.Insert(p.below, i, &part{element: e})
	}
	return p.below[i]
}

// leaf takes a slot's values. Two slots for one element that does not repeat are
// of two versions of a mapping: the newer counts.
func (p *part) leaf(s *Slot) {
	if !p.element.Repeats {
		if p.by == nil || s.newer(p.by) {
			p.values, p.absent, p.by = s.Values, s.Absent, s
		}
		return
	}
	for _, v := range s.Values {
		same := func(old json.RawMessage) bool { return string(old) == string(v) }
		if p.typ != nil && p.typ.Name == "Coding" && slices.ContainsFunc(p.values, same) {
			continue
		}
		p.values = append(p.values, v)
	}
}

// contain adds the contained resources, each as its newest slot has it.
func (p *part) contain(slots []*Slot, by map[string]*Slot) {
	if len(by) == 0 {
		return
	}
	to := p.at(p.typ.Element("contained"))
	for _, slot := range slots {
		for _, c := range slot.Contained {
			if by[idOf(c)] == slot {
				to.values = append(to.values, c)
				delete(by, idOf(c))
			}
		}
	}
}

func idOf(raw json.RawMessage) string {
	var r struct {
		ID string `json:"id"`
	}
	_ = json.Unmarshal(raw, &r) // what mappings made is JSON
	return r.ID
}

// append writes an object.
func (p *part) append(out []byte) []byte {
	out = append(out, '{')
	first := true
	name := func(n string) {
		if !first {
			out = append(out, ',')
		}
		first = false
		out = append(append(append(out, '"'), n...), '"', ':')
	}
	if p.typ.Resource {
		name("resourceType")
		out = append(out, quote(p.typ.Name)...)
	}
	for i, q := range p.below {
		e := q.element
		switch {
		case i > 0 && p.below[i-1].absent != "" && e.Name == schema.Twin(p.below[i-1].element.Name):
		case q.absent != "":
			name(schema.Twin(e.Name))
			var twin []byte
			if i+1 < len(p.below) && p.below[i+1].element.Name == schema.Twin(e.Name) {
				twin = p.below[i+1].append(nil)
			}
			out = append(out, schema.Absent(q.absent, twin)...)
		case len(q.values) > 0 && e.Repeats:
			name(e.Name)
			out = append(out, '[')
			for i, v := range q.values {
				if i > 0 {
					out = append(out, ',')
				}
				out = append(out, v...)
			}
			out = append(out, ']')
		case len(q.values) > 0:
			name(e.Name)
			out = append(out, q.values[len(q.values)-1]...)
		case len(q.below) > 0:
			name(e.Name)
			out = q.append(out)
		}
	}
	return append(out, '}')
}

package mappings

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/mappings/schema"
	"github.com/handoff-health/handoff/mappings/tree"
)

// A draft is a slot while rows are evaluated.
type draft struct {
	slotName
	element string
	values  []json.RawMessage
	absent  string
	refs    []*plan // contained resources that the values refer to
	weak    *draft  // its default
	emptied bool
	cut     bool // emptied by delete: no row fills it
	label   bool
}

func (p *plan) draft(r *row) *draft {
	for _, d := range p.drafts {
		if d.name == r.slot.name {
			return d
		}
	}
	d := &draft{slotName: r.slot, element: r.element()}
	d.label = strings.HasPrefix(d.element, "meta.security")
	p.drafts = append(p.drafts, d)
	return d
}

// slots evaluates the rows of a resource that is merged: first what they state,
// then the defaults of slots that none states.
func (r *run) slots(p *plan) (missing *row, err error) {
	for _, weak := range []bool{false, true} {
		for _, row := range p.rule.rows {
			if row.weak != weak {
				continue
			}
			if r.steps++; r.steps > maxSteps {
				return nil, fmt.Errorf("%w: over %d steps", ErrLimit, maxSteps)
			}
			d := p.draft(row)
			if weak && d.stated() {
				continue
			}
			set, err := r.slotRow(p, row, d)
			if err != nil {
				return nil, err
			}
			if !set && row.required && missing == nil {
				missing = row
			}
		}
	}
	return missing, nil
}

func (d *draft) stated() bool { return len(d.values) > 0 || d.absent != "" }

// slotRow evaluates one row and notes what it made, or that it is emptied.
func (r *run) slotRow(p *plan, row *row, d *draft) (set bool, err error) {
	if row.cut != nil {
		holds, err := r.evalBool(row.cut)
		if err != nil {
			return false, err
		}
		d.cut = d.cut || holds
	}
	if d.cut {
		return false, nil
	}
	r.refs = r.refs[:0]
	before := 0
	if at := r.peek(row, p.object); at != nil && row.target.Repeats {
		before = at.Len(row.target.Name)
	}
	if set, _, err = r.row(row, p.object, p.trace, ""); err != nil {
		return false, err
	}
	weak := r.weak || row.weak
	if !set || weak {
		d.emptied = d.emptied || r.emptied(row, d.label)
	}
	if !set {
		return false, nil
	}
	values, absent := r.peek(row, p.object).Values(row.target.Name, before)
	if d.label || len(values) == 0 && absent == "" { // a Coding that another row has made too is of this slot as well
		alone := schema.New(p.rule.typ)
		if _, _, err := r.row(row, alone, p.trace, ""); err != nil {
			return false, err
		}
		values, absent = r.peek(row, alone).Values(row.target.Name, 0)
	}
	to := d
	if weak {
		if d.weak == nil {
			d.weak = &draft{slotName: d.slotName}
		}
		to = d.weak
	}
	to.take(row, values, absent, r.refs)
	return true, nil
}

func (d *draft) take(row *row, values [][]byte, absent string, refs []*plan) {
	if d.element, d.absent = row.element(), absent; !row.target.Repeats {
		d.values = nil
	}
	for _, v := range values {
		d.values = append(d.values, v)
	}
	d.refs = append(d.refs, refs...)
}

// peek is the object that holds the row's target; nil if nothing made it.
func (r *run) peek(row *row, o *schema.Object) *schema.Object {
	for _, e := range row.chain {
		if !o.Has(e.Name) {
			return nil
		}
		o = o.Child(e)
	}
	return o
}

// emptied says that the record empties a field that the row is about. A label
// goes only if every such field is emptied: the others may say it still.
func (r *run) emptied(row *row, label bool) bool {
	for _, p := range row.paths {
		for _, n := range r.find(p) {
			if n.Null && !label {
				return true
			}
		}
	}
	about := row.slot.paths
	if label {
		return len(about) > 0 && !slices.ContainsFunc(about, func(p *recordPath) bool { return !r.null(p) })
	}
	return slices.ContainsFunc(about, r.null)
}

// null says that a field is there and emptied, in all its repetitions.
func (r *run) null(p *recordPath) bool {
	if p == nil {
		return false
	}
	nodes := r.find(p)
	return len(nodes) > 0 && !slices.ContainsFunc(nodes, func(n *tree.Node) bool { return !n.Null })
}

// said lists what the record says about a resource.
func (r *run) said(p *plan) Slots {
	snapshot := !r.m.updates[r.rec.Kind]
	out := make(Slots, 0, len(p.drafts))
	for _, d := range p.drafts {
		s := Slot{Name: d.name, Place: d.place, Element: d.element}
		switch {
		case d.cut || !d.stated() && d.emptied, snapshot && !d.stated() && !d.label:
			out = append(out, s)
		case d.stated() && d.label:
			s = r.filled(s, d)
			out = append(out, s.labels()...)
		case d.stated():
			out = append(out, r.filled(s, d))
		}
		if d.weak != nil && (d.cut || !d.stated()) {
			s.Default = true
			s.Element = d.weak.element
			out = append(out, r.filled(s, d.weak))
		}
	}
	out.sort()
	return out
}

// lacks names a required element that no slot fills.
func (s Slots) lacks(typ *schema.Type) string {
	for _, e := range typ.Elements {
		if e.Required && !slices.ContainsFunc(s, func(t Slot) bool {
			return !t.Deleted() && (t.Element == e.Name || strings.HasPrefix(t.Element, e.Name+"."))
		}) {
			return e.Name
		}
	}
	return ""
}

func (r *run) filled(s Slot, d *draft) Slot {
	s.Values, s.Absent = d.values, d.absent
	for _, p := range d.refs {
		s.Contained = append(s.Contained, p.object.Append(nil))
	}
	return s
}

func quote(s string) json.RawMessage { return resource.Quote(s) }

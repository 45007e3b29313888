package mappings

import (
	"reflect"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/mappings/schema"
)

// A slotName says which slot a row sets.
type slotName struct {
	name  string
	place int
	about []string      // the fields whose `""` empties it
	paths []*recordPath // of about; nil for one that is no path
}

// loadUpdate reads which records say only what changes: `update: merge`, or the
// list of their kinds. The other kinds of such a mapping are snapshots: they
// state every slot.
func (c *compiler) loadUpdate(root *node) {
	n := root.get("update")
	if n == nil {
		return
	}
	c.m.updates = map[string]bool{}
	if n.kind == yamlScalar && n.text == "merge" {
		for _, k := range c.m.kinds {
			c.m.updates[k] = true
		}
		return
	}
	if n.kind != yamlMap || !n.strict("update", "merge") {
		n.errorf("update is merge, or merge: with a list of kinds")
		return
	}
	for _, k := range n.list("merge") {
		if !slices.Contains(c.m.kinds, k.text) {
			k.errorf("unknown kind %q%s", k.text, didYouMean(k.text, c.m.kinds))
		}
		c.m.updates[k.text] = true
	}
}

// compileSlot reads the keys of a row that are about its slot.
func (c *compiler) compileSlot(r *row, n *node, s scope) {
	for _, k := range []string{"name", "delete", "default"} {
		if at := n.get(k); at != nil && r.only == nil {
			r.only = at
		}
	}
	r.slot.name = n.string("name", false)
	r.weak = n.bool("default")
	if d := n.get("delete"); d != nil {
		r.cut = c.compileExpr(d, s, reflect.Bool)
	}
}

// noSlots refuses keys about slots where rows are none.
func (c *compiler) noSlots(rows []*row) {
	for _, r := range rows {
		if r.only != nil {
			r.only.errorf("name, delete and default are for the rows of a resource itself, in a mapping with update: merge")
		}
	}
}

// nameSlots names the slots of a rule's rows. Consent and Provenance have none:
// see Resource.Slots.
func (c *compiler) nameSlots(r *rule, number int, n *node) {
	r.merges = c.m.updates != nil && r.contained == "" && !r.stub && r.typ.Name != "Consent" && r.typ.Name != "Provenance"
	if !r.merges {
		c.noSlots(r.rows)
		return
	}
	for i, row := range r.rows {
		row.slot.place = number*1000 + i
		row.slot.about = c.about(row)
		for _, f := range row.slot.about {
			p, err := c.m.shape.parsePath(f, place{})
			if err != nil {
				p = nil
			}
			row.slot.paths = append(row.slot.paths, p)
		}
		if row.slot.name == "" {
			row.slot.name = row.naturalSlot(r.typ)
		}
		if row.absent != nil && row.target.Repeats {
			n.errorf("%s repeats: absent cannot be merged", row.to)
		}
		for _, other := range r.rows[:i] {
			a, b := row.element()+".", other.element()+"."
			if a != b && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a)) {
				n.errorf("the rows for %s and %s set the same element: a slot cannot lie in another", other.to, row.to)
			}
		}
	}
}

// element is the path of the target below the resource.
func (r *row) element() string {
	var names []string
	for _, e := range r.chain {
		names = append(names, e.Name)
	}
	return strings.Join(append(names, r.target.Name), ".")
}

// naturalSlot is the element; of a choice without its type; of a repeating
// element with what it is made from.
func (r *row) naturalSlot(typ *schema.Type) string {
	element := r.element()
	if r.target.Repeats {
		if url := r.extensionURL(); url != "" {
			return element + ":" + url
		}
		from := r.refers()
		if len(from) == 0 {
			from = r.slot.about
		}
		return element + "<" + strings.Join(from, ",")
	}
	if len(r.chain) > 0 {
		typ = r.chain[len(r.chain)-1].Type()
	}
	if base := choice(typ, r.target.Name); base != "" {
		return strings.TrimSuffix(element, r.target.Name) + base + "[x]"
	}
	return element
}

func (r *row) extensionURL() string {
	if r.target.Kind != schema.Complex || r.target.Type().Name != "Extension" {
		return ""
	}
	for _, n := range r.rows {
		if n.to == "url" && len(n.texts) == 1 {
			return n.texts[0]
		}
	}
	return ""
}

var choiceTypes = []string{"Boolean", "Integer", "Decimal", "String", "DateTime", "Date", "Instant", "Time", "Period", "Range", "Ratio",
	"Quantity", "Age", "CodeableConcept", "Coding", "Reference", "SampledData", "Timing", "Uri", "Code", "Identifier", "Attachment"}

// choice is the common name of a choice of types, "deceased" of deceasedBoolean
// and deceasedDateTime; "" if the element is no choice.
func choice(typ *schema.Type, name string) string {
	for _, suffix := range choiceTypes {
		base, ok := strings.CutSuffix(name, suffix)
		if !ok || base == "" {
			continue
		}
		for _, other := range choiceTypes {
			if other != suffix && typ.Element(base+other) != nil {
				return base
			}
		}
	}
	return ""
}

// refers lists the resources that the row and those below it refer to.
func (r *row) refers() []string {
	var out []string
	if r.source == fromRef {
		out = append(out, r.ref)
	}
	if r.source == fromRows {
		for _, n := range r.rows {
			out = append(out, n.refers()...)
		}
	}
	return out
}

// about lists the fields that a row is about: those that its value is made from
// (of nested rows the required ones, if any are), and of a contained resource
// that it refers to those that make it; only where there are none, those of its
// condition. The header of a message and what reusable datatypes read are not
// among them.
func (c *compiler) about(r *row) []string {
	out := r.sources()
	for _, local := range r.refers() {
		for _, rule := range c.m.rules {
			if rule.local == local && rule.contained != "" {
				out = append(out, sources(rule.rows)...)
			}
		}
	}
	header := func(f string) bool { return strings.HasPrefix(f, "MSH-") }
	if out = slices.DeleteFunc(out, header); len(out) == 0 && r.when != nil {
		out = slices.DeleteFunc(slices.Clone(r.when.about), header)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (r *row) sources() []string {
	var out []string
	for _, p := range r.paths {
		out = p.noteField(out)
	}
	out = r.over.noteField(out)
	for _, p := range []*program{r.expr, r.foreach} {
		if p != nil {
			out = append(out, p.about...)
		}
	}
	if r.source == fromRows {
		out = append(out, sources(r.rows)...)
	}
	return out
}

func sources(rows []*row) []string {
	var all, required []string
	for _, r := range rows {
		all = append(all, r.sources()...)
		if r.required {
			required = append(required, r.sources()...)
		}
	}
	if slices.ContainsFunc(rows, func(r *row) bool { return r.required }) {
		return required
	}
	return all
}

package mappings

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/mappings/schema"
	"github.com/handoff-health/handoff/mappings/tree"
)

// A slotName says which slot a row sets.
type slotName struct {
	name  string
	place int
	about []string // the fields whose `""` empties it
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
func (c *compiler) nameSlots(r *rule, place int, n *node) {
	r.merges = c.m.updates != nil && r.contained == "" && !r.stub && r.typ.Name != "Consent" && r.typ.Name != "Provenance"
	if !r.merges {
		c.noSlots(r.rows)
		return
	}
	for i, row := range r.rows {
		row.slot.place = place*1000 + i
		row.slot.about = c.about(row)
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
	if len(values) == 0 && absent == "" { // a Coding that another row has made too
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
	about := row.slot.about
	null := func(f string) bool { return r.null(f) }
	if label {
		return len(about) > 0 && !slices.ContainsFunc(about, func(f string) bool { return !null(f) })
	}
	return slices.ContainsFunc(about, null)
}

// null says that a field is there and emptied, in all its repetitions.
func (r *run) null(name string) bool {
	p, err := r.m.shape.parsePath(name, place{})
	if err != nil {
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

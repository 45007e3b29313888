package mappings

import (
	"fmt"

	"github.com/handoff-health/handoff/mappings/schema"
	"github.com/handoff-health/handoff/mappings/tree"
)

// trace notes where the values that a row has just made came from, one entry for
// each value. A row that has rows below it leaves the telling to them.
func (r *run) trace(row *row, o *schema.Object, made int, resource, prefix string) {
	if !r.opts.Trace || row.source == fromRows || row.source == fromDatatype {
		return
	}
	inputs := r.inputs(row)
	if !row.target.Repeats {
		r.note(resource, prefix+row.to, row, inputs)
		return
	}
	last := r.parent(row, o).Len(row.target.Name)
	for i := range made {
		from := inputs
		if len(r.used) == made { // one value for each node
			from = r.used[i : i+1]
		}
		r.note(resource, fmt.Sprintf("%s%s[%d]", prefix, row.to, last-made+i), row, from)
	}
}

func (r *run) note(resource, element string, row *row, inputs []tree.Position) {
	r.result.Trace = append(r.result.Trace, Trace{Resource: resource, Element: element, Row: row.at, Via: r.via, Inputs: append([]tree.Position(nil), inputs...)})
}

// inputs are the places that a row read: the nodes that gave its values, or what
// its expression names.
func (r *run) inputs(row *row) []tree.Position {
	if row.source == fromConstant {
		return nil
	}
	if len(r.used) > 0 {
		return r.used
	}
	fields := row.inputs()
	if len(fields) == 0 && row.source == fromExpr {
		fields = r.listed
	}
	var out []tree.Position
	for _, f := range fields {
		out = append(out, r.position(f))
	}
	if len(fields) == 0 && r.item != nil {
		out = append(out, r.place(r.item))
	}
	return out
}

// traceID tells what the logical id of a resource was made from.
func (r *run) traceID(p *plan) {
	t := Trace{Resource: p.trace, Element: "id", Row: p.rule.at}
	for _, of := range []*program{p.rule.system, p.rule.key} {
		for _, f := range of.fields {
			t.Inputs = append(t.Inputs, r.position(f))
		}
	}
	r.result.Trace = append(r.result.Trace, t)
}

package ingest

import (
	"context"
	"errors"
	"strings"

	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/part2"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

// origin is the origin of what one source record makes: the system's, and Part 2
// if the record's unit is a Part 2 unit or not known, or if the record says so
// itself: in a note, a segment of the site's own (ZPD, NTE), a column.
func (p *Pipeline) origin(m *flow.Mapped) resource.Origin {
	o := p.Origin
	if o.Part2 {
		return o
	}
	if rec := m.Item.Record; rec != nil && p.Units.Of(func(place string) []part2.Value { return valuesAt(rec, place) }) {
		o.Part2 = true
	}
	o.Part2 = o.Part2 || m.Item.Record == nil && !p.Units.Empty() || label.SaysPart2(m.Item.Raw)
	return o
}

// valuesAt lists what stands at a place of a record, once for each repetition:
// of a field of HL7 v2 ("PV1-3", "PV1-3.4"), or of a column.
func valuesAt(rec *tree.Record, place string) []part2.Value {
	if rec.Root == nil {
		return nil
	}
	segment, field, isField := strings.Cut(place, "-")
	var out []part2.Value
	if columns := rec.Root.All(place); len(columns) > 0 || !isField {
		for _, c := range columns {
			out = append(out, part2.Value{c.Value()})
		}
		return out
	}
	field, component, _ := strings.Cut(field, ".")
	for _, s := range rec.Root.All(segment) {
		for _, f := range s.All(field) {
			if component != "" {
				f = f.Part(component)
			}
			if f != nil {
				out = append(out, texts(f))
			}
		}
	}
	return out
}

// texts lists the texts of a field: its own, or those of its components.
func texts(n *tree.Node) part2.Value {
	if len(n.Children) == 0 {
		return part2.Value{n.Value()}
	}
	var out part2.Value
	for _, c := range n.Children {
		out = append(out, texts(c)...)
	}
	return out
}

// stayPart2 lets a resource that was stored as a Part 2 record stay one, whatever
// the record says that replaces it.
func (u *unit) stayPart2(ctx context.Context, i int) error {
	rec := &u.records[i]
	if rec.Origin.Part2 {
		return nil
	}
	head, err := u.p.Store.Read(ctx, rec.Key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	case !head.Origin.Part2:
		return nil
	}
	origin := rec.Origin
	origin.Part2 = true
	x := u.res.Resources[i]
	x.Raw = rec.Raw
	recs, problem := u.p.prepare(&mappings.Result{Resources: []mappings.Resource{x}}, origin, nil)
	if problem != nil {
		return errors.New(problem.Message)
	}
	*rec = recs[0]
	return nil
}

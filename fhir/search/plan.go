package search

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/store"
)

// Plan returns the search as data for a store. It finds every resource that
// Match accepts, also in a form from which whole elements were cut, and may
// find more. Limit is the page size, at least 1; After is left empty.
//
// Conditions that hold because something is absent (:not, :missing=true,
// deceased=false) cannot be told from the stored entries, since what is absent
// for the caller may be present in the store: for these the plan asks for all.
func (q *Query) Plan() store.Plan {
	p := store.Plan{Type: q.typ, Limit: max(q.count, 1)}
	var all []store.Expr
	for i := range q.criteria {
		if e := q.criteria[i].plan(q); e.Op != store.All {
			all = append(all, e)
		}
	}
	coarsen(all)
	switch len(all) {
	case 0:
		p.Where = store.Expr{Op: store.All}
	case 1:
		p.Where = all[0]
	default:
		p.Where = store.Expr{Op: store.And, Args: all}
	}
	for _, s := range q.sort {
		p.Sort = append(p.Sort, store.SortKey{Param: s.param.Name, Descending: s.descending})
	}
	return p
}

func (c *criterion) plan(q *Query) store.Expr {
	name := c.param.Name
	if c.modifier == "not" || c.modifier == "missing" || c.param.isDeceased() || slices.Contains(rendered, name) {
		return store.Expr{Op: store.All}
	}
	var any []store.Expr
	for _, v := range c.values {
		var e store.Expr
		if t, ok := v.(token); ok && name == store.ParamID {
			e = store.Expr{Op: store.Equal, Param: store.ParamID, Value: t.code}
		} else {
			e = v.plan(c.param, name, q)
		}
		switch e.Op {
		case store.All:
			return e
		case store.Or:
			any = append(any, e.Args...)
		default:
			any = append(any, e)
		}
	}
	if len(any) == 1 {
		return any[0]
	}
	return store.Expr{Op: store.Or, Args: any}
}

// Claim returns the string that a conditional create claims in the store, so
// that of several at once one wins: "Patient|identifier|system|value". ok is
// false unless the query is exactly one identifier with system and value.
func (q *Query) Claim() (claim string, ok bool) {
	if len(q.criteria) != 1 {
		return "", false
	}
	c := q.criteria[0]
	if c.param.Name != "identifier" || c.modifier != "" || len(c.values) != 1 {
		return "", false
	}
	t, ok := c.values[0].(token)
	if !ok || t.anySystem || t.anyCode || t.system == "" {
		return "", false
	}
	return strings.Join([]string{q.typ, "identifier", escape(t.system), escape(t.code)}, "|"), true
}

package sqlite

import (
	"slices"

	"github.com/handoff-health/handoff/fhir/store/plan"
)

// satisfies says in SQL that the resource h satisfies n. It looks entries up from
// the resource, so it costs a probe per parameter.
func satisfies(n *plan.Node) clause { return prober{rid: "h.rid"}.satisfies(n) }

// A prober says in SQL that a resource satisfies a condition.
type prober struct {
	rid    string                // names the resource; columns of head are those of h
	listed func(*plan.Node) bool // of which conditions all resources are listed, once, instead; nil: of none
}

func (p prober) satisfies(n *plan.Node) clause {
	switch n.Kind {
	case plan.Never:
		return clause{sql: "0"}
	case plan.All:
		return clause{sql: "1"}
	case plan.Not:
		c := p.satisfies(n.Args[0])
		return clause{"NOT (" + c.sql + ")", c.args}
	case plan.And, plan.Or:
		cs := make([]clause, len(n.Args))
		for i, a := range n.Args {
			cs[i] = p.satisfies(a)
		}
		return join(map[plan.Kind]string{plan.And: "AND", plan.Or: "OR"}[n.Kind], cs)
	case plan.Leaf:
	}
	if col := columnOf(n.Param); col != "" {
		return join("OR", alternatives(n.Spans, "h."+col, text))
	}
	if p.listed != nil && p.listed(n) {
		return p.among(n)
	}
	c := clause{"EXISTS (SELECT 1 FROM entry INDEXED BY entry_of WHERE rid = " + p.rid + " AND pid = ?", []any{n.Number}}
	if !slices.ContainsFunc(n.Spans, plan.Span.Everything) {
		in := join("OR", alternatives(n.Spans, "value", bytesOf))
		c.sql += " AND (" + in.sql + ")"
		c.args = append(c.args, in.args...)
	}
	c.sql += ")"
	return c
}

// among says that the resource is one of those that the entries of n's values name.
func (p prober) among(n *plan.Node) clause {
	in := join("OR", alternatives(n.Spans, "value", bytesOf))
	return clause{
		p.rid + " IN (SELECT rid FROM entry WHERE pid = ? AND (" + in.sql + "))",
		append([]any{n.Number}, in.args...),
	}
}

func text(v string) any    { return v }
func bytesOf(v string) any { return blob(v) }

// selects lists queries whose rows together are the numbers of the resources
// that satisfy n, found from its values. A resource may come more than once.
func selects(n *plan.Node, typ string) []clause {
	var out []clause
	if col := columnOf(n.Param); col != "" {
		index := map[string]string{"id": "head_key", "updated": "head_newest"}[col]
		for _, c := range alternatives(n.Spans, col, text) {
			out = append(out, clause{
				"SELECT rid FROM head INDEXED BY " + index + " WHERE type = ? AND deleted = 0 AND " + c.sql,
				append([]any{typ}, c.args...),
			})
		}
		return out
	}
	for _, c := range alternatives(n.Spans, "value", bytesOf) {
		out = append(out, clause{"SELECT rid FROM entry WHERE pid = ? AND " + c.sql, append([]any{n.Number}, c.args...)})
	}
	return out
}

package sqlite

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/store/plan"
)

// satisfies says in SQL that the resource h satisfies n. It looks entries up from
// the resource, so it costs a probe per parameter.
func satisfies(n *plan.Node) clause {
	switch n.Kind {
	case plan.Never:
		return clause{sql: "0"}
	case plan.All:
		return clause{sql: "1"}
	case plan.Not:
		c := satisfies(n.Args[0])
		return clause{"NOT (" + c.sql + ")", c.args}
	case plan.And, plan.Or:
		cs := make([]clause, len(n.Args))
		for i, a := range n.Args {
			cs[i] = satisfies(a)
		}
		return join(map[plan.Kind]string{plan.And: "AND", plan.Or: "OR"}[n.Kind], cs)
	case plan.Leaf:
	}
	if col := columnOf(n.Param); col != "" {
		return join("OR", alternatives(n.Spans, "h."+col, text))
	}
	c := clause{"EXISTS (SELECT 1 FROM entry INDEXED BY entry_of WHERE rid = h.rid AND pid = ?", []any{n.Number}}
	if !slices.ContainsFunc(n.Spans, plan.Span.Everything) {
		in := join("OR", alternatives(n.Spans, "value", bytesOf))
		c.sql += " AND (" + in.sql + ")"
		c.args = append(c.args, in.args...)
	}
	c.sql += ")"
	return c
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

// A driver is where a search starts: a set of candidates.
type driver struct {
	parts []clause
	nodes []*plan.Node // what the parts stand for
	size  int          // estimate of the candidates, capped
}

// distinct says whether no candidate can come twice: one value of one parameter.
func (d *driver) distinct() bool {
	return len(d.nodes) == 1 && len(d.parts) == 1 && len(d.nodes[0].Spans) == 1 && d.nodes[0].Spans[0].Equal
}

// table is the driver as the table d(rid), each candidate once.
func (d *driver) table() clause {
	var (
		sqls []string
		args []any
	)
	for _, p := range d.parts {
		sqls = append(sqls, p.sql)
		args = append(args, p.args...)
	}
	sql := strings.Join(sqls, " UNION ")
	if len(d.parts) == 1 && !d.distinct() {
		sql = strings.Replace(sql, "SELECT rid", "SELECT DISTINCT rid", 1)
	}
	return clause{"WITH d (rid) AS MATERIALIZED (" + sql + ") ", args}
}

// rest is what candidates of d must still satisfy: n without what d stands for.
func (d *driver) rest(n *plan.Node) *plan.Node {
	if len(d.nodes) != 1 {
		return n
	}
	if n == d.nodes[0] {
		return &plan.Node{Kind: plan.All}
	}
	if n.Kind != plan.And {
		return n
	}
	return plan.AllOf(slices.DeleteFunc(slices.Clone(n.Args), func(a *plan.Node) bool { return a == d.nodes[0] }))
}

// touchesHead says whether a condition needs columns of head.
func touchesHead(n *plan.Node) bool {
	return n.Kind == plan.Leaf && columnOf(n.Param) != "" || slices.ContainsFunc(n.Args, touchesHead)
}

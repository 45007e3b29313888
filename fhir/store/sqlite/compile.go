package sqlite

import (
	"slices"
	"strings"
)

// condition says in SQL that the resource h satisfies n. It looks entries up
// from the resource, so it costs a probe per parameter.
func (n *node) condition() clause {
	switch n.kind {
	case never:
		return clause{sql: "0"}
	case all:
		return clause{sql: "1"}
	case not:
		c := n.args[0].condition()
		return clause{"NOT (" + c.sql + ")", c.args}
	case and, or:
		cs := make([]clause, len(n.args))
		for i, a := range n.args {
			cs[i] = a.condition()
		}
		return join(map[nodeKind]string{and: "AND", or: "OR"}[n.kind], cs)
	case column:
		return join("OR", alternatives(n.spans, "h."+n.column, text))
	case entries:
	}
	c := clause{"EXISTS (SELECT 1 FROM entry INDEXED BY entry_of WHERE rid = h.rid AND pid = ?", []any{n.pid}}
	if !slices.ContainsFunc(n.spans, span.everything) {
		in := join("OR", alternatives(n.spans, "value", bytesOf))
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
func (n *node) selects(typ string) []clause {
	var out []clause
	if n.kind == column {
		index := map[string]string{"id": "head_key", "updated": "head_newest"}[n.column]
		for _, c := range alternatives(n.spans, n.column, text) {
			out = append(out, clause{
				"SELECT rid FROM head INDEXED BY " + index + " WHERE type = ? AND deleted = 0 AND " + c.sql,
				append([]any{typ}, c.args...),
			})
		}
		return out
	}
	for _, c := range alternatives(n.spans, "value", bytesOf) {
		out = append(out, clause{"SELECT rid FROM entry WHERE pid = ? AND " + c.sql, append([]any{n.pid}, c.args...)})
	}
	return out
}

// A driver is where a search starts: a set of candidates.
type driver struct {
	parts []clause
	nodes []*node // what the parts stand for
	size  int     // estimate of the candidates, capped
}

// distinct says whether no candidate can come twice: one value of one parameter.
func (d *driver) distinct() bool {
	return len(d.nodes) == 1 && len(d.parts) == 1 && len(d.nodes[0].spans) == 1 && d.nodes[0].spans[0].equal
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
func (d *driver) rest(n *node) *node {
	if len(d.nodes) != 1 {
		return n
	}
	if n == d.nodes[0] {
		return &node{kind: all}
	}
	if n.kind != and {
		return n
	}
	return allOf(slices.DeleteFunc(slices.Clone(n.args), func(a *node) bool { return a == d.nodes[0] }))
}

// touchesHead says whether a condition needs columns of head.
func (n *node) touchesHead() bool {
	return n.kind == column || slices.ContainsFunc(n.args, (*node).touchesHead)
}

package sqlite

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/store/plan"
)

// A driver is where a search starts: a set of candidates.
type driver struct {
	parts   []clause
	nodes   []*plan.Node       // what the parts stand for
	size    int                // estimate of the candidates, capped
	counted map[*plan.Node]int // candidates of conditions that were counted to the end
}

// distinct says whether no candidate can come twice: one value of one parameter.
func (d *driver) distinct() bool {
	return len(d.nodes) == 1 && len(d.parts) == 1 && len(d.nodes[0].Spans) == 1 && d.nodes[0].Spans[0].Equal
}

// candidates is a query for them, each once.
func (d *driver) candidates() clause {
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
	return clause{sql, args}
}

// table is the driver as the table d(rid), each candidate once, for a condition n
// that it implies: without those that their entries rule out. What is left of n asks
// for columns of head. Entries are those of live heads of the type, so that a head
// is read only of what is found.
func (d *driver) table(n *plan.Node) (with clause, left *plan.Node) {
	entries, left := byEntries(d.rest(n))
	c := d.candidates()
	if entries.Kind == plan.All {
		return clause{"WITH d (rid) AS MATERIALIZED (" + c.sql + ") ", c.args}, left
	}
	cond := prober{rid: "c.rid", listed: d.listed}.satisfies(entries)
	return clause{
		"WITH c (rid) AS MATERIALIZED (" + c.sql + "), d (rid) AS MATERIALIZED (SELECT rid FROM c WHERE " + cond.sql + ") ",
		slices.Concat(c.args, cond.args),
	}, left
}

// listed says whether it takes less to read all of a condition's entries, which
// stand side by side, than to look for one of each candidate.
func (d *driver) listed(n *plan.Node) bool {
	size, ok := d.counted[n]
	return ok && size <= 8*d.size
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

// byEntries splits a condition into what entries alone tell and what is left.
func byEntries(n *plan.Node) (entries, left *plan.Node) {
	all := &plan.Node{Kind: plan.All}
	switch {
	case !touchesHead(n):
		return n, all
	case n.Kind != plan.And:
		return all, n
	}
	var of, not []*plan.Node
	for _, a := range n.Args {
		if touchesHead(a) {
			not = append(not, a)
		} else {
			of = append(of, a)
		}
	}
	return plan.AllOf(of), plan.AllOf(not)
}

// touchesHead says whether a condition needs columns of head.
func touchesHead(n *plan.Node) bool {
	return n.Kind == plan.Leaf && columnOf(n.Param) != "" || slices.ContainsFunc(n.Args, touchesHead)
}

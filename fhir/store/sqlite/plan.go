package sqlite

import (
	"context"
	"slices"

	"github.com/handoff-health/handoff/fhir/store"
)

// Bounds of a plan, below those of SQLite.
const (
	maxDepth = 100
	maxTerms = 20000
)

type nodeKind uint8

const (
	never nodeKind = iota
	all
	and
	or
	not
	entries // index entries of one parameter
	column  // a column of head
)

// A node is a condition of a plan with its parameters looked up, constants
// folded, and alternatives on one parameter gathered.
type node struct {
	kind   nodeKind
	pid    int64
	column string // of head: "id" or "updated"
	spans  []span // any of them
	args   []*node
}

// A planner turns the condition of a plan into nodes.
type planner struct {
	db    *DB
	s     *session
	ctx   context.Context
	typ   string
	terms int
}

// checkPlan refuses what cannot be searched for.
func checkPlan(p store.Plan) error {
	switch {
	case p.Type == "":
		return invalid("a plan without a type")
	case len(p.Sort) > store.MaxSort:
		return invalid("a plan with %d sort keys; at most %d are possible", len(p.Sort), store.MaxSort)
	case slices.ContainsFunc(p.Sort, func(k store.SortKey) bool { return k.Param == "" }):
		return invalid("a sort key without a parameter")
	case p.Limit < 1:
		return invalid("limit %d", p.Limit)
	}
	return nil
}

func (p *planner) plan(e store.Expr, depth int) (*node, error) {
	if p.terms++; p.terms > maxTerms || depth > maxDepth {
		return nil, invalid("the plan has more than %d terms or %d levels", maxTerms, maxDepth)
	}
	switch e.Op {
	case store.Never:
		return &node{kind: never}, nil
	case store.All:
		return &node{kind: all}, nil
	case store.And, store.Or, store.Not:
		return p.combine(e, depth)
	case store.Equal:
		return p.leaf(e.Param, span{low: e.Value, equal: true})
	case store.Prefix:
		return p.leaf(e.Param, prefixSpan(e.Value))
	case store.Range:
		return p.leaf(e.Param, span{low: e.Low, high: e.High, open: e.High == ""})
	case store.Exists:
		return p.leaf(e.Param, span{open: true})
	}
	return nil, invalid("unknown operation %d", e.Op)
}

func (p *planner) combine(e store.Expr, depth int) (*node, error) {
	args := make([]*node, len(e.Args))
	for i, a := range e.Args {
		n, err := p.plan(a, depth+1)
		if err != nil {
			return nil, err
		}
		args[i] = n
	}
	switch e.Op {
	case store.And:
		return allOf(args), nil
	case store.Or:
		return anyOf(args), nil
	}
	if len(args) != 1 {
		return nil, invalid("Not with %d arguments", len(args))
	}
	switch args[0].kind {
	case never:
		return &node{kind: all}, nil
	case all:
		return &node{kind: never}, nil
	}
	return &node{kind: not, args: args}, nil
}

// leaf is a condition on one parameter. A parameter that no resource of the
// type has ever had matches nothing.
func (p *planner) leaf(param string, s span) (*node, error) {
	switch {
	case param == "":
		return nil, invalid("a condition without a parameter")
	case s.empty():
		return &node{kind: never}, nil
	case reserved(param) && s.everything():
		return &node{kind: all}, nil
	case param == store.ParamID:
		return &node{kind: column, column: "id", spans: []span{s}}, nil
	case param == store.ParamLastUpdated:
		return &node{kind: column, column: "updated", spans: []span{s}}, nil
	}
	pid, found, err := p.db.param(p.ctx, p.s, p.typ, param)
	if err != nil {
		return nil, err
	}
	if !found {
		return &node{kind: never}, nil
	}
	return &node{kind: entries, pid: pid, spans: []span{s}}, nil
}

// param looks a parameter's number up; numbers never change, so they are kept.
func (db *DB) param(ctx context.Context, s *session, typ, name string) (int64, bool, error) {
	key := typ + "\x00" + name
	if pid, ok := db.params.Load(key); ok {
		return pid.(int64), true, nil
	}
	pid, found, err := findParam(ctx, s, typ, name)
	if found {
		db.params.Store(key, pid)
	}
	return pid, found, err
}

func allOf(args []*node) *node {
	out := &node{kind: and}
	for _, a := range args {
		switch a.kind {
		case never:
			return a
		case all:
		case and:
			out.args = append(out.args, a.args...)
		default:
			out.args = append(out.args, a)
		}
	}
	switch len(out.args) {
	case 0:
		return &node{kind: all}
	case 1:
		return out.args[0]
	}
	return out
}

func anyOf(args []*node) *node {
	type place struct {
		pid    int64
		column string
	}
	out, at := &node{kind: or}, map[place]*node{}
	var add func([]*node) bool
	add = func(args []*node) bool {
		for _, a := range args {
			switch a.kind {
			case never:
			case all:
				return true
			case or:
				if add(a.args) {
					return true
				}
			case entries, column:
				key := place{a.pid, a.column}
				if n := at[key]; n != nil {
					n.spans = append(n.spans, a.spans...)
					continue
				}
				n := &node{kind: a.kind, pid: a.pid, column: a.column, spans: append([]span(nil), a.spans...)}
				at[key] = n
				out.args = append(out.args, n)
			default:
				out.args = append(out.args, a)
			}
		}
		return false
	}
	if add(args) {
		return &node{kind: all}
	}
	switch len(out.args) {
	case 0:
		return &node{kind: never}
	case 1:
		return out.args[0]
	}
	return out
}

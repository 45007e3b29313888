package mongo

import (
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/plan"
)

// A condition is what a search asks of a type's heads, ready for the server and for
// judging a head in memory. It stands for one type: entries and ids carry it.
type condition struct {
	typ  string // encoded
	root *plan.Node
}

// newCondition prepares a plan's condition. No entry is found under a parameter whose
// name has a bar, and no resource under a type that is none.
func newCondition(p store.Plan) (condition, error) {
	n, err := plan.Normalize(p.Where, func(param string) (int64, bool, error) {
		return 1, !strings.Contains(param, "|"), nil
	})
	if err != nil {
		return condition{}, err
	}
	if !resource.ValidType(p.Type) {
		n = &plan.Node{}
	}
	return condition{typ: encode(p.Type), root: n}, nil
}

// A stretch is a set of strings: those from low on and below high, or only low.
type stretch struct {
	low, high string
	only      bool
}

func (s stretch) contains(v string) bool {
	if s.only {
		return v == s.low
	}
	return v >= s.low && v < s.high
}

// bounds is the stretch of what starts with prefix, which ends in a character that
// sorts before others, and goes on with a value of the span.
func bounds(prefix string, s plan.Span) stretch {
	low := prefix + encode(s.Low)
	switch {
	case s.Equal:
		return stretch{low: low, only: true}
	case s.Open:
		return stretch{low: low, high: next(prefix)}
	}
	return stretch{low: low, high: prefix + encode(s.High)}
}

// next is the first string after all that start with an ASCII prefix.
func next(prefix string) string {
	last := len(prefix) - 1
	return prefix[:last] + string(rune(prefix[last]+1))
}

// entriesOf is the prefix of a parameter's entries.
func (c condition) entriesOf(param string) string { return c.typ + "|" + encode(param) + "|" }

// ids is the prefix of the type's head ids.
func (c condition) ids() string { return c.typ + "/" }

// stretches are where a leaf's values lie, in the form in which field holds them.
func (c condition) stretches(n *plan.Node) (field string, out []stretch) {
	prefix := c.entriesOf(n.Param)
	switch field = "ix"; n.Param {
	case store.ParamID:
		field, prefix = "_id", c.ids()
	case store.ParamLastUpdated:
		field, prefix = "u", ""
	}
	for _, s := range n.Spans {
		if prefix == "" && s.Open { // instants are ASCII
			out = append(out, stretch{low: encode(s.Low), high: "\x7f"})
			continue
		}
		out = append(out, bounds(prefix, s))
	}
	return field, out
}

// filter is the condition for the server. nil: every head.
func (c condition) filter(n *plan.Node) bson.D {
	switch n.Kind {
	case plan.All:
		return nil
	case plan.And, plan.Or:
		args := make(bson.A, len(n.Args))
		for i, a := range n.Args {
			args[i] = c.filter(a)
		}
		return bson.D{{Key: map[plan.Kind]string{plan.And: "$and", plan.Or: "$or"}[n.Kind], Value: args}}
	case plan.Not:
		return bson.D{{Key: "$nor", Value: bson.A{c.filter(n.Args[0])}}}
	case plan.Never:
		return bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: bson.A{}}}}}
	case plan.Leaf:
	}
	return c.leaf(n)
}

// leaf finds all single values at once and each stretch on its own. Both bounds of a
// stretch must be met by one entry: that is $elemMatch.
func (c condition) leaf(n *plan.Node) bson.D {
	field, stretches := c.stretches(n)
	var (
		only bson.A
		any  bson.A
	)
	for _, s := range stretches {
		if s.only {
			only = append(only, s.low)
			continue
		}
		within := bson.D{{Key: "$gte", Value: s.low}, {Key: "$lt", Value: s.high}}
		if field == "ix" {
			within = bson.D{{Key: "$elemMatch", Value: within}}
		}
		any = append(any, bson.D{{Key: field, Value: within}})
	}
	switch len(only) {
	case 0:
	case 1:
		any = append(any, bson.D{{Key: field, Value: only[0]}})
	default:
		any = append(any, bson.D{{Key: field, Value: bson.D{{Key: "$in", Value: only}}}})
	}
	if len(any) == 1 {
		return any[0].(bson.D)
	}
	return bson.D{{Key: "$or", Value: any}}
}

// A start is by what index the heads that satisfy a condition are found.
type start uint8

const (
	fromType    start = iota // all of the type must be looked at
	fromEntries              // the condition implies one on entries
	fromIDs                  // … or one on single ids
)

// start says how a condition can be started from. A condition on entries holds of live
// heads of its type alone.
func (c condition) start(n *plan.Node) start {
	switch n.Kind {
	case plan.Leaf:
		switch {
		case !store.Reserved(n.Param):
			return fromEntries
		case n.Param == store.ParamID && !slices.ContainsFunc(n.Spans, func(s plan.Span) bool { return !s.Equal }):
			return fromIDs
		}
	case plan.And:
		best := fromType
		for _, a := range n.Args {
			best = max(best, c.start(a))
		}
		return best
	case plan.Or:
		if !slices.ContainsFunc(n.Args, func(a *plan.Node) bool { return c.start(a) != fromEntries }) {
			return fromEntries
		}
	case plan.Never, plan.All, plan.Not:
	}
	return fromType
}

// matches judges a state of a head as the server would: in the order of bytes.
func (c condition) matches(n *plan.Node, id string, s *state) bool {
	switch n.Kind {
	case plan.All:
		return true
	case plan.And:
		return !slices.ContainsFunc(n.Args, func(a *plan.Node) bool { return !c.matches(a, id, s) })
	case plan.Or:
		return slices.ContainsFunc(n.Args, func(a *plan.Node) bool { return c.matches(a, id, s) })
	case plan.Not:
		return !c.matches(n.Args[0], id, s)
	case plan.Never:
		return false
	case plan.Leaf:
	}
	field, stretches := c.stretches(n)
	values := s.Index
	switch field {
	case "_id":
		values = []string{id}
	case "u":
		values = []string{s.Updated}
	}
	return slices.ContainsFunc(stretches, func(in stretch) bool { return slices.ContainsFunc(values, in.contains) })
}

// live says whether a state is one of a resource of the type that is there, and
// satisfies the condition.
func (c condition) live(id string, s *state) bool {
	return !s.Deleted && s.Version > 0 && strings.HasPrefix(id, c.ids()) && c.matches(c.root, id, s)
}

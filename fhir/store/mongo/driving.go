package mongo

import (
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store/plan"
)

// Bounds of what a server is asked to find by its index in one query. It reads every
// stretch of every condition that the index has, to intersect them, or tries which is
// best: so many conditions that nearly all satisfy cost more than looking at what a few
// of them find.
const (
	drivingConditions = 8
	drivingStretches  = 64
)

// weight is how many stretches of the index a condition asks for; single values of one
// parameter are one.
func (c condition) weight(n *plan.Node) (w int) {
	for _, a := range n.Args {
		w += c.weight(a)
	}
	single := 0
	for _, s := range n.Spans {
		if s.Equal {
			single = 1
			continue
		}
		w++
	}
	return w + single
}

// driving is filter for a query that starts from what the condition asks for. Of very
// many conditions that hold together the lightest are found by index, and the others
// judged of what these find.
func (c condition) driving(n *plan.Node) bson.D {
	if n.Kind != plan.And {
		return c.filter(n)
	}
	order := make([]int, len(n.Args))
	for i := range order {
		order[i] = i
	}
	from := c.start(n)
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := n.Args[i], n.Args[j]
		if x, y := c.start(a) == from, c.start(b) == from; x != y {
			if x {
				return -1
			}
			return 1
		}
		return c.weight(a) - c.weight(b)
	})
	args, left := make(bson.A, len(order)), drivingStretches
	for k, i := range order {
		w := c.weight(n.Args[i])
		if k == 0 || k < drivingConditions && w <= left {
			args[i] = c.filter(n.Args[i])
			left -= w
			continue
		}
		args[i] = judged(c.filter(n.Args[i]))
	}
	return bson.D{{Key: "$and", Value: args}}
}

// judgedFrom is how heavy a condition may be that a server may look for in an index though
// something else drives.
const judgedFrom = 8

// judging is filter for a query that something else drives.
func (c condition) judging(n *plan.Node) bson.D {
	f := c.filter(n)
	if f == nil || c.weight(n) <= judgedFrom {
		return f
	}
	return judged(f)
}

// judged is a filter with an alternative that no head satisfies and no index gives: a
// server judges by it the heads which it has come to.
func judged(f bson.D) bson.D {
	return bson.D{{Key: "$or", Value: bson.A{f, bson.D{{Key: "v", Value: int64(-1)}}}}}
}

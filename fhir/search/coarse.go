package search

import (
	"maps"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/plan"
)

// A store looks each stretch of values up by itself, or holds all of them against each
// resource, so their number is what a search can be made to cost. A plan may find more
// than [Query.Match] accepts: where a query has very many stretches, those next to each
// other become one.
const (
	maxStretches = 64 // of one plan, but for one of each parameter
	maxPairs     = 8  // conditions on start and end that a store is given as such
)

// coarsen bounds the stretches of a plan's conditions, each of one parameter of the
// query.
func coarsen(all []store.Expr) {
	total := 0
	for _, e := range all {
		total += stretchesIn(e)
	}
	for i, e := range all {
		n := stretchesIn(e)
		if n == 0 {
			continue
		}
		if most := max(1, maxStretches*n/total); total > maxStretches || pairsIn(e) > maxPairs {
			all[i] = joined(e, min(most, n))
		}
	}
}

// anyOf are the alternatives of a condition.
func anyOf(e store.Expr) []store.Expr {
	if e.Op == store.Or {
		return e.Args
	}
	return []store.Expr{e}
}

// stretchesIn counts the alternatives that are more than a value.
func stretchesIn(e store.Expr) (n int) {
	for _, a := range anyOf(e) {
		if a.Op != store.Equal {
			n++
		}
	}
	return n
}

// pairsIn counts the alternatives that are conditions on start and end.
func pairsIn(e store.Expr) (n int) {
	for _, a := range anyOf(e) {
		if a.Op == store.And {
			n++
		}
	}
	return n
}

// A stretch is the values from low on and below high, "" if there is no end.
type stretch struct{ low, high string }

func (s stretch) reaches(low string) bool { return s.high == "" || s.high >= low }

// joined is a condition with at most so many stretches of each parameter, which holds
// wherever e does. Of conditions on start and end it holds also where the start of one
// is met and the end of another.
func joined(e store.Expr, most int) store.Expr {
	var (
		out   []store.Expr                        // alternatives of the result
		alone = map[string][]stretch{}            // by parameter
		pairs = map[string]map[string][]stretch{} // by the names of both, then by parameter
	)
	for _, a := range anyOf(e) {
		if a.Op == store.Equal {
			out = append(out, a)
			continue
		}
		if a.Op != store.And {
			alone[a.Param] = append(alone[a.Param], stretchOf(a))
			continue
		}
		var names []string
		for _, b := range a.Args {
			names = append(names, b.Param)
		}
		of := strings.Join(names, "\x00")
		if pairs[of] == nil {
			pairs[of] = map[string][]stretch{}
		}
		for _, b := range a.Args {
			pairs[of][b.Param] = append(pairs[of][b.Param], stretchOf(b))
		}
	}
	out = append(out, ranges(alone, most)...)
	for _, of := range slices.Sorted(maps.Keys(pairs)) {
		both := store.Expr{Op: store.And}
		for _, name := range slices.Sorted(maps.Keys(pairs[of])) {
			both.Args = append(both.Args, oneOf(ranges(map[string][]stretch{name: pairs[of][name]}, most)))
		}
		out = append(out, both)
	}
	return oneOf(out)
}

func oneOf(any []store.Expr) store.Expr {
	if len(any) == 1 {
		return any[0]
	}
	return store.Expr{Op: store.Or, Args: any}
}

// stretchOf is where the values of a condition on one parameter lie.
func stretchOf(e store.Expr) stretch {
	switch e.Op {
	case store.Equal:
		return stretch{e.Value, e.Value + "\x00"}
	case store.Prefix:
		return stretch{e.Value, plan.Prefix(e.Value).High}
	case store.Range:
		return stretch{e.Low, e.High}
	}
	return stretch{} // all there are
}

// ranges are at most so many stretches of each parameter that hold all of those given.
func ranges(of map[string][]stretch, most int) (out []store.Expr) {
	for _, name := range slices.Sorted(maps.Keys(of)) {
		var apart []stretch
		slices.SortFunc(of[name], func(a, b stretch) int { return strings.Compare(a.low, b.low) })
		for _, s := range of[name] {
			if last := len(apart) - 1; last >= 0 && apart[last].reaches(s.low) {
				apart[last] = spanning(apart[last], s)
				continue
			}
			apart = append(apart, s)
		}
		for part := range slices.Chunk(apart, (len(apart)+most-1)/most) {
			s := spanning(part[0], part[len(part)-1])
			out = append(out, store.Expr{Op: store.Range, Param: name, Low: s.low, High: s.high})
		}
	}
	return out
}

// spanning is the stretch from one to another that does not begin before it.
func spanning(a, b stretch) stretch {
	if a.high == "" || b.high == "" {
		return stretch{a.low, ""}
	}
	return stretch{a.low, max(a.high, b.high)}
}

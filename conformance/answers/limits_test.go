package answers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/plan"
)

func and(args ...store.Expr) store.Expr { return store.Expr{Op: store.And, Args: args} }
func or(args ...store.Expr) store.Expr  { return store.Expr{Op: store.Or, Args: args} }
func not(arg store.Expr) store.Expr     { return store.Expr{Op: store.Not, Args: []store.Expr{arg}} }

func within(param, low, high string) store.Expr {
	return store.Expr{Op: store.Range, Param: param, Low: low, High: high}
}

// times is an expression for each number below n.
func times(n int, of func(i int) store.Expr) (out []store.Expr) {
	for i := range n {
		out = append(out, of(i))
	}
	return out
}

// deep is an expression of so many levels that no folding makes fewer.
func deep(levels int) store.Expr {
	e := store.Expr{Op: store.Equal, Param: "name", Value: "a"}
	for i := range levels - 1 {
		param := []string{"name", "family"}[i%2]
		e = store.Expr{Op: []store.Op{store.And, store.Or}[i%2], Args: []store.Expr{e, {Op: store.Exists, Param: param}}}
	}
	return e
}

// most is how many terms there may be beside the outermost.
const most = plan.MaxTerms - 1

// largest are plans that are as large as a plan may be, of every kind, but of so many
// stretches of values: for thousands of those a MongoDB server takes as many seconds.
func largest(stretches int) map[string]store.Expr {
	family := func(i int) store.Expr {
		return store.Expr{Op: store.Equal, Param: "family", Value: fmt.Sprintf("f%d", i)}
	}
	ranges := func(param string) func(i int) store.Expr {
		return func(i int) store.Expr {
			return within(param, fmt.Sprintf("19%05d", i), fmt.Sprintf("19%05dx", i))
		}
	}
	ids := func(i int) store.Expr {
		return store.Expr{Op: store.Equal, Param: store.ParamID, Value: fmt.Sprintf("odd-%d", i)}
	}
	return map[string]store.Expr{
		"1,000 values":           or(times(1000, family)...),
		"as many values":         or(times(most, family)...),
		"none of as many values": not(or(times(most-1, family)...)),
		"as many ids":            or(times(most, ids)...),
		"as many ranges":         or(times(stretches, ranges("birthdate"))...),
		"all of as many ranges":  and(times(stretches, ranges("birthdate"))...),
		"none of as many ranges": not(or(times(stretches-1, ranges("birthdate"))...)),
		"none of each of many":   and(times(stretches/2, func(i int) store.Expr { return not(ranges("birthdate")(i)) })...),
		"as many instants":       or(times(stretches, ranges(store.ParamLastUpdated))...),
		"ranges of many kinds": or(times(stretches, func(i int) store.Expr {
			return ranges([]string{"birthdate", "name", "family", "given", "phone"}[i%5])(i)
		})...),
		"ands in an or": or(times(stretches/3, func(i int) store.Expr { return and(family(i), ranges("birthdate")(i)) })...),
		"ors in an and": and(times(stretches/3, func(i int) store.Expr { return or(family(0), ranges("birthdate")(i)) })...),
		"as deep":       deep(plan.MaxDepth),
		"long values": or(times(200, func(i int) store.Expr {
			return store.Expr{Op: store.Prefix, Param: "family", Value: strings.Repeat("é", 1000) + fmt.Sprint(i)}
		})...),
		"values that are no text": or(times(256, func(i int) store.Expr {
			return store.Expr{Op: store.Prefix, Param: "family", Value: string([]byte{byte(i)})}
		})...),
	}
}

// The largest plans are answered by every store, in every order, and what is larger is
// refused by every store.
func TestTheLargestPlansHaveTheSameAnswers(t *testing.T) {
	w, o := newWorld(t), odd{random(70)}
	records := slices.DeleteFunc(oddCorpus(t, o, 60), func(r store.Record) bool { return r.Type != "Patient" })
	g := newGenerator(*seed, records)
	w.fill(t, g, records)
	orders := [][]store.SortKey{
		nil,
		{{Param: "family", Descending: true}, {Param: "birthdate"}, {Param: store.ParamLastUpdated}, {Param: "name", Descending: true}},
	}
	plans := largest(60)
	if len(w.stores) == 1 {
		plans = largest(150)
		plans["all of as many ranges"] = largest(plan.MaxTogether)["all of as many ranges"]
	}
	for name, where := range plans {
		for _, order := range orders {
			if _, _, err := w.same(t, store.Plan{Type: "Patient", Where: where, Sort: order, Limit: 2}); err != nil {
				t.Errorf("%s by %v: %.600v", name, order, err)
			}
		}
	}
	all := store.Plan{Type: "Patient", Where: store.Expr{Op: store.All}, Limit: plan.MaxLimit}
	if _, err := w.samePage(t, all, w.model.Search(all), false); err != nil {
		t.Errorf("all at once: %v", err)
	}
	for name, p := range map[string]store.Plan{
		"a term more":     {Where: or(times(plan.MaxTerms, func(int) store.Expr { return store.Expr{Op: store.Exists, Param: "name"} })...), Limit: 1},
		"a level more":    {Where: deep(plan.MaxDepth + 1), Limit: 1},
		"a record more":   {Where: all.Where, Limit: plan.MaxLimit + 1},
		"no record":       {Where: all.Where},
		"five keys":       {Where: all.Where, Limit: 1, Sort: slices.Repeat([]store.SortKey{{Param: "name"}}, store.MaxSort+1)},
		"a key of no one": {Where: all.Where, Limit: 1, Sort: []store.SortKey{{}}},
		"no parameter":    {Where: store.Expr{Op: store.Exists}, Limit: 1},
		"no operation":    {Where: store.Expr{Op: 99}, Limit: 1},
	} {
		p.Type = "Patient"
		for _, at := range w.names() {
			if _, err := w.stores[at].Search(t.Context(), p); !errors.Is(err, store.ErrInvalid) {
				t.Errorf("%s: %s: %v", name, at, err)
			}
		}
	}
}

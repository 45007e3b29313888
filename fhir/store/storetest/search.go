package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/plan"
)

var searchTests = []test{
	{"one entry must meet both bounds of a range", rangesInArrays},
	{"And, Or and Not", logic},
	{"conditions of as many levels as there may be", deepConditions},
	{"_id and _lastUpdated need no entries", reservedParams},
	{"an update moves the entries", movedEntries},
	{"types do not mix", typesApart},
	{"wrong plans are refused", wrongPlans},
	{"many alternatives", manyAlternatives},
	{"a search has an end", searchesEnd},
	{"random plans agree with brute force", randomPlans},
}

func equal(param, value string) store.Expr {
	return store.Expr{Op: store.Equal, Param: param, Value: value}
}

func within(param, low, high string) store.Expr {
	return store.Expr{Op: store.Range, Param: param, Low: low, High: high}
}

func join(op store.Op, args ...store.Expr) store.Expr { return store.Expr{Op: op, Args: args} }

type caseOf struct {
	name  string
	where store.Expr
	want  []string // ids in order
}

func (e *env) check(t *testing.T, typ string, cases []caseOf) {
	t.Helper()
	for _, c := range cases {
		p := store.Plan{Type: typ, Where: c.where, Sort: []store.SortKey{{Param: store.ParamID}}, Limit: 2}
		if diff := cmp.Diff(c.want, e.all(t, p)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if n, err := e.Store.Count(e.ctx, p); err != nil || n != len(c.want) {
			t.Errorf("%s: count %d, %v, want %d", c.name, n, err, len(c.want))
		}
	}
}

func rangesInArrays(t *testing.T, e *env) {
	e.write(t, put(patient("split"), store.Absent, 1, "d|2020", "d|2026"))
	e.write(t, put(patient("inside"), store.Absent, 1, "d|2020", "d|2023", "d|2026"))
	e.check(t, "Patient", []caseOf{
		{"between", within("d", "2021", "2025"), []string{"inside"}},
		{"low is included", within("d", "2023", "2024"), []string{"inside"}},
		{"high is not", within("d", "2021", "2023"), nil},
		{"from", within("d", "2026", ""), []string{"inside", "split"}},
		{"until", within("d", "", "2021"), []string{"inside", "split"}},
		{"no bounds", within("d", "", ""), []string{"inside", "split"}},
		{"turned round", within("d", "2025", "2021"), nil},
		{"two ranges may meet different entries", join(store.And, within("d", "2021", ""), within("d", "", "2022")), []string{"inside", "split"}},
		{"outside", join(store.Not, within("d", "2021", "2025")), []string{"split"}},
	})
}

func logic(t *testing.T, e *env) {
	e.write(t, put(patient("a"), store.Absent, 1, "f|smith", "g|m"))
	e.write(t, put(patient("b"), store.Absent, 1, "f|smith", "f|jones"))
	e.write(t, put(patient("c"), store.Absent, 1, "g|f"))
	e.write(t, put(patient("d"), store.Absent, 1))
	smith, jones, male := equal("f", "smith"), equal("f", "jones"), equal("g", "m")
	e.check(t, "Patient", []caseOf{
		{"zero value", store.Expr{}, nil},
		{"all", store.Expr{Op: store.All}, []string{"a", "b", "c", "d"}},
		{"and", join(store.And, smith, male), []string{"a"}},
		{"and of one parameter", join(store.And, smith, jones), []string{"b"}},
		{"and of nothing", join(store.And), []string{"a", "b", "c", "d"}},
		{"and with never", join(store.And, smith, store.Expr{}), nil},
		{"or", join(store.Or, smith, equal("g", "f")), []string{"a", "b", "c"}},
		{"or of one parameter", join(store.Or, smith, jones), []string{"a", "b"}},
		{"or of nothing", join(store.Or), nil},
		{"or with all", join(store.Or, smith, store.Expr{Op: store.All}), []string{"a", "b", "c", "d"}},
		{"not: also those without the parameter", join(store.Not, smith), []string{"c", "d"}},
		{"not of one value among others", join(store.Not, jones), []string{"a", "c", "d"}},
		{"not not", join(store.Not, join(store.Not, male)), []string{"a"}},
		{"not never", join(store.Not, store.Expr{}), []string{"a", "b", "c", "d"}},
		{"and not", join(store.And, smith, join(store.Not, male)), []string{"b"}},
		{"not and", join(store.Not, join(store.And, smith, male)), []string{"b", "c", "d"}},
		{"or not", join(store.Or, male, join(store.Not, store.Expr{Op: store.Exists, Param: "f"})), []string{"a", "c", "d"}},
		{"exists", store.Expr{Op: store.Exists, Param: "g"}, []string{"a", "c"}},
		{"missing", join(store.Not, store.Expr{Op: store.Exists, Param: "g"}), []string{"b", "d"}},
		{"prefix", store.Expr{Op: store.Prefix, Param: "f", Value: "smi"}, []string{"a", "b"}},
		{"empty prefix", store.Expr{Op: store.Prefix, Param: "f"}, []string{"a", "b"}},
		{"a parameter nobody has", equal("nothing", "x"), nil},
		{"not of it", join(store.Not, equal("nothing", "x")), []string{"a", "b", "c", "d"}},
		{"a part of a value is not the value", equal("f", "smit"), nil},
	})
}

func reservedParams(t *testing.T, e *env) {
	var at []string
	for _, id := range []string{"a", "b", "c"} {
		// Entries of reserved parameters say nothing.
		rec := e.write(t, put(patient(id), store.Absent, 1, "_id|x", "_lastUpdated|1999"))
		at = append(at, resource.FormatInstant(rec.LastUpdated))
		e.clock.advance(time.Second)
	}
	e.write(t, deletion(patient("b"), 1))
	id, updated := store.ParamID, store.ParamLastUpdated
	e.check(t, "Patient", []caseOf{
		{"id", equal(id, "a"), []string{"a"}},
		{"deleted", equal(id, "b"), nil},
		{"entry", equal(id, "x"), nil},
		{"ids", join(store.Or, equal(id, "c"), equal(id, "b"), equal(id, "a"), equal(id, "z")), []string{"a", "c"}},
		{"not id", join(store.Not, equal(id, "a")), []string{"c"}},
		{"ids from", within(id, "b", ""), []string{"c"}},
		{"since", within(updated, at[1], ""), []string{"c"}},
		{"since then", within(updated, at[2], ""), []string{"c"}},
		{"before", within(updated, "", at[2]), []string{"a"}},
		{"at", equal(updated, at[0]), []string{"a"}},
		{"a day", store.Expr{Op: store.Prefix, Param: updated, Value: "2026-03-01"}, []string{"a", "c"}},
		{"exists", store.Expr{Op: store.Exists, Param: updated}, []string{"a", "c"}},
		{"or with an entry", join(store.Or, equal(id, "a"), equal("f", "x")), []string{"a"}},
	})
}

func movedEntries(t *testing.T, e *env) {
	k := patient("a")
	e.write(t, put(k, store.Absent, 1, "f|one", "f|two", "g|x"))
	e.write(t, put(k, 1, 2, "f|two", "f|three"))
	one := []string{"a"}
	e.check(t, "Patient", []caseOf{
		{"gone", equal("f", "one"), nil},
		{"kept", equal("f", "two"), one},
		{"new", equal("f", "three"), one},
		{"parameter gone", store.Expr{Op: store.Exists, Param: "g"}, nil},
	})
	e.write(t, deletion(k, 2))
	e.check(t, "Patient", []caseOf{{"deleted", equal("f", "two"), nil}})
	e.write(t, put(k, 3, 4, "f|two"))
	e.check(t, "Patient", []caseOf{{"back", equal("f", "two"), one}})
}

func typesApart(t *testing.T, e *env) {
	for _, typ := range []string{"Patient", "Practitioner", "Consent"} {
		e.write(t, put(store.Key{Type: typ, ID: "same"}, store.Absent, 1, "f|smith"))
	}
	e.check(t, "Practitioner", []caseOf{
		{"by value", equal("f", "smith"), []string{"same"}},
		{"all", store.Expr{Op: store.All}, []string{"same"}},
	})
	e.check(t, "Encounter", []caseOf{{"none", store.Expr{Op: store.All}, nil}})
}

// nested gives a condition of so many levels, none of which can be folded, that holds of
// all that have n|1.
func nested(levels int) store.Expr {
	x := equal("n", "1")
	for i := range levels - 1 {
		x = join([]store.Op{store.And, store.Or}[i%2], x, store.Expr{Op: store.Exists, Param: []string{"n", "m"}[i%2]})
	}
	return x
}

func deepConditions(t *testing.T, e *env) {
	e.write(t, put(patient("a"), store.Absent, 1, "n|1"))
	e.write(t, put(patient("b"), store.Absent, 1, "n|2"))
	e.check(t, "Patient", []caseOf{
		{"levels", nested(plan.MaxDepth), []string{"a"}},
		{"levels, all but", join(store.Not, nested(plan.MaxDepth-1)), []string{"b"}},
	})
	_, err := e.Store.Search(e.ctx, store.Plan{Type: "Patient", Where: nested(plan.MaxDepth + 1), Limit: 1})
	wantError(t, err, store.ErrInvalid, "a level more")
}

func wrongPlans(t *testing.T, e *env) {
	all := store.Expr{Op: store.All}
	deep := all
	for range 10000 {
		deep = join(store.Not, deep)
	}
	for name, p := range map[string]store.Plan{
		"no type":           {Where: all, Limit: 1},
		"no limit":          {Type: "Patient", Where: all},
		"endless":           {Type: "Patient", Where: all, Limit: math.MaxInt},
		"endless by entry":  {Type: "Patient", Where: equal("a", "b"), Limit: math.MaxInt},
		"too many keys":     {Type: "Patient", Where: all, Limit: 1, Sort: slices.Repeat([]store.SortKey{{Param: "a"}}, store.MaxSort+1)},
		"empty second key":  {Type: "Patient", Where: all, Limit: 1, Sort: []store.SortKey{{Param: "a"}, {}}},
		"empty sort key":    {Type: "Patient", Where: all, Limit: 1, Sort: []store.SortKey{{}}},
		"unknown operation": {Type: "Patient", Where: store.Expr{Op: 99}, Limit: 1},
		"not of nothing":    {Type: "Patient", Where: join(store.Not), Limit: 1},
		"not of two":        {Type: "Patient", Where: join(store.Not, all, all), Limit: 1},
		"no parameter":      {Type: "Patient", Where: equal("", "x"), Limit: 1},
		"too deep":          {Type: "Patient", Where: deep, Limit: 1},
	} {
		_, err := e.Store.Search(e.ctx, p)
		wantError(t, err, store.ErrInvalid, name)
	}
}

func manyAlternatives(t *testing.T, e *env) {
	for i := range 50 {
		e.write(t, put(patient(fmt.Sprintf("p%02d", i)), store.Absent, i, fmt.Sprintf("n|%02d", i), fmt.Sprintf("m|%02d", i%7)))
	}
	var values, ids, ranges, mixed []store.Expr
	for i := range 3000 {
		values = append(values, equal("n", fmt.Sprintf("%02d", i+40)))
		ids = append(ids, equal(store.ParamID, fmt.Sprintf("p%02d", i+40)))
		ranges = append(ranges, within("n", fmt.Sprintf("%02d", i+40), fmt.Sprintf("%02da", i+40)))
		mixed = append(mixed, join(store.And, equal("n", fmt.Sprintf("%02d", i+40)), equal("m", fmt.Sprintf("%02d", i%7))))
	}
	want := []string{"p40", "p41", "p42", "p43", "p44", "p45", "p46", "p47", "p48", "p49"}
	e.check(t, "Patient", []caseOf{
		{"values", join(store.Or, values...), want},
		{"ids", join(store.Or, ids...), want},
		{"ranges", join(store.Or, ranges[:500]...), want},
		{"none of them", join(store.And, join(store.Not, join(store.Or, values...)), equal("m", "00")), []string{"p00", "p07", "p14", "p21", "p28", "p35"}},
		{"mixed", join(store.Or, mixed[:400]...), nil},
	})
}

func randomPlans(t *testing.T, e *env) {
	g := newGenerator(20260301)
	m := NewModel()
	for i := range 400 {
		g.change(t, e, m, i)
	}
	plans := 200 // conformance/answers asks thousands of all stores
	if testing.Short() {
		plans = 100
	}
	for i := range plans {
		if i%10 == 0 {
			g.change(t, e, m, 400+i)
		}
		p := g.plan()
		want := m.Search(p)
		if diff := cmp.Diff(want, e.all(t, p)); diff != "" {
			t.Fatalf("plan %d %+v (-want +got):\n%s", i, p, diff)
		}
		if n, err := e.Store.Count(context.Background(), p); err != nil || n != len(want) {
			t.Fatalf("plan %d %+v: count %d, %v, want %d", i, p, n, err, len(want))
		}
	}
}

// A search that takes longer than one may ends as one that the store could not answer
// now, whatever it sorts by; a caller who goes away ends it with the reason of its own.
func searchesEnd(t *testing.T, e *env) {
	for _, id := range []string{"a", "b", "c"} {
		e.write(t, put(patient(id), store.Absent, 1, "f|"+id))
	}
	gone, cancel := context.WithCancel(e.ctx)
	cancel()
	for _, sort := range [][]store.SortKey{nil, {{Param: store.ParamID}}, {{Param: "f"}}} {
		p := store.Plan{Type: "Patient", Where: store.Expr{Op: store.Exists, Param: "f"}, Sort: sort, Limit: 2}
		for name, ask := range map[string]func(context.Context) error{
			"search": func(ctx context.Context) error { _, err := e.Store.Search(ctx, p); return err },
			"count":  func(ctx context.Context) error { _, err := e.Store.Count(ctx, p); return err },
		} {
			e.SearchFor(time.Nanosecond)
			if err := ask(e.ctx); !errors.Is(err, store.ErrAway) {
				t.Errorf("%s, sorted by %v, without any time: %v", name, sort, err)
			}
			e.SearchFor(0)
			if err := ask(gone); !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrAway) {
				t.Errorf("%s, sorted by %v, for a caller who is gone: %v", name, sort, err)
			}
			if err := ask(e.ctx); err != nil {
				t.Errorf("%s, sorted by %v, with time: %v", name, sort, err)
			}
		}
	}
}

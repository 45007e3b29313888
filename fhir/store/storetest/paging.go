package storetest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-health/handoff/fhir/store"
)

var pagingTests = []test{
	{"newest first, ties by id", newestFirst},
	{"by a parameter: smallest or largest entry, without it last", sorting},
	{"a page's end survives reopening", cursorSurvives},
	{"a cursor of another search is refused", foreignCursor},
	{"paging is complete while others write", pagingUnderWrites},
}

func newestFirst(t *testing.T, e *env) {
	for _, id := range []string{"c", "a", "b"} {
		e.write(t, put(patient(id), store.Absent, 1))
	}
	e.clock.advance(time.Millisecond)
	e.write(t, put(patient("z"), store.Absent, 1))
	for limit := 1; limit < 6; limit++ {
		got := e.all(t, store.Plan{Type: "Patient", Where: store.Expr{Op: store.All}, Limit: limit})
		if diff := cmp.Diff([]string{"z", "a", "b", "c"}, got); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", limit, diff)
		}
	}
}

func sorting(t *testing.T, e *env) {
	e.write(t, put(patient("a"), store.Absent, 1, "k|2", "k|9"))
	e.write(t, put(patient("b"), store.Absent, 1, "k|1", "k|5"))
	e.write(t, put(patient("c"), store.Absent, 1))
	e.write(t, put(patient("d"), store.Absent, 1, "k|1"))
	e.write(t, put(patient("e"), store.Absent, 1, "other|x"))
	e.write(t, put(patient("f"), store.Absent, 1, "k|", "k|9"))
	byK := store.SortKey{Param: "k"}
	for _, tt := range []struct {
		keys []store.SortKey
		want []string
	}{
		{[]store.SortKey{byK, {Param: store.ParamID, Descending: true}}, []string{"f", "d", "b", "a", "e", "c"}},
		{[]store.SortKey{{Param: "other"}, {Param: "k", Descending: true}}, []string{"e", "a", "f", "b", "d", "c"}},
		{[]store.SortKey{{Param: "nobody has it"}, byK, {Param: "other"}}, []string{"f", "b", "d", "a", "e", "c"}},
		{[]store.SortKey{byK}, []string{"f", "b", "d", "a", "c", "e"}},
		{[]store.SortKey{{Param: "k", Descending: true}}, []string{"a", "f", "b", "d", "c", "e"}},
		{[]store.SortKey{{Param: "nobody has it"}}, []string{"a", "b", "c", "d", "e", "f"}},
		{[]store.SortKey{{Param: store.ParamID, Descending: true}}, []string{"f", "e", "d", "c", "b", "a"}},
		{[]store.SortKey{{Param: store.ParamLastUpdated}}, []string{"a", "b", "c", "d", "e", "f"}},
	} {
		for limit := 1; limit < 8; limit++ {
			got := e.all(t, store.Plan{Type: "Patient", Where: store.Expr{Op: store.All}, Sort: tt.keys, Limit: limit})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%+v in pages of %d (-want +got):\n%s", tt.keys, limit, diff)
			}
		}
	}
}

func cursorSurvives(t *testing.T, e *env) {
	for i := range 5 {
		e.write(t, put(patient(fmt.Sprint(i)), store.Absent, 1, fmt.Sprintf("k|%d", i)))
	}
	p := store.Plan{Type: "Patient", Where: store.Expr{Op: store.Exists, Param: "k"}, Sort: []store.SortKey{{Param: "k"}}, Limit: 2}
	var got []string
	for {
		page, err := e.Store.Search(e.ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range page.Records {
			got = append(got, rec.ID)
		}
		if p.After = page.Next; p.After == "" {
			break
		}
		e.reopen(t)
	}
	if diff := cmp.Diff([]string{"0", "1", "2", "3", "4"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func foreignCursor(t *testing.T, e *env) {
	for i := range 3 {
		e.write(t, put(patient(fmt.Sprint(i)), store.Absent, 1, "k|x"))
	}
	p := store.Plan{Type: "Patient", Where: equal("k", "x"), Limit: 1}
	page, err := e.Store.Search(e.ctx, p)
	if err != nil || page.Next == "" {
		t.Fatalf("%+v, %v", page, err)
	}
	same := p
	same.After, same.Limit = page.Next, 2 // another page size is the same search
	if _, err := e.Store.Search(e.ctx, same); err != nil {
		t.Errorf("another limit: %v", err)
	}
	for name, change := range map[string]func(*store.Plan){
		"type":      func(p *store.Plan) { p.Type = "Practitioner" },
		"condition": func(p *store.Plan) { p.Where = equal("k", "y") },
		"operation": func(p *store.Plan) { p.Where.Op = store.Prefix },
		"order":     func(p *store.Plan) { p.Sort = []store.SortKey{{Param: store.ParamID}} },
		"garbage":   func(p *store.Plan) { p.After = "garbage" },
		"cut off":   func(p *store.Plan) { p.After = p.After[:len(p.After)/2] },
		"not ASCII": func(p *store.Plan) { p.After = "é" },
	} {
		q := p
		q.After = page.Next
		change(&q)
		_, err := e.Store.Search(e.ctx, q)
		wantError(t, err, store.ErrCursor, name)
	}
}

// pagingUnderWrites pages through while a writer makes, changes and deletes
// other resources: those that stay must come once each; sorted by _id also
// those that are changed.
func pagingUnderWrites(t *testing.T, e *env) {
	const steady, restless = 60, 40
	for i := range steady {
		e.write(t, put(patient(fmt.Sprintf("s%02d", i)), store.Absent, i, fmt.Sprintf("k|%02d", i%20), "kind|steady"))
		e.clock.advance(time.Millisecond)
	}
	for i := range restless {
		e.write(t, put(patient(fmt.Sprintf("r%02d", i)), store.Absent, i, "kind|restless"))
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; !stop.Load(); n++ {
			e.clock.advance(time.Millisecond)
			k := patient(fmt.Sprintf("r%02d", n%restless))
			_, err := e.Store.Write(e.ctx, put(k, store.AnyVersion, n, fmt.Sprintf("k|%02d", n%31), "kind|restless"))
			if err == nil && n%3 == 0 {
				k = patient(fmt.Sprintf("t%02d", n%restless))
				if _, err = e.Store.Write(e.ctx, put(k, store.AnyVersion, n, "k|05")); err == nil {
					_, err = e.Store.Write(e.ctx, deletion(k, store.AnyVersion))
				}
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	for until := time.Now().Add(300 * time.Millisecond); time.Now().Before(until) && !t.Failed(); {
		e.pageEveryWay(t, steady, restless)
	}
	stop.Store(true)
	wg.Wait()
}

func (e *env) pageEveryWay(t *testing.T, steady, restless int) {
	t.Helper()
	for _, sort := range [][]store.SortKey{
		nil, {{Param: "k"}}, {{Param: "k", Descending: true}}, {{Param: store.ParamID}}, {{Param: store.ParamLastUpdated}},
	} {
		for _, where := range []store.Expr{{Op: store.All}, join(store.Not, equal("kind", "nothing"))} {
			e.checkComplete(t, store.Plan{Type: "Patient", Where: where, Sort: sort, Limit: 7}, steady, restless)
		}
	}
}

func (e *env) checkComplete(t *testing.T, p store.Plan, steady, restless int) {
	t.Helper()
	ids := e.all(t, p)
	count := map[string]int{}
	for _, id := range ids {
		count[id]++
	}
	for i := range steady {
		if id := fmt.Sprintf("s%02d", i); count[id] != 1 {
			t.Errorf("%+v: %s comes %d times", p.Sort, id, count[id])
		}
	}
	if len(p.Sort) > 0 && p.Sort[0].Param == store.ParamID {
		if !slices.IsSorted(ids) {
			t.Errorf("by _id, but in the order %v", ids)
		}
		for i := range restless {
			if id := fmt.Sprintf("r%02d", i); count[id] != 1 {
				t.Errorf("by _id: %s comes %d times", id, count[id])
			}
		}
	}
}

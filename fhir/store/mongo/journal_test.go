package mongo

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// moved gives heads a, b and c the value old, and proposes new for a and b.
func moved(unit string) []*headDoc {
	var out []*headDoc
	for _, id := range []string{"a", "b", "c"} {
		h := headOf(store.Key{Type: "Patient", ID: id}, worldStart, "g|old")
		if id != "c" {
			next := headOf(store.Key{Type: "Patient", ID: id}, worldStart.Add(time.Hour), "g|new")
			h.Intent, h.IntentType = &intent{Unit: unit, State: next.State}, "Patient"
			h.Intent.Version = 2
		}
		out = append(out, h)
	}
	return out
}

func rolled(h *headDoc) *headDoc {
	return &headDoc{ID: h.ID, Type: h.Type, ResourceID: h.ResourceID, State: h.Intent.State}
}

func unitOf(status string, number int64, hs []*headDoc) unitDoc {
	u := unitDoc{ID: "u1", Status: status, Open: number == unnumbered, Number: number, Types: []string{"Patient"}}
	for _, h := range hs {
		if h.Intent != nil {
			u.Members = append(u.Members, h.ID)
		}
	}
	return u
}

// A unit is seen as a whole or not at all, however much of it has been rolled forward.
func TestASearchSeesAUnitAsAWhole(t *testing.T) {
	for _, tt := range []struct {
		name    string
		status  string
		number  int64
		forward []int // heads that are rolled forward
		sees    string
	}{
		{"pending", pending, unnumbered, nil, "old"},
		{"aborted", aborted, unnumbered, nil, "old"},
		{"aborted and closed", aborted, 5, nil, "old"},
		{"committed", committed, unnumbered, nil, "new"},
		{"half rolled forward", committed, unnumbered, []int{1}, "new"},
		{"rolled forward, still open", committed, unnumbered, []int{0, 1}, "new"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hs := moved("u1")
			u := unitOf(tt.status, tt.number, hs)
			for _, i := range tt.forward {
				hs[i] = rolled(hs[i])
			}
			w := newWorld(t, hs...)
			if _, err := w.db.coll(units).InsertOne(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			want := map[string][]string{"old": {"Patient/a", "Patient/b", "Patient/c"}, "new": {}}
			if tt.sees == "new" {
				want = map[string][]string{"old": {"Patient/c"}, "new": {"Patient/a", "Patient/b"}}
			}
			for value, ids := range want {
				p := store.Plan{Type: "Patient", Where: store.Expr{Op: store.Equal, Param: "g", Value: value}, Sort: []store.SortKey{{Param: store.ParamID}}, Limit: 5}
				s, err := w.db.searcher(p)
				if err != nil {
					t.Fatal(err)
				}
				rows, err := s.rows(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(ids, idsOf(rows)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", value, diff)
				}
				if n, err := w.db.Count(t.Context(), p); err != nil || n != len(ids) {
					t.Errorf("%s: total %d, %v, want %d", value, n, err, len(ids))
				}
			}
		})
	}
}

// A unit that is committed, rolled forward and closed while a query runs is noticed by
// its number, though nothing of it stands any more; one that was closed before is not
// read again.
func TestAUnitThatPassesWhileAQueryRuns(t *testing.T) {
	hs := moved("u1")
	w := newWorld(t, hs...)
	s, err := w.db.searcher(store.Plan{Type: "Patient", Where: store.Expr{Op: store.Equal, Param: "g", Value: "old"}, Limit: 5})
	if err != nil {
		t.Fatal(err)
	}
	j, err := w.db.journal(t.Context(), s.condition)
	if err != nil {
		t.Fatal(err)
	}
	found, err := s.query(t.Context(), nil, 6)
	if err != nil || len(found) != 3 {
		t.Fatalf("%v, %v", found, err)
	}
	if _, err := w.db.coll(units).InsertOne(t.Context(), unitOf(committed, unnumbered, hs)); err != nil {
		t.Fatal(err)
	}
	for _, h := range hs[:2] {
		if _, err := w.db.coll(heads).ReplaceOne(t.Context(), bson.D{{Key: "_id", Value: h.ID}}, rolled(h)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.db.closeUnit(t.Context(), "u1"); err != nil {
		t.Fatal(err)
	}
	keys, err := j.advance(t.Context(), true)
	if err != nil || !slices.Equal(keys, []string{"Patient/a", "Patient/b"}) || !s.concerns(j, keys, found) {
		t.Fatalf("read again: %v, %v", keys, err)
	}
	if diff := cmp.Diff([]string{"Patient/c"}, idsOf(s.merge(j, found, nil))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if keys, err := j.advance(t.Context(), true); err != nil || len(keys) != 0 {
		t.Errorf("again: %v, %v", keys, err)
	}
	later, err := w.db.journal(t.Context(), s.condition)
	if err != nil {
		t.Fatal(err)
	}
	if keys, err := later.advance(t.Context(), true); err != nil || len(keys) != 0 {
		t.Errorf("a later search reads %v again, %v", keys, err)
	}
}

// Pages, totals and orders agree while writers move resources together: of each group
// all members have the same value, and there are as many as there are groups' members.
func TestSearchesWhileUnitsAreWritten(t *testing.T) {
	db := fresh(t)
	const groups, size = 6, 4
	unit := func(group, n int) []store.Write {
		var ws []store.Write
		for i := range size {
			k := store.Key{Type: "Patient", ID: fmt.Sprintf("g%d-%d", group, i)}
			ws = append(ws, store.Write{Expect: store.AnyVersion, Record: store.Record{Key: k, Raw: []byte(`{}`), Index: []string{
				fmt.Sprintf("group|%d", group), fmt.Sprintf("turn|%d", n%2), fmt.Sprintf("n|%06d", n),
			}}})
		}
		return ws
	}
	for g := range groups {
		if _, err := db.Apply(t.Context(), unit(g, 0)); err != nil {
			t.Fatal(err)
		}
	}
	var (
		stop  atomic.Bool
		wg    sync.WaitGroup
		units atomic.Int64
	)
	for w := range 2 {
		wg.Go(func() {
			for n := 1; !stop.Load(); n++ {
				if _, err := db.Apply(t.Context(), unit(w*3+n%3, n)); err != nil {
					t.Error(err)
					return
				}
				units.Add(1)
			}
		})
	}
	looks := 0
	enough := func() bool { return units.Load() >= 20 && looks >= 20 }
	begun := time.Now() // a slow server takes longer until enough has happened
	for ; (time.Since(begun) < 3*time.Second || !enough() && time.Since(begun) < 2*time.Minute) && !t.Failed(); looks++ {
		for turn := range 2 {
			where := store.Expr{Op: store.Equal, Param: "turn", Value: fmt.Sprint(turn)}
			if looks%2 == 1 {
				where = store.Expr{Op: store.Not, Args: []store.Expr{where}}
			}
			p := store.Plan{Type: "Patient", Where: where, Sort: [][]store.SortKey{nil, {{Param: store.ParamID}}, {{Param: "n"}}}[looks%3], Limit: 100}
			page, err := db.Search(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			n, err := db.Count(t.Context(), p)
			if err != nil || n%size != 0 {
				t.Fatalf("total %d, %v: part of a unit", n, err)
			}
			versions := map[string][]int64{}
			for _, rec := range page.Records {
				versions[rec.ID[:2]] = append(versions[rec.ID[:2]], rec.Version)
			}
			for group, vs := range versions {
				if len(vs) != size || slices.Min(vs) != slices.Max(vs) {
					t.Fatalf("%s of turn %d: versions %v, want %d of one", group, turn, vs, size)
				}
			}
		}
	}
	stop.Store(true)
	wg.Wait()
	t.Logf("%d looks during %d units", looks, units.Load())
	if !enough() {
		t.Errorf("too little happened to prove anything")
	}
}

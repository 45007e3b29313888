package mongo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/plan"
	"github.com/handoff-health/handoff/fhir/store/storetest"
)

// A world is heads written by hand, without a writer.
type world struct {
	db    *DB
	heads map[string]*headDoc
}

var worldStart = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func headOf(k store.Key, at time.Time, entries ...string) *headDoc {
	h := &headDoc{ID: keyOf(k), Type: encode(k.Type), ResourceID: encode(k.ID), State: State{Version: 1, Nonce: "n", Updated: resource.FormatInstant(at), Index: []string{}}}
	slices.Sort(entries)
	for _, e := range slices.Compact(entries) {
		h.Index = append(h.Index, entryOf(k.Type, e))
	}
	return h
}

func newWorld(t *testing.T, hs ...*headDoc) *world {
	t.Helper()
	w := &world{db: fresh(t), heads: map[string]*headDoc{}}
	for part := range slices.Chunk(hs, 1000) {
		if _, err := w.db.coll(heads).InsertMany(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range hs {
		w.heads[h.ID] = h
	}
	return w
}

// answer is what a search of all heads in memory gives.
func (w *world) answer(s *searcher) []string {
	var rows []row
	for id, h := range w.heads {
		if s.live(id, &h.State) {
			rows = append(rows, newRow(id, &h.State, s.orders))
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return compare(s.orders, &a, &b) })
	return idsOf(rows)
}

func idsOf(rows []row) []string {
	ids := []string{}
	for _, r := range rows {
		ids = append(ids, r.id)
	}
	return ids
}

// randomHeads have few parameters and values, so that conditions meet.
func randomHeads(r *rand.Rand, n int) []*headDoc {
	values := []string{"", "\x00", "a", "ab", "abc", "b", "ba", "é", "z\xff", "\xff", "\xff\xff"}
	var out []*headDoc
	for i := range n {
		typ := []string{"Patient", "Patient", "Patient", "Practitioner"}[r.IntN(4)]
		var entries []string
		for range r.IntN(8) {
			entries = append(entries, []string{"f", "g", "f:end", "ф"}[r.IntN(4)]+"|"+values[r.IntN(len(values))])
		}
		h := headOf(store.Key{Type: typ, ID: fmt.Sprintf("p%03d", i)}, worldStart.Add(time.Duration(r.IntN(n/2))*time.Second), entries...)
		if r.IntN(10) == 0 {
			h.Deleted, h.Index = true, []string{}
		}
		out = append(out, h)
	}
	return out
}

func randomExpr(r *rand.Rand, depth int) store.Expr {
	values := []string{"", "\x00", "a", "ab", "abc", "b", "ba", "é", "z\xff", "\xff", "\xff\xff"}
	param := []string{"f", "g", "f:end", "ф", "f|a", store.ParamID, store.ParamLastUpdated}[r.IntN(7)]
	value := func() string {
		switch param {
		case store.ParamID:
			return fmt.Sprintf("p%03d", r.IntN(300))
		case store.ParamLastUpdated:
			return resource.FormatInstant(worldStart.Add(time.Duration(r.IntN(150)) * time.Second))
		}
		return values[r.IntN(len(values))]
	}
	if depth > 0 && r.IntN(2) == 0 {
		e := store.Expr{Op: []store.Op{store.And, store.Or, store.Not}[r.IntN(3)]}
		n := 1
		if e.Op != store.Not {
			n = r.IntN(4)
		}
		for range n {
			e.Args = append(e.Args, randomExpr(r, depth-1))
		}
		return e
	}
	switch r.IntN(8) {
	case 0:
		return store.Expr{Op: store.All}
	case 1:
		return store.Expr{Op: store.Exists, Param: param}
	case 2, 3:
		e := store.Expr{Op: store.Range, Param: param, Low: value(), High: value()}
		if r.IntN(3) == 0 {
			e.High = ""
		}
		return e
	case 4, 5:
		v := value()
		return store.Expr{Op: store.Prefix, Param: param, Value: v[:r.IntN(len(v)+1)]}
	}
	return store.Expr{Op: store.Equal, Param: param, Value: value()}
}

func randomSort(r *rand.Rand) (out []store.SortKey) {
	for range r.IntN(4) {
		out = append(out, store.SortKey{Param: []string{"f", "g", "ф", "f|a", store.ParamID, store.ParamLastUpdated}[r.IntN(6)], Descending: r.IntN(2) == 0})
	}
	return out
}

// Whatever way is taken, the server's answer is that of looking at every head.
func TestEveryWayGivesTheSameRows(t *testing.T) {
	r := rand.New(rand.NewPCG(20260301, 6)) //nolint:gosec // test data
	w := newWorld(t, randomHeads(r, 300)...)
	plans := 80
	if testing.Short() {
		plans = 25
	}
	for i := range plans {
		p := store.Plan{Type: "Patient", Where: randomExpr(r, 3), Sort: randomSort(r), Limit: 1}
		s, err := w.db.searcher(p)
		if err != nil {
			t.Fatal(err)
		}
		if s.root.Kind == plan.Never {
			continue
		}
		want := w.answer(s)
		for name, way := range s.ways() {
			var got []row
			for from, need := (*row)(nil), 1+r.IntN(40); ; {
				rows, err := way(t.Context(), from, need)
				if err != nil {
					t.Fatalf("plan %d %+v: %s: %v", i, p, name, err)
				}
				if got = append(got, rows...); len(rows) < need {
					break
				}
				from = s.placeOf(rows[need-1].cursor(s.orders), s.orders)
			}
			if diff := cmp.Diff(want, idsOf(got)); diff != "" {
				t.Fatalf("plan %d %+v: %s (-want +got):\n%s", i, p, name, diff)
			}
		}
		if n, err := s.count(t.Context(), 0); err != nil || n != len(want) {
			t.Fatalf("plan %d %+v: count %d, %v, want %d", i, p, n, err, len(want))
		}
	}
}

// ways are all ways in which this plan could be answered.
func (s *searcher) ways() map[string]func(context.Context, *row, int) ([]row, error) {
	out := map[string]func(context.Context, *row, int) ([]row, error){
		"query": s.query,
		"walk":  s.walk,
		"whole": func(ctx context.Context, from *row, need int) ([]row, error) {
			return s.sorted(ctx, from, need, s.whole(), s.db.hintOf(fromType))
		},
	}
	if start := s.start(s.root); start != fromType {
		out["sorted"] = func(ctx context.Context, from *row, need int) ([]row, error) {
			return s.sorted(ctx, from, need, s.driven(), s.db.hintOf(start))
		}
	}
	return out
}

func TestDeepAndWideConditions(t *testing.T) {
	w := newWorld(t, randomHeads(rand.New(rand.NewPCG(1, 1)), 100)...) //nolint:gosec // test data
	eq := func(v string) store.Expr { return store.Expr{Op: store.Equal, Param: "f", Value: v} }
	deep := func(levels int) store.Expr {
		e := eq("a")
		for i := range levels {
			e = store.Expr{Op: []store.Op{store.And, store.Or}[i%2], Args: []store.Expr{e, {Op: store.Exists, Param: []string{"g", "f"}[i%2]}}}
		}
		return e
	}
	var many []store.Expr
	for i := range plan.MaxTerms - 3 {
		many = append(many, eq(strings.Repeat("x", 100)+fmt.Sprint(i)))
	}
	for name, where := range map[string]store.Expr{
		"deep": deep(plan.MaxDepth - 1), "wide": {Op: store.Or, Args: append(many, eq("a"))},
		"wide not": {Op: store.Not, Args: []store.Expr{{Op: store.Or, Args: many}}},
	} {
		s, err := w.db.searcher(store.Plan{Type: "Patient", Where: where, Limit: 100})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		rows, err := s.query(t.Context(), nil, 101)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(w.answer(s), idsOf(rows)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, err := w.db.searcher(store.Plan{Type: "Patient", Where: deep(plan.MaxDepth), Limit: 1}); err == nil {
		t.Error("a level more is taken")
	}
}

// Windows of time give every head once, however instants lie, also when more are
// written below and above what was remembered.
func TestTheOrderOfTimeInWindows(t *testing.T) {
	var hs []*headDoc
	add := func(n int, at time.Time, step time.Duration) {
		for range n {
			hs = append(hs, headOf(store.Key{Type: "Patient", ID: fmt.Sprintf("p%04d", len(hs)*7919%10007)}, at, fmt.Sprintf("g|%d", len(hs)%2)))
			at = at.Add(step)
		}
	}
	add(700, worldStart, time.Hour)                           // a trickle
	add(900, worldStart.AddDate(0, 2, 0), 0)                  // all at once
	add(600, worldStart.AddDate(0, 3, 0), time.Millisecond)   // a burst
	add(3, worldStart.AddDate(0, 9, 0), 100*time.Millisecond) // some later
	w := newWorld(t, hs...)
	w.db.now = func() time.Time { return worldStart.AddDate(1, 0, 0) }
	since := func(hours int) string {
		return resource.FormatInstant(worldStart.Add(time.Duration(hours) * time.Hour))
	}
	for _, where := range []store.Expr{
		{Op: store.All},
		{Op: store.Not, Args: []store.Expr{{Op: store.Equal, Param: "g", Value: "1"}}},
		{Op: store.Equal, Param: "g", Value: "1"},
		{Op: store.Not, Args: []store.Expr{{Op: store.Exists, Param: "g"}}},
		{Op: store.Range, Param: store.ParamLastUpdated, Low: since(600)},
		{Op: store.Range, Param: store.ParamLastUpdated, High: since(20)},
		{Op: store.Range, Param: store.ParamLastUpdated, Low: since(1), High: since(24 * 100)},
	} {
		for _, sort := range [][]store.SortKey{nil, {{Param: store.ParamLastUpdated}}} {
			w.inWindows(t, store.Plan{Type: "Patient", Where: where, Sort: sort, Limit: 1})
		}
	}
}

// inWindows walks a plan's answer in pages of several sizes, and again when it is known
// how far a page reaches.
func (w *world) inWindows(t *testing.T, p store.Plan) {
	t.Helper()
	s, err := w.db.searcher(p)
	if err != nil {
		t.Fatal(err)
	}
	want := w.answer(s)
	for _, need := range []int{5, 100, 201, 5} {
		var got []row
		for from := (*row)(nil); ; {
			rows, err := s.walkTime(t.Context(), from, need)
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, rows...); len(rows) < need || need < 10 && len(got) > 50 {
				break
			}
			from = &got[len(got)-1]
		}
		if diff := cmp.Diff(want[:len(got)], idsOf(got)); diff != "" {
			t.Fatalf("%+v in pages of %d (-want +got):\n%s", p, need, diff)
		}
		if need >= 10 && len(got) != len(want) {
			t.Fatalf("%+v in pages of %d: %d of %d", p, need, len(got), len(want))
		}
	}
}

// How far a page reached is no promise: what stood there may have been written since,
// and stands elsewhere now.
func TestTheOldestMoveAway(t *testing.T) {
	var hs []*headDoc
	for i := range 700 {
		hs = append(hs, headOf(store.Key{Type: "Patient", ID: fmt.Sprintf("p%04d", i)}, worldStart.Add(time.Duration(i)*time.Minute)))
	}
	w := newWorld(t, hs...)
	w.db.now = func() time.Time { return worldStart.AddDate(1, 0, 0) }
	p := store.Plan{Type: "Patient", Where: store.Expr{Op: store.All}, Sort: []store.SortKey{{Param: store.ParamLastUpdated}}, Limit: 1}
	w.inWindows(t, p)
	for _, h := range hs[:650] {
		h.Updated = resource.FormatInstant(worldStart.AddDate(0, 6, 0))
	}
	later := bson.M{"$set": bson.M{"u": hs[0].Updated}}
	if _, err := w.db.coll(heads).UpdateMany(t.Context(), bson.M{"_id": bson.M{"$lt": hs[650].ID}}, later); err != nil {
		t.Fatal(err)
	}
	w.inWindows(t, p)
}

// What judges heads in memory agrees with a model that shares nothing with it.
func TestConditionsJudgeAsTheModelDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7)) //nolint:gosec // test data
	m, live := storetest.NewModel(), map[string]*headDoc{}
	for _, h := range randomHeads(r, 300) {
		rec := &store.Record{Key: store.Key{Type: h.Type, ID: h.ResourceID}, Deleted: h.Deleted}
		var err error
		if rec.LastUpdated, err = parseInstant(h.Updated); err != nil {
			t.Fatal(err)
		}
		for _, e := range h.Index {
			entry, _ := decode(strings.TrimPrefix(e, h.Type+"|"))
			rec.Index = append(rec.Index, entry)
		}
		m.Put(rec)
		live[h.ID] = h
	}
	w := &world{heads: live}
	for i := range 3000 {
		p := store.Plan{Type: "Patient", Where: randomExpr(r, 3), Sort: randomSort(r), Limit: 1}
		c, err := newCondition(p)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, id := range m.Search(p) {
			want = append(want, "Patient/"+id)
		}
		got := w.answer(&searcher{condition: c, orders: c.orders(p)})
		if !slices.Equal(want, got) {
			t.Fatalf("plan %d %+v: got %v, want %v", i, p, got, want)
		}
	}
}

// A place that no page of this order ended at is no cursor, also if its hash is right.
func TestAForgedCursorIsRefused(t *testing.T) {
	p := store.Plan{Type: "Patient", Where: store.Expr{Op: store.All}, Limit: 1}
	p.After = (&plan.Cursor{Keys: []plan.Value{{Bytes: []byte("yesterday")}}, ID: "a"}).Encode(p)
	if _, err := fresh(t).Search(t.Context(), p); !errors.Is(err, store.ErrCursor) {
		t.Errorf("got %v", err)
	}
}

// What has the keys of ours under another name is taken for ours at the start, and
// serves: searches start from it, whatever way they take, and though another index has
// its keys too.
func TestIndexesOfOtherNamesServe(t *testing.T) {
	w := newWorld(t, randomHeads(rand.New(rand.NewPCG(3, 3)), 60)...) //nolint:gosec // test data
	for _, ix := range indexes {
		of := w.db.coll(ix.of).Indexes()
		if err := of.DropOne(t.Context(), ix.name); err != nil {
			t.Fatal(err)
		}
		ix.name = "my_" + ix.name
		if _, err := of.CreateOne(t.Context(), ix.model()); err != nil {
			t.Fatal(err)
		}
		beside := options.Index().SetName("beside_" + ix.name).SetPartialFilterExpression(bson.D{{Key: "v", Value: bson.D{{Key: "$gt", Value: 1000}}}})
		if _, err := of.CreateOne(t.Context(), driver.IndexModel{Keys: ix.keys, Options: beside}); err != nil {
			t.Fatal(err)
		}
	}
	if missing, err := w.db.missingIndexes(t.Context(), indexes); err != nil || len(missing) > 0 {
		t.Fatalf("missing: %v, %v", missing, err)
	}
	for _, where := range []store.Expr{{Op: store.All}, {Op: store.Exists, Param: "f"}, {Op: store.Equal, Param: store.ParamID, Value: "p001"}} {
		for _, sort := range [][]store.SortKey{nil, {{Param: store.ParamID}}, {{Param: "g"}}, {{Param: store.ParamLastUpdated}}} {
			s, err := w.db.searcher(store.Plan{Type: "Patient", Where: where, Sort: sort, Limit: 100})
			if err != nil {
				t.Fatal(err)
			}
			want := w.answer(s)
			ways := s.ways()
			ways["rows"] = func(ctx context.Context, _ *row, _ int) ([]row, error) { return s.rows(ctx) }
			for name, way := range ways {
				rows, err := way(t.Context(), nil, 100)
				if err != nil || !slices.Equal(want, idsOf(rows)) {
					t.Errorf("%+v by %v: %s: %v, %v, want %v", where, sort, name, idsOf(rows), err, want)
				}
			}
			if ids, err := s.every(t.Context()); err != nil || len(ids) != len(want) {
				t.Errorf("%+v: %d ids, %v, want %d", where, len(ids), err, len(want))
			}
			if n, err := w.db.Count(t.Context(), s.plan); err != nil || n != len(want) {
				t.Errorf("%+v: total %d, %v, want %d", where, n, err, len(want))
			}
		}
	}
}

package mongo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/event"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// trips notes the commands that a store sends: each is a way to the server and back.
type trips struct {
	mu   sync.Mutex
	sent []string
}

func (w *trips) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := w.sent
	w.sent = nil
	return sent
}

// watched opens a store whose commands are noted.
func watched(t *testing.T) (*DB, *trips) {
	t.Helper()
	uri := freshURI(t)
	db := openAt(t, uri, Options{SweepEvery: -1})
	w := &trips{}
	client, err := driver.Connect(options.Client().ApplyURI(uri).SetMonitor(&event.CommandMonitor{
		Started: func(_ context.Context, e *event.CommandStartedEvent) {
			w.mu.Lock()
			defer w.mu.Unlock()
			what, _ := e.Command.Lookup(e.CommandName).StringValueOK()
			w.sent = append(w.sent, e.CommandName+" "+what)
		},
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	db.base = client.Database(db.name)
	return db, w
}

func tripWrite(id string, expect int64, claims ...string) store.Write {
	return store.Write{Expect: expect, Claims: claims, Record: store.Record{
		Key: store.Key{Type: "Patient", ID: id}, Raw: []byte(`{"resourceType":"Patient","id":"` + id + `"}`), Index: []string{"family|sample", "identifier|" + id},
	}}
}

func tripDeletion(id string) store.Write {
	return store.Write{Expect: store.AnyVersion, Record: store.Record{Key: store.Key{Type: "Patient", ID: id}, Deleted: true}}
}

// Over a network every way to the server costs more than what is done there, so
// their number is held.
func TestOperationsGoToTheServerSeldom(t *testing.T) {
	db, sent := watched(t)
	ctx := context.Background()
	key := func(id string) store.Key { return store.Key{Type: "Patient", ID: id} }
	later := time.Now().Add(time.Hour)
	write := func(w store.Write) func() error {
		return func() error { _, err := db.Write(ctx, w); return err }
	}
	apply := func(ws ...store.Write) func() error {
		return func() error { _, err := db.Apply(ctx, ws); return err }
	}
	search := func(where store.Expr, sort []store.SortKey) func() error {
		return func() error {
			_, err := db.Search(ctx, store.Plan{Type: "Patient", Where: where, Sort: sort, Limit: 5})
			return err
		}
	}
	equal := store.Expr{Op: store.Equal, Param: "identifier", Value: "a"}
	var fact store.Fact
	for _, x := range []struct {
		name string
		most int
		do   func() error
	}{
		{"create", 5, write(tripWrite("a", store.Absent))},
		{"create with a claim", 7, write(tripWrite("b", store.Absent, "claim-b"))},
		{"compare-and-set", 4, write(tripWrite("a", 1))},
		{"compare-and-set of one that holds a claim", 4, write(tripWrite("b", 1, "claim-b"))},
		{"read", 2, func() error { _, err := db.Read(ctx, key("a")); return err }},
		{"read a version below the newest", 3, func() error { _, err := db.ReadVersion(ctx, key("a"), 1); return err }},
		{"history", 2, func() error { _, err := db.History(ctx, key("a"), 0, 10); return err }},
		{"unit of 3 creates", 10, apply(tripWrite("c", 0), tripWrite("d", 0), tripWrite("e", 0))},
		{"unit of 3 updates", 9, apply(tripWrite("c", 1), tripWrite("d", 1), tripWrite("e", 1))},
		{"unit of creates and updates", 11, apply(tripWrite("c", 2), tripWrite("f", 0), tripWrite("g", 0))},
		{"unit of 20 creates", 10, func() error {
			var ws []store.Write
			for i := range 20 {
				ws = append(ws, tripWrite(fmt.Sprint("many", i), 0))
			}
			_, err := db.Apply(ctx, ws)
			return err
		}},
		{"unit of 100 creates", 11, func() error {
			var ws []store.Write
			for i := range 100 {
				ws = append(ws, tripWrite(fmt.Sprint("lots", i), 0))
			}
			_, err := db.Apply(ctx, ws)
			return err
		}},
		{"search, one hit", 4, search(equal, nil)},
		{"search, sorted by a parameter", 4, search(equal, []store.SortKey{{Param: "family"}})},
		{"search by id", 4, search(store.Expr{Op: store.All}, []store.SortKey{{Param: store.ParamID}})},
		{"search, newest of all for the first time", 5, search(store.Expr{Op: store.All}, nil)},
		{"search, newest of all", 4, search(store.Expr{Op: store.All}, nil)},
		{"search, oldest of all for the first time", 5, search(store.Expr{Op: store.All}, []store.SortKey{{Param: store.ParamLastUpdated}})},
		{"search, oldest of all", 4, search(store.Expr{Op: store.All}, []store.SortKey{{Param: store.ParamLastUpdated}})},
		{"search, what was written lately", 4, search(store.Expr{Op: store.Range, Param: store.ParamLastUpdated, Low: "2026-01-01T00:00:00.000Z"}, nil)},
		{"search, none", 3, search(store.Expr{Op: store.Equal, Param: "family", Value: "nobody"}, nil)},
		{"count", 3, func() error { _, err := db.Count(ctx, store.Plan{Type: "Patient", Where: equal, Limit: 1}); return err }},
		{"create with three claims", 7, write(tripWrite("h", store.Absent, "1", "2", "3"))},
		{"an update that gives up two claims", 6, write(tripWrite("h", 1, "1"))},
		{"unit that deletes what holds claims", 11, apply(tripDeletion("b"), tripDeletion("h"))},
		{"epoch", 1, func() error { _, err := db.Epoch(ctx); return err }},
		{"put a fact", 3, func() (err error) { fact, err = db.PutIfAbsent(ctx, "k", []byte("v"), later); return err }}, // one reserves numbers
		{"put another fact", 2, func() error { _, err := db.PutIfAbsent(ctx, "k2", []byte("v"), later); return err }},
		{"get a fact", 1, func() error { _, err := db.Get(ctx, "k"); return err }},
		{"remove a fact", 3, func() error { return db.Delete(ctx, "k2") }},
		{"remove a fact that is not there", 2, func() error { return db.Delete(ctx, "k2") }},
		{"replace a fact", 2, func() error { _, err := db.CompareAndSet(ctx, "k", fact.Version, []byte("w"), later); return err }},
		{"gather facts", 1, func() error { _, err := db.Gather(ctx, []string{"k", "k2", "k3"}); return err }},
		{"append", 2, func() error { _, err := db.Append(ctx, "s", []byte("x")); return err }},
		{"append again", 1, func() error { _, err := db.Append(ctx, "s", []byte("x")); return err }},
		{"read a stream", 1, func() error { _, err := db.ReadFrom(ctx, "s", 1, 10); return err }},
	} {
		sent.take()
		if err := x.do(); err != nil {
			t.Fatalf("%s: %v", x.name, err)
		}
		got := sent.take()
		t.Logf("%-42s %d: %s", x.name, len(got), strings.Join(got, ", "))
		if len(got) > x.most {
			t.Errorf("%s goes to the server %d times, at most %d are allowed: %s", x.name, len(got), x.most, strings.Join(got, ", "))
		}
	}
}

// In the order of a parameter the server sorts, however much is found: one query.
func TestASortByAParameterIsOneQuery(t *testing.T) {
	db, sent := watched(t)
	ctx := context.Background()
	for _, many := range []int{3, 2 * few} {
		var ws []store.Write
		for i := range many {
			w := tripWrite(fmt.Sprint("n", many, "-", i), store.Absent)
			w.Index = []string{fmt.Sprint("city|", many), fmt.Sprintf("family|f%03d", i*7%100)}
			ws = append(ws, w)
		}
		if _, err := db.Apply(ctx, ws); err != nil {
			t.Fatal(err)
		}
		p := store.Plan{Type: "Patient", Where: store.Expr{Op: store.Equal, Param: "city", Value: fmt.Sprint(many)}, Sort: []store.SortKey{{Param: "family"}}, Limit: 2}
		if _, err := db.Search(ctx, p); err != nil { // asks what the server is, once
			t.Fatal(err)
		}
		db.sighted.Store(nil)
		sent.take()
		page, err := db.Search(ctx, p)
		if err != nil || len(page.Records) != 2 || page.Records[0].ID != fmt.Sprint("n", many, "-0") {
			t.Fatalf("%d found: %d records, %v", many, len(page.Records), err)
		}
		if got := sent.take(); len(got) != 4 {
			t.Errorf("%d found: %d ways to the server instead of 4: %s", many, len(got), strings.Join(got, ", "))
		}
	}
}

// How much a search finds is not found out for each page.
func TestPlentyIsCountedOnce(t *testing.T) {
	db, sent := watched(t)
	var hs []*headDoc
	for i := range many + 10 {
		hs = append(hs, headOf(store.Key{Type: "Patient", ID: fmt.Sprintf("p%06d", i)}, worldStart.Add(time.Duration(i)*time.Second), "gender|male", fmt.Sprint("middling|", i < 3*few)))
	}
	for part := range slices.Chunk(hs, 1000) {
		if _, err := db.coll(heads).InsertMany(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
	all, middling := store.Expr{Op: store.Equal, Param: "gender", Value: "male"}, store.Expr{Op: store.Equal, Param: "middling", Value: "true"}
	for _, p := range []store.Plan{
		{Where: all}, {Where: all, Sort: []store.SortKey{{Param: store.ParamLastUpdated}}}, {Where: all, Sort: []store.SortKey{{Param: store.ParamID}}},
		{Where: middling}, {Where: middling, Sort: []store.SortKey{{Param: store.ParamID}}},
		{Where: store.Expr{Op: store.Range, Param: store.ParamLastUpdated, Low: resource.FormatInstant(worldStart.Add(time.Hour))}},
	} {
		p.Type, p.Limit = "Patient", 20
		s, err := db.searcher(p)
		if err != nil {
			t.Fatal(err)
		}
		first, err := s.query(t.Context(), nil, 21)
		if err != nil {
			t.Fatal(err)
		}
		sent.take()
		again, err := s.query(t.Context(), nil, 21)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(idsOf(first), idsOf(again)); diff != "" || len(again) != 21 {
			t.Errorf("%+v, again (-want +got):\n%s", p, diff)
		}
		if got := sent.take(); len(got) != 1 {
			t.Errorf("%+v: %d ways to the server instead of 1: %s", p, len(got), strings.Join(got, ", "))
		}
	}
}

// A search goes by what its process has seen of the epoch not long ago, as a gateway's
// requests do that ask for it first, and by nothing older.
func TestASearchGoesByAnEpochSeenLately(t *testing.T) {
	db, sent := watched(t)
	ctx := context.Background()
	if _, err := db.Write(ctx, tripWrite("a", store.Absent)); err != nil {
		t.Fatal(err)
	}
	p := store.Plan{Type: "Patient", Where: store.Expr{Op: store.Equal, Param: "identifier", Value: "a"}, Limit: 5}
	for _, x := range []struct {
		name string
		at   time.Time
		want int
	}{
		{"seen now", time.Now().Add(time.Hour), 3},
		{"seen a second ago", time.Now().Add(-time.Second), 4},
	} {
		n, err := db.Epoch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		db.sighted.Store(&sighting{n, x.at})
		sent.take()
		db.searchKnows(ctx, t, p)
		if got := sent.take(); len(got) != x.want {
			t.Errorf("%s: %d ways to the server instead of %d: %s", x.name, len(got), x.want, strings.Join(got, ", "))
		}
	}
}

func (db *DB) searchKnows(ctx context.Context, t *testing.T, p store.Plan) {
	t.Helper()
	page, err := db.Search(ctx, p)
	if err != nil || len(page.Records) != 1 {
		t.Fatalf("%d records, %v", len(page.Records), err)
	}
}

func TestTheNewestSightingStays(t *testing.T) {
	var db DB
	at := time.Now()
	for _, x := range []struct {
		n    int64
		at   time.Time
		want sighting
	}{
		{5, at, sighting{5, at}},
		{4, at.Add(time.Second), sighting{5, at}},
		{5, at.Add(-time.Second), sighting{5, at}},
		{5, at.Add(time.Second), sighting{5, at.Add(time.Second)}},
		{6, at, sighting{6, at}},
	} {
		if db.sight(x.n, x.at); *db.sighted.Load() != x.want {
			t.Errorf("after %d at %v: %+v", x.n, x.at, *db.sighted.Load())
		}
	}
}

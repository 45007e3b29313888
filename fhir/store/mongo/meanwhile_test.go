package mongo

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// What happens between two queries of one search.

// meanwhile has what happens between the queries of a store: do is called before each
// find, with its collection and how many finds of that collection came before.
func meanwhile(t *testing.T, db *DB, do func(collection string, before int)) {
	t.Helper()
	uri, counts := freshURI(t), map[string]int{}
	client, err := driver.Connect(options.Client().ApplyURI(uri).SetMonitor(&event.CommandMonitor{
		Started: func(_ context.Context, e *event.CommandStartedEvent) {
			if what, ok := e.Command.Lookup("find").StringValueOK(); ok {
				do(what, counts[what])
				counts[what]++
			}
		},
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	db.base = client.Database(db.name)
}

func TestAHeadThatMovesToANewerWindowIsFound(t *testing.T) {
	var hs []*headDoc
	for i := range 3000 {
		entry := "g|many"
		if i == 0 {
			entry = "g|one"
		}
		hs = append(hs, headOf(store.Key{Type: "Patient", ID: fmt.Sprintf("p%04d", i)}, worldStart.Add(time.Duration(i)*time.Hour), entry))
	}
	w := newWorld(t, hs...)
	w.db.now = func() time.Time { return worldStart.AddDate(1, 0, 0) }
	other := w.db.base
	// A type that is searched by what it is not is walked.
	p := store.Plan{Type: "Patient", Where: store.Expr{Op: store.Not, Args: []store.Expr{{Op: store.Equal, Param: "g", Value: "many"}}}, Limit: 1}
	s, err := w.db.searcher(p)
	if err != nil {
		t.Fatal(err)
	}
	moved := false
	meanwhile(t, w.db, func(what string, before int) {
		if what != heads.name || before != 1 {
			return
		}
		moved = true
		at := resource.FormatInstant(worldStart.AddDate(1, 0, 0))
		if _, err := other.Collection(heads.name).UpdateOne(context.Background(), bson.M{"_id": hs[0].ID}, bson.M{"$set": bson.M{"u": at}}); err != nil {
			t.Error(err)
		}
	})
	rows, err := s.walkTime(t.Context(), nil, 2)
	if err != nil {
		t.Fatal(err)
	}
	if !moved {
		t.Fatal("there was one window: nothing is shown")
	}
	if len(rows) != 1 || rows[0].id != hs[0].ID {
		t.Errorf("found %v of the one that was there all the time", idsOf(rows))
	}
}

// A process stands still before it asks for the units; the sweep of another forgets
// the one of which it has seen half.
func TestAJournalThatComesTooLateIsNotBelieved(t *testing.T) {
	hs := moved("u1")
	u := unitOf(committed, unnumbered, hs)
	w := newWorld(t, rolled(hs[0]), hs[1], hs[2])
	other := w.db.base
	if _, err := other.Collection(units.name).InsertOne(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	p := store.Plan{Type: "Patient", Where: store.Expr{Op: store.Equal, Param: "g", Value: "new"}, Sort: []store.SortKey{{Param: store.ParamID}}, Limit: 5}
	s, err := w.db.searcher(p)
	if err != nil {
		t.Fatal(err)
	}
	meanwhile(t, w.db, func(what string, before int) {
		if what != units.name || before != 0 {
			return
		}
		w.db.late = unitKept
		if _, err := other.Collection(units.name).DeleteOne(context.Background(), bson.M{"_id": u.ID}); err != nil {
			t.Error(err)
		}
	})
	if rows, err := s.rows(t.Context()); err == nil {
		t.Errorf("half a unit: %v", idsOf(rows))
	}
}

// A search ends, and shows units as a whole, though at each of its steps another unit is
// written that bears on it.
func TestASearchEndsHoweverMuchIsWritten(t *testing.T) {
	uri := freshURI(t)
	db, other := openAt(t, uri, Options{SweepEvery: -1}), openAt(t, uri, Options{SweepEvery: -1})
	written := 0
	write := func() {
		var ws []store.Write
		for i := range 3 {
			k := store.Key{Type: "Patient", ID: fmt.Sprintf("p%d-%d", written, i)}
			ws = append(ws, store.Write{Record: store.Record{Key: k, Raw: []byte(`{}`), Index: []string{"g|x"}}, Expect: store.Absent})
		}
		if _, err := other.Apply(context.Background(), ws); err != nil {
			t.Error(err)
		}
		written++
	}
	write()
	steps := 0
	client, err := driver.Connect(options.Client().ApplyURI(uri).SetMonitor(&event.CommandMonitor{
		Started: func(_ context.Context, e *event.CommandStartedEvent) {
			of, _ := e.Command.Lookup(e.CommandName).StringValueOK()
			if of != heads.name && of != units.name {
				return
			}
			if steps++; steps > 50 {
				t.Fatal("it goes on for ever")
			}
			write()
		},
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	db.base = client.Database(db.name)
	for name, where := range map[string]store.Expr{"all": {Op: store.All}, "by an entry": {Op: store.Equal, Param: "g", Value: "x"}} {
		p := store.Plan{Type: "Patient", Where: where, Sort: []store.SortKey{{Param: store.ParamID}}, Limit: 1000}
		steps = 0
		before := 3 * written
		page, err := db.Search(t.Context(), p)
		if n := len(page.Records); err != nil || n%3 != 0 || n < before || n > 3*written {
			t.Errorf("%s: %d records, %v; there were %d before and %d after", name, n, err, before, 3*written)
		}
		steps, before = 0, 3*written
		n, err := db.Count(t.Context(), p)
		if err != nil || n%3 != 0 || n < before || n > 3*written {
			t.Errorf("%s: total %d, %v; there were %d before and %d after", name, n, err, before, 3*written)
		}
	}
	t.Logf("%d units", written)
}

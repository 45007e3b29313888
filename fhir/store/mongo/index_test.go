package mongo

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store"
)

// A sought is a filter by which a command finds documents of a collection.
type sought struct {
	of     string
	filter bson.Raw
}

// filtersOf gives the filters of a command, whatever it does with what they find.
func filtersOf(name string, command bson.Raw) (out []sought) {
	of, _ := command.Lookup(name).StringValueOK()
	add := func(v bson.RawValue) {
		if filter, ok := v.DocumentOK(); ok {
			out = append(out, sought{of, slices.Clone(filter)})
		}
	}
	each := func(list string, field string) {
		array, _ := command.Lookup(list).ArrayOK()
		values, _ := array.Values()
		for _, v := range values {
			if doc, ok := v.DocumentOK(); ok {
				add(doc.Lookup(field))
			}
		}
	}
	switch name {
	case "find":
		add(command.Lookup("filter"))
	case "findAndModify":
		add(command.Lookup("query"))
	case "update":
		each("updates", "q")
	case "delete":
		each("deletes", "q")
	case "aggregate":
		add(command.Lookup("pipeline", "0", "$match"))
	}
	return out
}

// bounded says whether a filter has a condition that bounds an index on a field. That a
// field is not there bounds no sparse index.
func bounded(filter bson.Raw, field string, sparse bool) bool {
	fields, _ := filter.Elements()
	return slices.ContainsFunc(fields, func(f bson.RawElement) bool {
		array, _ := f.Value().ArrayOK()
		args, _ := array.Values()
		arg := func(v bson.RawValue) bool {
			doc, ok := v.DocumentOK()
			return ok && bounded(doc, field, sparse)
		}
		switch f.Key() {
		case "$and":
			return slices.ContainsFunc(args, arg)
		case "$or":
			return !slices.ContainsFunc(args, func(v bson.RawValue) bool { return !arg(v) })
		case field:
			return boundsIt(f.Value(), sparse)
		}
		return false
	})
}

func boundsIt(v bson.RawValue, sparse bool) bool {
	doc, ok := v.DocumentOK()
	if !ok {
		return v.Type != bson.TypeNull || !sparse
	}
	ops, _ := doc.Elements()
	return slices.ContainsFunc(ops, func(op bson.RawElement) bool {
		switch op.Key() {
		case "$eq", "$in", "$gt", "$gte", "$lt", "$lte", "$elemMatch":
			return true
		case "$exists":
			there, _ := op.Value().BooleanOK()
			return there || !sparse
		}
		return false
	})
}

// indexOf names an index of a collection that a filter bounds, "" for none.
func indexOf(s sought) string {
	if bounded(s.filter, "_id", false) {
		return "_id_"
	}
	for _, ix := range indexes {
		if ix.of.name == s.of && bounded(s.filter, ix.keys[0].Key, ix.sparse) {
			return ix.name
		}
	}
	return ""
}

func TestWhatBoundsAnIndex(t *testing.T) {
	for _, tt := range []struct {
		of     collection
		filter bson.D
		want   string
	}{
		{heads, bson.D{{Key: "_id", Value: "x"}}, "_id_"},
		{heads, bson.D{{Key: "v", Value: 5}}, ""},
		{heads, bson.D{{Key: "$or", Value: bson.A{bson.D{{Key: "ix", Value: "a"}}, bson.D{{Key: "v", Value: 5}}}}}, ""},
		{heads, bson.D{{Key: "$and", Value: bson.A{bson.D{{Key: "ix", Value: "a"}}, bson.D{{Key: "v", Value: 5}}}}}, "entry"},
		{heads, bson.D{{Key: "xt", Value: bson.D{{Key: "$exists", Value: false}}}}, ""},
		{heads, bson.D{{Key: "ix", Value: bson.D{{Key: "$ne", Value: "a"}}}}, ""},
		{units, bson.D{{Key: "at", Value: bson.D{{Key: "$lt", Value: 5}}}}, ""},
	} {
		raw, err := bson.Marshal(tt.filter)
		if err != nil {
			t.Fatal(err)
		}
		if got := indexOf(sought{tt.of.name, raw}); got != tt.want {
			t.Errorf("%s %v: %q, want %q", tt.of.name, tt.filter, got, tt.want)
		}
	}
}

// Whatever the store does, all that it finds it finds by an index: its searches, which
// TestSearchesUseTheirIndexes has explained, and all else.
func TestEveryCommandHasAnIndex(t *testing.T) {
	uri := freshURI(t)
	clock := &ticker{at: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)}
	db := openAt(t, uri, Options{Now: clock.now, SweepEvery: -1})
	db.patience = time.Millisecond
	var (
		mu   sync.Mutex
		sent = map[string]sought{}
	)
	client, err := driver.Connect(options.Client().ApplyURI(uri).SetMonitor(&event.CommandMonitor{
		Started: func(_ context.Context, e *event.CommandStartedEvent) {
			mu.Lock()
			defer mu.Unlock()
			for _, s := range filtersOf(e.CommandName, e.Command) {
				sent[e.CommandName+" "+s.of+" "+shapeOf(s.filter)] = s
			}
		},
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	db.base = client.Database(db.name)
	useAll(t, db, clock)
	if len(sent) < 40 {
		t.Errorf("only %d kinds of commands were seen", len(sent))
	}
	what, err := db.Deployment(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for kind, s := range sent {
		ix := indexOf(s)
		t.Logf("%-8s %s", ix, kind)
		if ix == "" {
			t.Errorf("no index helps with %s", kind)
		}
		if strings.Contains(what, "not mongod") {
			continue
		}
		find, err := bson.Marshal(bson.D{{Key: "find", Value: s.of}, {Key: "filter", Value: s.filter}})
		if err != nil {
			t.Fatal(err)
		}
		e, err := readExplain(explain(t, db, find))
		if err == nil {
			err = e.fault()
		}
		if err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// useAll has a store do everything, also what it does for writers that have died.
func useAll(t *testing.T, db *DB, clock *ticker) {
	t.Helper()
	ctx, gone := t.Context(), errors.New("died")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key := func(id string) store.Key { return store.Key{Type: "Patient", ID: id} }
	_, err := db.Apply(ctx, []store.Write{tripWrite("a", 0, "x", "y"), tripWrite("b", 0)})
	must(err)
	_, err = db.Apply(ctx, []store.Write{tripWrite("a", 1, "x"), tripWrite("b", 1, "y")}) // passes a claim on
	must(err)
	_, err = db.Write(ctx, tripWrite("c", 0, "x"))
	if !errors.Is(err, store.ErrExists) {
		t.Fatal(err)
	}
	_, err = db.Write(ctx, tripWrite("c", 0))
	must(err)
	for _, point := range []string{"versions", "intents", "visible", "claims"} {
		db.onStep = func(p string) error {
			if p == point {
				return gone
			}
			return nil
		}
		if _, err := db.Apply(ctx, []store.Write{tripWrite("b", -1, "y", "z"), tripWrite("c", -1, point)}); !errors.Is(err, gone) {
			t.Fatalf("%s: %v", point, err)
		}
		if _, err := db.Write(ctx, tripWrite("d"+point, -1, "d"+point)); err != nil && !errors.Is(err, gone) { // a single write has not all of them
			t.Fatalf("%s: %v", point, err)
		}
		db.onStep = nil
		_, err = db.Write(ctx, tripWrite("c", -1))
		must(err)
	}
	_, err = db.Read(ctx, key("a"))
	must(err)
	_, err = db.ReadVersion(ctx, key("a"), 1)
	must(err)
	_, err = db.History(ctx, key("a"), 0, 5)
	must(err)
	must(db.Expunge(ctx, key("b")))
	f, err := db.PutIfAbsent(ctx, "k", nil, clock.now().Add(time.Second))
	must(err)
	_, err = db.CompareAndSet(ctx, "k", f.Version, nil, clock.now().Add(time.Second))
	must(err)
	_, err = db.Gather(ctx, []string{"k", "l"})
	must(err)
	_, err = db.Scan(ctx, "k", "", 5)
	must(err)
	must(db.Delete(ctx, "l"))
	_, err = db.Append(ctx, "s", []byte("x"))
	must(err)
	_, err = db.Append(ctx, "s", make([]byte, maxInline+1))
	must(err)
	_, err = db.ReadFrom(ctx, "s", 1, 5)
	must(err)
	must(db.Checkpoint(ctx, "s", "r", 1))
	_, err = db.Position(ctx, "s", "r")
	must(err)
	must(db.Ping(ctx))
	for range 3 {
		clock.advance(2 * orphanAge)
		_, err = db.Sweep(ctx)
		must(err)
	}
	var left []unitDoc
	if err := db.findAll(ctx, units, bson.M{"_id": bson.M{"$gte": ""}}, nil, &left); err != nil || len(left) > 0 {
		t.Errorf("units are left: %v, %v", left, err)
	}
}

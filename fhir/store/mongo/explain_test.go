package mongo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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

// An explained command is what a server says of how it goes about one: the stages of
// the plan it has chosen, and the indexes they use.
type explained struct {
	stages  []string
	indexes []string
	wide    []string // indexes that are read from end to end
}

// readExplain reads the answer to explain of mongod or mongos, from 5.0 on: the
// winning plan of a find, of the $cursor of an aggregation, of each shard, and with
// the plan of the slot-based engine (queryPlan) or without. Plans that were rejected,
// and the command itself, are not read.
// https://www.mongodb.com/docs/manual/reference/explain-results/
func readExplain(raw bson.Raw) (explained, error) {
	var e explained
	if err := e.read(raw, false); err != nil {
		return e, err
	}
	if len(e.stages) == 0 {
		return e, errors.New("no winning plan in it")
	}
	return e, nil
}

func (e *explained) read(doc bson.Raw, winning bool) error {
	fields, err := doc.Elements()
	if err != nil {
		return err
	}
	for _, f := range fields {
		switch key := f.Key(); key {
		case "rejectedPlans", "command", "serverInfo", "parsedQuery", "slotBasedPlan", "executionStats":
			continue
		case "winningPlan":
			if err := e.value(f.Value(), true); err != nil {
				return err
			}
			continue
		case "stage":
			if stage, ok := f.Value().StringValueOK(); ok && winning {
				e.stages = append(e.stages, stage)
			}
		case "indexName":
			if name, ok := f.Value().StringValueOK(); ok && winning {
				e.indexes = append(e.indexes, name)
				if unbounded(doc) {
					e.wide = append(e.wide, name)
				}
			}
		}
		if err := e.value(f.Value(), winning); err != nil {
			return err
		}
	}
	return nil
}

func (e *explained) value(v bson.RawValue, winning bool) error {
	if doc, ok := v.DocumentOK(); ok {
		return e.read(doc, winning)
	}
	if list, ok := v.ArrayOK(); ok {
		values, err := list.Values()
		if err != nil {
			return err
		}
		for _, v := range values {
			if err := e.value(v, winning); err != nil {
				return err
			}
		}
	}
	return nil
}

// unbounded says whether a stage reads its index from end to end.
func unbounded(stage bson.Raw) bool {
	bounds, ok := stage.Lookup("indexBounds").DocumentOK()
	if !ok {
		return false
	}
	fields, err := bounds.Elements()
	if err != nil || len(fields) == 0 {
		return false
	}
	list, ok := fields[0].Value().ArrayOK()
	if !ok {
		return false
	}
	of, err := list.Values()
	if err != nil || len(of) == 0 {
		return false
	}
	s, _ := of[0].StringValueOK()
	return s == "[MinKey, MaxKey]" || s == "[MaxKey, MinKey]"
}

// fault says what is wrong with a plan: it reads all of the collection, or all of an
// index, or no index at all.
func (e explained) fault() error {
	byIndex := []string{"IXSCAN", "IDHACK", "EXPRESS_IXSCAN", "COUNT_SCAN", "DISTINCT_SCAN", "EOF"}
	switch {
	case slices.Contains(e.stages, "COLLSCAN"):
		return fmt.Errorf("it reads the collection: %v", e.stages)
	case len(e.wide) > 0:
		return fmt.Errorf("it reads all of the index %v", e.wide)
	case !slices.ContainsFunc(e.stages, func(s string) bool { return slices.Contains(byIndex, s) }):
		return fmt.Errorf("it uses no index: %v", e.stages)
	}
	return nil
}

// The documents are written after the reference, so that there are plans of every kind;
// those of a server are read by TestSearchesUseTheirIndexes.
func TestReadingExplain(t *testing.T) {
	for file, want := range map[string]struct {
		stages, indexes string
		fault           string
	}{
		"find.json":       {"SORT FETCH IXSCAN", "entry", ""},
		"window.json":     {"LIMIT FETCH IXSCAN", "newest", ""},
		"id.json":         {"IDHACK", "", ""},
		"express.json":    {"EXPRESS_IXSCAN", "_id_", ""},
		"or.json":         {"SORT FETCH OR IXSCAN IXSCAN", "entry entry", ""},
		"slots.json":      {"GROUP FETCH IXSCAN", "entry", ""},
		"aggregate.json":  {"PROJECTION_DEFAULT FETCH IXSCAN", "newest", ""},
		"sharded.json":    {"SHARD_MERGE SORT FETCH IXSCAN FETCH COLLSCAN", "entry", "reads the collection"},
		"collection.json": {"SORT COLLSCAN", "", "reads the collection"},
		"wide.json":       {"FETCH IXSCAN", "entry", "all of the index"},
		"none.json":       {"PROJECTION_SIMPLE", "", "no index"},
	} {
		raw, err := os.ReadFile(filepath.Join("testdata", "explain", file))
		if err != nil {
			t.Fatal(err)
		}
		var doc bson.Raw
		if err := bson.UnmarshalExtJSON(raw, false, &doc); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		got, err := readExplain(doc)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if s := strings.Join(got.stages, " "); s != want.stages {
			t.Errorf("%s: stages %q, want %q", file, s, want.stages)
		}
		if s := strings.Join(got.indexes, " "); s != want.indexes {
			t.Errorf("%s: indexes %q, want %q", file, s, want.indexes)
		}
		if err := got.fault(); (err == nil) != (want.fault == "") || err != nil && !strings.Contains(err.Error(), want.fault) {
			t.Errorf("%s: fault %v, want %q", file, err, want.fault)
		}
	}
	if _, err := readExplain(bson.Raw("\x05\x00\x00\x00\x00")); err == nil {
		t.Error("an answer without a plan is taken")
	}
}

// listened opens a store whose searching commands are kept.
func listened(t *testing.T) (*DB, func() []bson.Raw) {
	t.Helper()
	uri := freshURI(t)
	db := openAt(t, uri, Options{SweepEvery: -1})
	var (
		mu   sync.Mutex
		sent []bson.Raw
	)
	client, err := driver.Connect(options.Client().ApplyURI(uri).SetMonitor(&event.CommandMonitor{
		Started: func(_ context.Context, e *event.CommandStartedEvent) {
			if e.CommandName == "find" || e.CommandName == "aggregate" {
				mu.Lock()
				defer mu.Unlock()
				sent = append(sent, slices.Clone(e.Command))
			}
		},
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	db.base = client.Database(db.name)
	return db, func() []bson.Raw {
		mu.Lock()
		defer mu.Unlock()
		out := sent
		sent = nil
		return out
	}
}

// explain asks the server how it would go about a command that a store has sent.
func explain(t *testing.T, db *DB, command bson.Raw) bson.Raw {
	t.Helper()
	var bare bson.D
	fields, err := command.Elements()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		if !slices.Contains([]string{"lsid", "$db", "$clusterTime", "$readPreference", "readConcern", "txnNumber", "apiVersion", "maxTimeMS"}, f.Key()) {
			bare = append(bare, bson.E{Key: f.Key(), Value: f.Value()})
		}
	}
	raw, err := db.base.RunCommand(t.Context(), bson.D{{Key: "explain", Value: bare}, {Key: "verbosity", Value: "queryPlanner"}}).Raw()
	if err != nil {
		t.Fatalf("explain %s: %v", command, err)
	}
	return raw
}

// tableScan finds in a plan of PostgreSQL, which the compatible server gives, that a
// collection is read from end to end: outright, or by an index of which nothing but
// the number of the collection is asked.
var tableScan = regexp.MustCompile(`"Seq Scan"|"Index Cond": "\(shard_key_value = '\d+'::bigint\)"`)

// shapes are all the kinds of searches that are sent to the server differently.
func shapes() map[string]store.Plan {
	op := func(o store.Op, args ...store.Expr) store.Expr { return store.Expr{Op: o, Args: args} }
	eq := func(param, v string) store.Expr { return store.Expr{Op: store.Equal, Param: param, Value: v} }
	within := func(param, low, high string) store.Expr {
		return store.Expr{Op: store.Range, Param: param, Low: low, High: high}
	}
	token, male, all := eq("identifier", "urn:x|p000777"), eq("gender", "male"), store.Expr{Op: store.All}
	family := store.Expr{Op: store.Prefix, Param: "family", Value: "f12"}
	wheres := map[string]store.Expr{
		"all": all, "token": token, "half of all": male, "prefix": family, "exists": {Op: store.Exists, Param: "gender"},
		"family and birth date": op(store.And, within("birthdate", "1960", "1974"), family),
		"tokens":                op(store.Or, token, eq("identifier", "urn:x|p000778"), eq("family", "f001")),
		"ranges":                op(store.Or, within("birthdate", "1960", "1961"), within("birthdate", "1970", "1971")),
		"not":                   op(store.Not, male), "token and not": op(store.And, token, op(store.Not, male)),
		"ids":        op(store.Or, eq(store.ParamID, "p000001"), eq(store.ParamID, "p000002")),
		"id and not": op(store.And, eq(store.ParamID, "p000001"), op(store.Not, male)),
		"id or else": op(store.Or, eq(store.ParamID, "p000001"), token), "ids from": within(store.ParamID, "p0015", ""),
		"since": within(store.ParamLastUpdated, "2026-03-01T08:30:00.000Z", ""), "half since": op(store.And, male, within(store.ParamLastUpdated, "2026-03-01T08:30:00.000Z", "")),
	}
	sorts := map[string][]store.SortKey{
		"newest": nil, "by id": {{Param: store.ParamID}}, "by id, last first": {{Param: store.ParamID, Descending: true}},
		"oldest": {{Param: store.ParamLastUpdated}}, "by birth date": {{Param: "birthdate"}}, "by family and birth date": {{Param: "family"}, {Param: "birthdate", Descending: true}},
	}
	out := map[string]store.Plan{}
	for w, where := range wheres {
		for s, sort := range sorts {
			out[w+", "+s] = store.Plan{Type: "Patient", Where: where, Sort: sort, Limit: 20}
		}
	}
	return out
}

// No search reads a collection from end to end, whatever its shape, neither its first
// page nor a later one nor its total.
func TestSearchesUseTheirIndexes(t *testing.T) {
	db, sent := listened(t)
	var hs []*headDoc
	for i := range 2000 {
		hs = append(hs, headOf(store.Key{Type: "Patient", ID: fmt.Sprintf("p%06d", i)}, worldStart.Add(time.Duration(i)*time.Second),
			"active|true", "gender|"+[]string{"male", "female"}[i%2], fmt.Sprintf("family|f%03d", i%997), fmt.Sprintf("identifier|urn:x|p%06d", i),
			"birthdate|"+time.Date(1940, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, (i*7919)%25000).Format(time.DateOnly)))
	}
	for part := range slices.Chunk(hs, 1000) {
		if _, err := db.coll(heads).InsertMany(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
	what, err := db.Deployment(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mongod := !strings.Contains(what, "not mongod")
	if !mongod {
		t.Logf("NOT ASSERTED: %s: that a MongoDB server uses IXSCAN and no COLLSCAN was not tried; only that this one scans no table", what)
	}
	fault := func(command bson.Raw) error {
		raw := explain(t, db, command)
		if !mongod {
			if tableScan.MatchString(raw.String()) {
				return fmt.Errorf("the server scans a table: %s", raw)
			}
			return nil
		}
		e, err := readExplain(raw)
		if err == nil {
			err = e.fault()
		}
		return err
	}
	control, err := bson.Marshal(bson.D{{Key: "find", Value: heads.name}, {Key: "filter", Value: bson.D{{Key: "v", Value: int64(5)}}}})
	if err != nil {
		t.Fatal(err)
	}
	if fault(control) == nil {
		t.Errorf("a search by a field without an index is not noticed: %s", explain(t, db, control))
	}
	explained := map[string]bool{}
	for name, p := range shapes() {
		for _, command := range db.commandsOf(t, p, sent) {
			f := shapeOf(command)
			if explained[f] {
				continue
			}
			explained[f] = true
			if err := fault(command); err != nil {
				t.Errorf("%s: %v\n%s", name, err, command)
			}
		}
	}
	t.Logf("%d kinds of commands explained", len(explained))
}

// commandsOf runs a plan's first page, a page after it, and its total.
func (db *DB) commandsOf(t *testing.T, p store.Plan, sent func() []bson.Raw) []bson.Raw {
	t.Helper()
	sent()
	s, err := db.searcher(p)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := s.rows(t.Context())
	if err == nil && len(rows) > p.Limit {
		s.after = &rows[p.Limit-1]
		_, err = s.rows(t.Context())
	}
	if err == nil {
		_, err = db.Count(t.Context(), p)
	}
	if err != nil {
		t.Fatal(err)
	}
	return sent()
}

// shapeOf is a command without its values: two of one shape are planned alike.
func shapeOf(v bson.Raw) string {
	fields, _ := v.Elements()
	var out []string
	for _, f := range fields {
		key := f.Key()
		switch {
		case slices.Contains([]string{"lsid", "$clusterTime", "cursor", "limit", "batchSize"}, key):
		case f.Value().Type == bson.TypeEmbeddedDocument:
			out = append(out, key+":"+shapeOf(f.Value().Document()))
		case f.Value().Type == bson.TypeArray:
			out = append(out, key+":"+shapeOf(bson.Raw(f.Value().Array())))
		case slices.Contains([]string{"hint", "find", "aggregate"}, key):
			out = append(out, key+"="+f.Value().String())
		default:
			out = append(out, key)
		}
	}
	return "{" + strings.Join(out, " ") + "}"
}

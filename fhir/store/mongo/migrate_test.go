package mongo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store"
)

// quick is for those who wait for a dead holder; calm for those who must take nobody for
// dead, for as long as a busy machine may stand still.
var (
	quick = leaseTimes{beat: 50 * time.Millisecond, patience: time.Second, poll: 20 * time.Millisecond}
	calm  = leaseTimes{beat: quick.beat, patience: time.Minute, poll: quick.poll}
)

// raw gives a database as it is, past the store.
func raw(t testing.TB, uri string) *driver.Database {
	t.Helper()
	client, err := driver.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	a, err := ParseAddress(uri)
	if err != nil {
		t.Fatal(err)
	}
	return client.Database(a.Database)
}

func layoutAt(t testing.TB, uri string) (doc layoutDoc) {
	t.Helper()
	if err := raw(t, uri).Collection(meta.name).FindOne(t.Context(), bson.D{}).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestManyProcessesPrepareOneDatabaseOnce(t *testing.T) {
	uri := freshURI(t)
	var mu sync.Mutex
	ran := 0
	p := blueprint{indexes: indexes, lease: calm, migrations: []migration{makeCounters, func(context.Context, *DB, string, func(string) error) error {
		mu.Lock()
		defer mu.Unlock()
		ran++
		return nil
	}}}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			db, err := open(context.Background(), uri, Options{SweepEvery: -1}, p)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := db.bumpEpoch(context.Background()); err != nil {
				t.Error(err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if doc := layoutAt(t, uri); ran != 1 || doc.Layout != 2 || doc.Holder != "" {
		t.Errorf("%d migrations, layout %+v", ran, doc)
	}
	var epoch numberDoc
	err := raw(t, uri).Collection(numbers.name).FindOne(t.Context(), bson.D{{Key: "_id", Value: epochs.name}}).Decode(&epoch)
	if err != nil || epoch.Last != 6 {
		t.Errorf("the epoch is %d, %v", epoch.Last, err)
	}
}

// stepsPlan is a second migration of five steps, each of which counts itself in the
// database; at one of them die is called.
func stepsPlan(dieAt int, die func()) blueprint {
	const steps = 5
	return blueprint{indexes: indexes, lease: quick, migrations: []migration{makeCounters, func(ctx context.Context, db *DB, cursor string, save func(string) error) error {
		at := 0
		if cursor != "" {
			at, _ = strconv.Atoi(cursor)
		}
		for ; at < steps; at++ {
			_, err := db.coll(numbers).UpdateOne(ctx, bson.D{{Key: "_id", Value: fmt.Sprint("step", at)}},
				bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: 1}}}}, options.UpdateOne().SetUpsert(true))
			if err != nil {
				return err
			}
			if at == dieAt {
				die()
			}
			if err := save(strconv.Itoa(at + 1)); err != nil {
				return err
			}
		}
		return nil
	}}}
}

const diesAt = "HANDOFF_TEST_MIGRATION_DIES_AT"

// TestMigrationThatDies is the process that TestAKilledMigrationIsResumed starts.
func TestMigrationThatDies(t *testing.T) {
	at, err := strconv.Atoi(os.Getenv(diesAt))
	if err != nil {
		t.Skip("runs as a process of another test")
	}
	_, err = open(t.Context(), os.Getenv("HANDOFF_TEST_URI"), Options{SweepEvery: -1}, stepsPlan(at, func() { os.Exit(17) }))
	t.Fatalf("it did not die: %v", err)
}

func TestAKilledMigrationIsResumed(t *testing.T) {
	uri := freshURI(t)
	if err := openAt(t, uri, Options{SweepEvery: -1}).Close(); err != nil { // layout 1
		t.Fatal(err)
	}
	for at := range 5 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestMigrationThatDies$")
		cmd.Env = append(os.Environ(), diesAt+"="+strconv.Itoa(at), "HANDOFF_TEST_URI="+uri)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 17 {
			t.Fatalf("step %d: %v: %s", at, err, out)
		}
		if doc := layoutAt(t, uri); doc.Layout != 1 || doc.Target != 2 || doc.Holder == "" {
			t.Fatalf("step %d: %+v", at, doc)
		}
	}
	if _, err := Open(t.Context(), uri, Options{SweepEvery: -1}); !errors.Is(err, store.ErrNewer) {
		t.Errorf("a program that does not know the layout under way opens it: %v", err)
	}
	db, err := open(t.Context(), uri, Options{SweepEvery: -1}, stepsPlan(-1, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() // checked elsewhere
	if doc := layoutAt(t, uri); doc.Layout != 2 || doc.Holder != "" || doc.Cursor != "" {
		t.Errorf("%+v", doc)
	}
	for at := range 5 { // each step was begun again once, none from the start
		var doc numberDoc
		if err := db.coll(numbers).FindOne(t.Context(), bson.D{{Key: "_id", Value: fmt.Sprint("step", at)}}).Decode(&doc); err != nil || doc.Last != 2 {
			t.Errorf("step %d was done %d times, %v", at, doc.Last, err)
		}
	}
}

// A holder that only seemed dead must not go on beside the one that took over.
func TestAHolderThatWasTakenForDeadStops(t *testing.T) {
	uri := freshURI(t)
	entered, release := make(chan struct{}), make(chan struct{})
	slow := blueprint{lease: leaseTimes{beat: time.Hour, patience: time.Hour, poll: quick.poll}, migrations: []migration{
		func(_ context.Context, _ *DB, _ string, save func(string) error) error {
			close(entered)
			<-release
			return save("late")
		}, makeCounters}}
	first := make(chan error, 1)
	go func() {
		db, err := open(context.Background(), uri, Options{SweepEvery: -1}, slow)
		if err == nil {
			_ = db.Close()
		}
		first <- err
	}()
	<-entered
	second := blueprint{lease: leaseTimes{beat: quick.beat, patience: 200 * time.Millisecond, poll: quick.poll}, migrations: []migration{makeCounters, makeCounters}}
	db, err := open(t.Context(), uri, Options{SweepEvery: -1}, second)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() // checked elsewhere
	close(release)
	if err := <-first; err != nil {
		t.Errorf("the first finds the work done: %v", err)
	}
	if doc := layoutAt(t, uri); doc.Layout != 2 || doc.Cursor != "" || doc.Holder != "" {
		t.Errorf("%+v", doc)
	}
}

func TestAMigrationThatFailsSaysWhichAndCanBeTriedAgain(t *testing.T) {
	uri := freshURI(t)
	broken := blueprint{lease: calm, migrations: []migration{makeCounters, func(context.Context, *DB, string, func(string) error) error {
		return errors.New("a resource cannot be read")
	}}}
	_, err := open(t.Context(), uri, Options{SweepEvery: -1}, broken)
	if err == nil || !strings.Contains(err.Error(), "bring layout 1 to 2: a resource cannot be read") {
		t.Fatal(err)
	}
	var left layoutDoc
	if err := raw(t, uri).Collection(meta.name).FindOne(t.Context(), bson.D{{Key: "_id", Value: layoutID}}).Decode(&left); err != nil || left.Holder != "" {
		t.Errorf("the lease was not given back: %+v, %v", left, err)
	}
	db, err := open(t.Context(), uri, Options{SweepEvery: -1}, stepsPlan(-1, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() // checked elsewhere
}

func TestIndexesAreMadeWhereTheyLack(t *testing.T) {
	uri := freshURI(t)
	if err := openAt(t, uri, Options{SweepEvery: -1}).Close(); err != nil {
		t.Fatal(err)
	}
	base := raw(t, uri)
	for range 2 { // a second start changes nothing
		if err := base.Collection(heads.name).Indexes().DropOne(t.Context(), "newest"); err != nil {
			t.Fatal(err)
		}
		db := openAt(t, uri, Options{SweepEvery: -1})
		if missing, err := db.missingIndexes(t.Context(), indexes); err != nil || len(missing) > 0 {
			t.Errorf("missing: %v, %v", missing, err)
		}
	}
	// The same under another name will do.
	if err := base.Collection(heads.name).Indexes().DropOne(t.Context(), "newest"); err != nil {
		t.Fatal(err)
	}
	ix := indexes[1]
	ix.name = "mine"
	if _, err := base.Collection(heads.name).Indexes().CreateOne(t.Context(), ix.model()); err != nil {
		t.Fatal(err)
	}
	openAt(t, uri, Options{SweepEvery: -1})
	// Something else under our name will not.
	for _, other := range []string{"mine", "expiry"} {
		coll := heads
		if other == "expiry" {
			coll = facts
		}
		if err := base.Collection(coll.name).Indexes().DropOne(t.Context(), other); err != nil {
			t.Fatal(err)
		}
	}
	wrong := driver.IndexModel{Keys: bson.D{{Key: "e", Value: 1}}, Options: options.Index().SetName("expiry").SetUnique(true)}
	if _, err := base.Collection(facts.name).Indexes().CreateOne(t.Context(), wrong); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), uri, Options{SweepEvery: -1})
	if err == nil || !strings.Contains(err.Error(), `the index "expiry" of the collection fact is {e: 1} unique, the store needs {e: 1} under that name`) {
		t.Errorf("got %v", err)
	}
}

func TestADatabaseOfSomethingElseIsLeftAlone(t *testing.T) {
	for _, tt := range []struct {
		name string
		fill bson.D
	}{
		{"patients", bson.D{{Key: "_id", Value: "a"}}},
		{meta.name, bson.D{{Key: "_id", Value: layoutID}, {Key: "app", Value: "other"}}},
		{meta.name, bson.D{{Key: "_id", Value: "a"}}}, // by chance of the same name
	} {
		name, fill := tt.name, tt.fill
		uri := freshURI(t)
		base := raw(t, uri)
		if _, err := base.Collection(name).InsertOne(t.Context(), fill); err != nil {
			t.Fatal(err)
		}
		for _, o := range []Options{{}, {Existing: true}, {AsIs: true}} {
			o.SweepEvery = -1
			_, err := Open(t.Context(), uri, o)
			if err == nil || !strings.Contains(err.Error(), "a database of something else") || !strings.Contains(err.Error(), base.Name()) {
				t.Errorf("%s, %+v: %v", name, o, err)
			}
		}
		if err := Drop(t.Context(), uri, Options{}); err == nil {
			t.Errorf("%s: it was dropped", name)
		}
		if names, err := base.ListCollectionNames(t.Context(), bson.D{}); err != nil || len(names) != 1 {
			t.Errorf("%s: collections %v, %v", name, names, err)
		}
	}
}

func TestANewerLayoutIsRefusedAndNotTouched(t *testing.T) {
	uri := freshURI(t)
	db := openAt(t, uri, Options{SweepEvery: -1})
	_, err := db.coll(meta).UpdateOne(t.Context(), bson.D{}, bson.D{{Key: "$set", Value: bson.D{{Key: "layout", Value: 7}}}})
	if err != nil {
		t.Fatal(err)
	}
	before := layoutAt(t, uri)
	_, err = Open(t.Context(), uri, Options{SweepEvery: -1})
	if !errors.Is(err, store.ErrNewer) || !strings.Contains(err.Error(), "its layout is 7, this program knows up to 1") {
		t.Errorf("got %v", err)
	}
	if err := db.Ping(t.Context()); !errors.Is(err, store.ErrNewer) {
		t.Errorf("a program that runs while another migrates: %v", err)
	}
	if after := layoutAt(t, uri); after != before {
		t.Errorf("%+v became %+v", before, after)
	}
}

func TestWhoOnlyLooksMakesNothing(t *testing.T) {
	uri := freshURI(t)
	if _, err := Open(t.Context(), uri, Options{Existing: true, SweepEvery: -1}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if names, err := raw(t, uri).ListCollectionNames(t.Context(), bson.D{}); err != nil || len(names) > 0 {
		t.Errorf("it made %v, %v", names, err)
	}
	if err := openAt(t, uri, Options{SweepEvery: -1}).Close(); err != nil {
		t.Fatal(err)
	}
	openAt(t, uri, Options{Existing: true, SweepEvery: -1})
	if err := Drop(t.Context(), uri, Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), uri, Options{Existing: true, SweepEvery: -1}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Drop: %v", err)
	}
}

// An index of somebody else that would be in the store's way is named, with what is to
// be done.
func TestIndexesThatAreInTheWayAreTold(t *testing.T) {
	uri := freshURI(t)
	db := openAt(t, uri, Options{SweepEvery: -1})
	ttl := options.Index().SetName("ttl").SetExpireAfterSeconds(5)
	for _, x := range []struct {
		of    collection
		drop  string
		model driver.IndexModel
		says  string
	}{
		{facts, "expiry", driver.IndexModel{Keys: bson.D{{Key: "e", Value: 1}}, Options: ttl}, `the index "ttl" of the collection fact, {e: 1} expireAfterSeconds, is in the way`},
		{versions, "", driver.IndexModel{Keys: bson.D{{Key: "n", Value: 1}, {Key: "v", Value: 1}}, Options: options.Index().SetName("once").SetUnique(true)}, `the index "once" of the collection version, {n: 1, v: 1} unique, is none of the store's`},
	} {
		if x.drop != "" {
			if err := db.coll(x.of).Indexes().DropOne(t.Context(), x.drop); err != nil {
				t.Fatal(err)
			}
		}
		name, err := db.coll(x.of).Indexes().CreateOne(t.Context(), x.model)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Open(t.Context(), uri, Options{SweepEvery: -1})
		switch {
		case err == nil:
			_ = again.Close()
			// A server that tells indexes apart by more makes ours beside it.
			if fs, err := db.indexesOf(t.Context(), x.of); x.drop == "" || err != nil || !slices.ContainsFunc(fs, func(f foundIndex) bool { return f.Name == x.drop }) {
				t.Errorf("%s: it opens: %v", x.says, err)
			}
		case !strings.Contains(err.Error(), x.says):
			t.Errorf("%v, want %q", err, x.says)
		}
		if err := db.coll(x.of).Indexes().DropOne(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		openAt(t, uri, Options{SweepEvery: -1})
	}
}

// A gateway that may not remove finds so when it starts, and not at the first expunge.
func TestARightThatIsNeededSeldomIsAskedForAtTheStart(t *testing.T) {
	forbid := &wireServer{hello: standalone(is("isWritablePrimary")), answer: func(command string, m bson.D) any {
		if command == "delete" {
			return failed(13, "Unauthorized", `not authorized on db to execute command { delete: "handoff", deletes: [ { q: { _id: "x" } } ] }`)
		}
		return plain(command, m)
	}}
	uri := "mongodb://alice:" + secret + "@" + forbid.start(t, nil) + "/db?directConnection=true&authMechanism=PLAIN&authSource=$external"
	db, err := dial(uri, Options{}, thisLayout)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() // it was only asked
	if err := db.checkRights(t.Context()); err == nil || !strings.Contains(err.Error(), "lacks the right to remove on the database db") {
		t.Errorf("%v", err)
	}
}

// A database that was dropped under a gateway is told for what it is.
func TestADroppedDatabaseIsTold(t *testing.T) {
	db := fresh(t)
	if err := db.base.Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Ping(t.Context()); !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "was it dropped?") {
		t.Errorf("%v", err)
	}
}

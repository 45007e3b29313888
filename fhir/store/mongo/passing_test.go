package mongo

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// batchOfFacts answers a find or a getMore with facts, and with more to come if id is
// not 0.
func batchOfFacts(id int64, key string, fs ...factDoc) bson.D {
	docs := bson.A{}
	for _, f := range fs {
		docs = append(docs, f)
	}
	return bson.D{{Key: "ok", Value: 1}, {Key: "cursor", Value: bson.D{{Key: "id", Value: id}, {Key: "ns", Value: "db.fact"}, {Key: key, Value: docs}}}}
}

// unreached gives a store that has not been opened, at a server made of paper.
func unreached(t *testing.T, s *wireServer) *DB {
	t.Helper()
	db, err := dial("mongodb://"+s.start(t, nil)+"/db?directConnection=true", Options{Now: time.Now}, thisLayout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // nothing is under way
	return db
}

// What a member says that steps down, starts anew or stands before others that do: the
// same is asked again, more often than the driver does of itself.
func TestWhatAMemberInTroubleSaysIsTriedAgain(t *testing.T) {
	const times = 3
	f := newFact("k", []byte("v"), 1, time.Time{})
	type trouble struct {
		code int
		says string
	}
	var all []trouble
	for _, code := range slices.Concat(notPrimaryCodes, passingCodes) {
		all = append(all, trouble{code, "for a while"})
	}
	for _, says := range slices.Concat(gone, crossed) {
		all = append(all, trouble{codeInternal, "ERROR: " + says + " 42"})
	}
	for _, c := range all {
		t.Run(fmt.Sprint(c.code, " ", c.says), func(t *testing.T) {
			t.Parallel()
			finds := 0
			db := unreached(t, &wireServer{hello: standalone(is("isWritablePrimary")), answer: func(command string, _ bson.D) any {
				if finds++; finds <= times {
					return failed(c.code, "Trouble", c.says)
				}
				return batchOfFacts(0, "firstBatch", f)
			}})
			got, err := db.Get(t.Context(), "k")
			if err != nil || string(got.Value) != "v" {
				t.Errorf("%+v, %v after %d answers", got, err, finds)
			}
		})
	}
	db := unreached(t, &wireServer{hello: standalone(is("isWritablePrimary")), answer: func(string, bson.D) any { return failed(2, "BadValue", "for good") }})
	if _, err := db.Get(t.Context(), "k"); err == nil || errors.Is(err, store.ErrAway) {
		t.Errorf("what does not pass is taken for passing: %v", err)
	}
	db = unreached(t, &wireServer{hello: standalone(is("isWritablePrimary")), answer: func(string, bson.D) any { return failed(codeInternal, "InternalError", "a bug") }})
	if _, err := db.Get(t.Context(), "k"); err == nil || errors.Is(err, store.ErrAway) {
		t.Errorf("what does not pass is taken for passing: %v", err)
	}
}

// A server that is started anew in the middle of an answer knows nothing of the cursor:
// the answer is read from its beginning.
func TestACursorThatIsGoneIsBegunAnew(t *testing.T) {
	a, b := newFact("k1", []byte("a"), 1, time.Time{}), newFact("k2", []byte("b"), 2, time.Time{})
	gone := false
	db := unreached(t, &wireServer{hello: standalone(is("isWritablePrimary")), answer: func(command string, _ bson.D) any {
		switch {
		case command == "find":
			return batchOfFacts(7, "firstBatch", a)
		case !gone:
			gone = true
			return failed(43, "CursorNotFound", "cursor id 7 not found")
		}
		return batchOfFacts(0, "nextBatch", b)
	}})
	fs, err := db.Scan(t.Context(), "k", "", 10)
	if err != nil || !gone || len(fs) != 2 || fs[0].Key != "k1" || fs[1].Key != "k2" {
		t.Errorf("%+v, %v", fs, err)
	}
}

// On a replica set the heads and the units of a search are read as they stood at one
// moment: an index that is walked meanwhile loses what moves behind the walk.
func TestSearchesReadSnapshotsOfAReplicaSet(t *testing.T) {
	var (
		mu    sync.Mutex
		level = map[string][]string{}
		batch = map[string]int32{}
	)
	s := &wireServer{answer: func(command string, m bson.D) any {
		raw, err := bson.Marshal(m)
		if err != nil {
			return nil
		}
		of, _ := bson.Raw(raw).Lookup(command).StringValueOK()
		as, _ := bson.Raw(raw).Lookup("readConcern", "level").StringValueOK()
		mu.Lock()
		defer mu.Unlock()
		level[of] = append(level[of], as)
		batch[of], _ = bson.Raw(raw).Lookup("batchSize").Int32OK()
		if of == numbers.name {
			return bson.D{{Key: "ok", Value: 1}, {Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: "db.number"},
				{Key: "firstBatch", Value: bson.A{numberDoc{ID: epochs.name, Last: 5}}}}}}
		}
		return batchOfFacts(0, "firstBatch")
	}}
	s.hello = standalone(is("isWritablePrimary"), bson.E{Key: "setName", Value: "rs0"})
	db := onPaper(t, s)
	if _, err := db.Search(t.Context(), store.Plan{Type: "Patient", Where: store.Expr{Op: store.Exists, Param: "f"}, Limit: 5}); err != nil {
		t.Fatal(err)
	}
	for of, want := range map[string]string{heads.name: "snapshot", units.name: "snapshot", numbers.name: "linearizable"} {
		if !slices.Equal(level[of], []string{want}) {
			t.Errorf("%s is read at %v, want %s", of, level[of], want)
		}
	}
	// Where there are no snapshots, one answer is one.
	if batch[units.name] < 1000 {
		t.Errorf("units are asked for %d at a time", batch[units.name])
	}
}

// emptied is how the driver says that a pool of connections was emptied, where it does
// not try again itself.
type emptied struct{ error }

func (emptied) Retryable() bool { return true }

func TestAnEmptiedPoolPasses(t *testing.T) {
	err := fmt.Errorf("find: %w", emptied{errors.New("connection pool was cleared")})
	if !isPassing(err) || isNetwork(err) {
		t.Errorf("passing %v, want true; not known whether it was done %v, want false: nothing was sent", isPassing(err), isNetwork(err))
	}
}

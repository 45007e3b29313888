package mongo

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/handoff-health/handoff/fhir/store"
)

// errCut is what the driver gives when a connection breaks.
var errCut = driver.CommandError{Message: "cut", Labels: []string{"NetworkError"}}

func TestLostAnswersOfFactsAreFoundOut(t *testing.T) {
	db := fresh(t)
	for _, tt := range []struct {
		name string
		do   func(key string) (store.Fact, error)
		fill bool // with a fact of the version that do replaces
	}{
		{"put", func(key string) (store.Fact, error) {
			return db.PutIfAbsent(t.Context(), key, []byte("v"), time.Time{})
		}, false},
		{"replace", func(key string) (store.Fact, error) {
			old, err := db.Get(t.Context(), key)
			if err != nil {
				return old, err
			}
			return db.CompareAndSet(t.Context(), key, old.Version, []byte("v"), time.Time{})
		}, true},
	} {
		for _, lost := range []struct {
			name    string
			answer  bool
			between func(key string) // what others do before the next try
		}{
			{"request", false, nil},
			{"answer", true, nil},
			{"answer, replaced by another since", true, func(key string) {
				doc, err := db.factDoc(t.Context(), key)
				if err == nil {
					_, err = db.CompareAndSet(t.Context(), key, doc.Version, []byte("other"), time.Time{})
				}
				if err != nil {
					t.Error(err)
				}
			}},
		} {
			t.Run(tt.name+", "+lost.name, func(t *testing.T) {
				key := tt.name + lost.name
				if tt.fill {
					if _, err := db.PutIfAbsent(t.Context(), key, nil, time.Time{}); err != nil {
						t.Fatal(err)
					}
				}
				once := false
				db.onCall = func(_ string, done bool) error {
					if once || done != lost.answer {
						return nil
					}
					once = true
					if lost.between != nil {
						lost.between(key)
					}
					return errCut
				}
				f, err := tt.do(key)
				db.onCall = nil
				if err != nil || !once {
					t.Fatalf("%+v, %v", f, err)
				}
				got, err := db.Get(t.Context(), key)
				want := "v"
				if lost.between != nil {
					want = "other"
				}
				if err != nil || string(got.Value) != want || string(f.Value) != "v" || (f.Version == got.Version) != (want == "v") {
					t.Errorf("wrote %+v, there is %+v, %v", f, got, err)
				}
			})
		}
	}
}

func TestWhatCannotBeFoundOutIsSaid(t *testing.T) {
	db := fresh(t)
	old, err := db.PutIfAbsent(t.Context(), "k", nil, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	once := false
	db.onCall = func(_ string, done bool) error {
		if once || !done {
			return nil
		}
		once = true
		for range beforeKept + 1 {
			now, err := db.Get(t.Context(), "k")
			if err == nil {
				_, err = db.CompareAndSet(t.Context(), "k", now.Version, nil, time.Time{})
			}
			if err != nil {
				t.Error(err)
			}
		}
		return errCut
	}
	if _, err := db.CompareAndSet(t.Context(), "k", old.Version, nil, time.Time{}); !errors.Is(err, errUnknown) || errors.Is(err, store.ErrConflict) {
		t.Errorf("got %v", err)
	}
}

// A counter that several processes raise over a bad network counts each once.
func TestACounterOverABadNetworkIsExact(t *testing.T) {
	uri := freshURI(t)
	const processes, each = 3, 25
	var tried, lost, unknown atomic.Int64
	add := func(db *DB) error {
		for {
			tried.Add(1)
			f, err := db.Get(context.Background(), "n")
			switch {
			case errors.Is(err, store.ErrNotFound):
				_, err = db.PutIfAbsent(context.Background(), "n", binary.BigEndian.AppendUint64(nil, 1), time.Time{})
			case err == nil:
				_, err = db.CompareAndSet(context.Background(), "n", f.Version, binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(f.Value)+1), time.Time{})
			}
			if errors.Is(err, errUnknown) {
				unknown.Add(1)
				return nil
			}
			if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) {
				return err
			}
		}
	}
	var wg sync.WaitGroup
	for range processes {
		db := openAt(t, uri, Options{SweepEvery: -1})
		db.onCall = func(string, bool) error {
			if rand.IntN(6) == 0 {
				lost.Add(1)
				return errCut
			}
			return nil
		}
		for range 2 {
			wg.Go(func() {
				for range each {
					if err := add(db); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	f, err := openAt(t, uri, Options{SweepEvery: -1}).Get(t.Context(), "n")
	if err != nil {
		t.Fatal(err)
	}
	if n := int64(binary.BigEndian.Uint64(f.Value)); n > processes*2*each || n < processes*2*each-unknown.Load() {
		t.Errorf("%d, want %d, of which %d are not known to be done", n, processes*2*each, unknown.Load())
	}
	if lost.Load() < 20 {
		t.Errorf("only %d messages were lost", lost.Load())
	}
	t.Logf("%d messages lost in %d tries", lost.Load(), tried.Load())
}

func TestVersionsOfFactsNeverComeAgainInAnyProcess(t *testing.T) {
	uri := freshURI(t)
	seen := map[int64]string{}
	var mu sync.Mutex
	for round := range 2 {
		var wg sync.WaitGroup
		for p := range 3 {
			db := openAt(t, uri, Options{SweepEvery: -1})
			wg.Go(func() {
				for i := range 20 {
					at := fmt.Sprintf("%d/%d/%d", round, p, i)
					f, err := db.PutIfAbsent(context.Background(), at, nil, time.Time{})
					if err == nil && i%2 == 0 {
						f, err = db.CompareAndSet(context.Background(), at, f.Version, nil, time.Time{})
					}
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					if other, ok := seen[f.Version]; ok {
						t.Errorf("version %d of %s was given to %s", f.Version, at, other)
					}
					seen[f.Version] = at
					mu.Unlock()
				}
			})
		}
		wg.Wait()
	}
}

func TestALostCounterIsDamageAndNotABeginningAnew(t *testing.T) {
	db := fresh(t)
	if _, err := db.coll(numbers).DeleteMany(t.Context(), bson.D{}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.PutIfAbsent(t.Context(), "k", nil, time.Time{}); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("a version without a counter: %v", err)
	}
	if _, err := db.Epoch(t.Context()); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("an epoch without a counter: %v", err)
	}
}

func TestAnExpiredFactIsKeptForTheGraceAndIsAbsent(t *testing.T) {
	now := time.Now().UTC()
	db := openAt(t, freshURI(t), Options{SweepEvery: -1, Now: func() time.Time { return now }})
	if _, err := db.PutIfAbsent(t.Context(), "jti", nil, now.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after time.Duration
		swept int
	}{{time.Second, 0}, {defaultGrace - 2*time.Second, 0}, {2 * time.Second, 1}} {
		now = now.Add(step.after)
		if n, err := db.Sweep(t.Context()); err != nil || n != step.swept {
			t.Errorf("%v: %d swept, %v", step.after, n, err)
		}
		if _, err := db.Get(t.Context(), "jti"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%v: %v", step.after, err)
		}
	}
}

func TestADamagedFactIsNotServed(t *testing.T) {
	db := fresh(t)
	for key, change := range map[string]bson.D{
		"value":   {{Key: "b", Value: []byte("forged")}},
		"expiry":  {{Key: "e", Value: time.Now().Add(time.Hour).UnixNano()}},
		"version": {{Key: "v", Value: int64(1 << 40)}},
		"expired": {{Key: "e", Value: int64(5)}},
	} {
		if _, err := db.PutIfAbsent(t.Context(), key, []byte("v"), time.Time{}); err != nil {
			t.Fatal(err)
		}
		if _, err := db.coll(facts).UpdateOne(t.Context(), bson.D{{Key: "_id", Value: key}}, bson.D{{Key: "$set", Value: change}}); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Get(t.Context(), key); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%s: %v", key, err)
		}
		if _, err := db.Gather(t.Context(), []string{key}); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%s, gathered: %v", key, err)
		}
		if _, err := db.Scan(t.Context(), key, "", 1); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%s, scanned: %v", key, err)
		}
	}
}

package mongo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/handoff-health/handoff/fhir/store"
)

// together runs f n times at once and waits.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// going says whether a race goes on: for two seconds, and until there is enough to say
// something, but not for ever.
func (s *scene) going(enough func() bool) func() bool {
	begun := time.Now()
	return func() bool {
		d := time.Since(begun)
		return !s.Failed() && (d < 2*time.Second || d < time.Minute && !enough())
	}
}

// Processes write units over the same resources in opposite order: none is lost, none
// waits for ever, and all that a unit wrote stands at the same version.
func TestUnitsInOppositeOrder(t *testing.T) {
	s := newScene(t, 3)
	ids := []string{"a", "b", "c", "d"}
	var acks atomic.Int64
	going := s.going(func() bool { return acks.Load() >= 12 })
	together(6, func(w int) {
		for n := 0; going(); n++ {
			var ws []store.Write
			for _, id := range ids {
				ws = append(ws, s.change(id, fmt.Sprintf("%d-%d", w, n)))
			}
			if w%2 == 1 {
				slices.Reverse(ws)
			}
			if _, err := s.dbs[w%3].Apply(context.Background(), ws); err != nil {
				t.Errorf("writer %d: %v", w, err)
			}
			acks.Add(1)
		}
	})
	t.Logf("%d units", acks.Load())
	if acks.Load() < 12 {
		t.Error("that is too few to say anything")
	}
	want := map[string]int64{}
	for _, id := range ids {
		want[id] = acks.Load()
	}
	s.versions(s.dbs[0], want)
	for v := int64(1); v <= acks.Load(); v++ {
		var by []string
		for _, id := range ids {
			rec, err := s.dbs[1].ReadVersion(t.Context(), s.key(id), v)
			if err != nil {
				t.Fatal(err)
			}
			_, who, _ := strings.Cut(string(rec.Raw), `"by"`)
			by = append(by, who)
		}
		if len(slices.Compact(by)) != 1 {
			t.Errorf("version %d is of several units: %v", v, by)
		}
	}
	s.sweep(s.dbs[2])
	s.whole()
}

// Processes create resources with several claims at once, named in any order: each
// claim has one holder, and who lost has left nothing.
func TestClaimsOfSeveralProcesses(t *testing.T) {
	s := newScene(t, 3)
	for round := range 8 {
		var won [6]bool
		claimsOf := func(w int) []string {
			cs := []string{fmt.Sprintf("%d-p", round), fmt.Sprintf("%d-%d", round, w%2), fmt.Sprintf("%d-%d", round, 2+w%3)}
			rand.Shuffle(3, func(i, j int) { cs[i], cs[j] = cs[j], cs[i] })
			return cs
		}
		together(6, func(w int) {
			id := fmt.Sprintf("%d-%d", round, w)
			ws := []store.Write{s.change(id, "x", claimsOf(w)...)}
			if w >= 3 { // the same as part of a unit
				ws = append(ws, s.change("beside-"+id, "x"))
			}
			_, err := s.dbs[w%3].Apply(context.Background(), ws)
			won[w] = err == nil
			if err != nil && !errors.Is(err, store.ErrExists) {
				t.Errorf("writer %d: %v", w, err)
			}
		})
		n := 0
		for w := range won {
			id := fmt.Sprintf("%d-%d", round, w)
			_, err := s.dbs[0].Read(t.Context(), s.key(id))
			if won[w] {
				n++
			}
			if won[w] != (err == nil) {
				t.Errorf("%s won: %t, but is there: %v", id, won[w], err)
			}
		}
		if n != 1 { // all want the claim p
			t.Errorf("round %d: %d creates won", round, n)
		}
	}
	s.sweep(s.dbs[1])
	s.whole()
}

// Whatever begins after a write was acknowledged, in any process, sees it or what
// came after it; and versions come in the order in which their writes followed each
// other.
func TestNothingGoesBack(t *testing.T) {
	s := newScene(t, 3)
	s.apply(s.dbs[0], s.change("a", "0"), s.change("b", "0"))
	var acked atomic.Int64 // highest acknowledged version of both
	var writes, reads atomic.Int64
	going := s.going(func() bool { return writes.Load() >= 10 && reads.Load() >= 50 })
	together(8, func(w int) {
		db := s.dbs[w%3]
		for n := 1; going(); n++ {
			least := acked.Load()
			if w < 3 {
				recs, err := db.Apply(context.Background(), []store.Write{s.change("b", fmt.Sprint(n)), s.change("a", fmt.Sprint(n))})
				if err != nil || recs[0].Version <= least || recs[0].Version != recs[1].Version {
					t.Errorf("unit: %v, %v, after version %d", recs, err, least)
					return
				}
				for v := recs[0].Version; ; {
					old := acked.Load()
					if old >= v || acked.CompareAndSwap(old, v) {
						break
					}
				}
				writes.Add(1)
				continue
			}
			id := []string{"a", "b"}[n%2]
			rec, err := db.Read(context.Background(), s.key(id))
			if err != nil || rec.Version < least {
				t.Errorf("read %s: %v, %v, after version %d", id, rec, err, least)
				return
			}
			recs, err := db.History(context.Background(), s.key(id), 0, 3)
			if err != nil || recs[0].Version < rec.Version {
				t.Errorf("history of %s: %v, %v, after version %d", id, recs, err, rec.Version)
			}
			reads.Add(1)
		}
	})
	t.Logf("%d units, %d reads", writes.Load(), reads.Load())
	if writes.Load() < 10 || reads.Load() < 50 {
		t.Error("that is too few to say anything")
	}
}

// lose makes a share of a store's calls fail as a cut connection does: some before the
// server has got them, some after it has done them.
func lose(db *DB, seed uint64, share float64) *atomic.Int64 {
	var lost atomic.Int64
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // a test's dice
	db.onCall = func(string, bool) error {
		mu.Lock()
		defer mu.Unlock()
		if r.Float64() >= share {
			return nil
		}
		lost.Add(1)
		return driver.CommandError{Message: "cut by a test", Labels: []string{"NetworkError"}}
	}
	return &lost
}

// Answers and requests are lost at random. Each write that is acknowledged stands
// once, at the version that its writer was told; no other stands.
func TestLostAnswers(t *testing.T) {
	s := newScene(t, 2)
	lost := []*atomic.Int64{lose(s.dbs[0], 1, 0.15), lose(s.dbs[1], 2, 0.15)}
	var mu sync.Mutex
	told := map[string]map[int64]string{}
	ack := func(recs ...*store.Record) {
		mu.Lock()
		defer mu.Unlock()
		for _, rec := range recs {
			if told[rec.ID] == nil {
				told[rec.ID] = map[int64]string{}
			}
			if was, twice := told[rec.ID][rec.Version]; twice {
				t.Errorf("version %d of %s was given twice: %s and %s", rec.Version, rec.ID, was, rec.Raw)
			}
			told[rec.ID][rec.Version] = string(rec.Raw)
		}
	}
	var refused, done atomic.Int64
	going := s.going(func() bool { return done.Load() >= 60 && lost[0].Load() >= 50 && refused.Load() > 0 })
	together(6, func(w int) {
		for n := 0; going(); n++ {
			by := fmt.Sprintf("%d-%d", w, n)
			var ws []store.Write
			switch n % 4 {
			case 0:
				ws = []store.Write{s.change("a", by)}
			case 1:
				ws = []store.Write{s.change("b", by, "x", "y"), s.change("a", by)}
			case 2:
				ws = []store.Write{s.change("of-"+by, by, "x")}
			default:
				ws = []store.Write{s.change("b", by), s.change("c", by, by)}
			}
			recs, err := s.dbs[w%2].Apply(context.Background(), ws)
			switch {
			case err == nil:
				ack(recs...)
				done.Add(1)
			case errors.Is(err, store.ErrExists):
				refused.Add(1)
			default:
				t.Errorf("%s: %v", by, err)
			}
		}
	})
	s.dbs[0].onCall, s.dbs[1].onCall = nil, nil
	acks := 0
	for id, versions := range told {
		recs, err := s.dbs[0].History(t.Context(), store.Key{Type: "Patient", ID: id}, 0, 1<<20)
		if err != nil || len(recs) != len(versions) {
			t.Errorf("%s: %d versions, %v, but %d were acknowledged", id, len(recs), err, len(versions))
		}
		for _, rec := range recs {
			acks++
			if versions[rec.Version] != string(rec.Raw) {
				t.Errorf("version %d of %s is %s, but was %s", rec.Version, id, rec.Raw, versions[rec.Version])
			}
		}
	}
	t.Logf("%d versions, %d refused, %d and %d calls lost", acks, refused.Load(), lost[0].Load(), lost[1].Load())
	if acks < 50 || lost[0].Load() < 50 || refused.Load() == 0 {
		t.Error("that is too few to say anything")
	}
	s.sweep(s.dbs[1])
	s.whole()
}

// Resources are expunged while others write and read them: nobody finds the store
// damaged, and nothing is left of what was expunged.
func TestExpungeWhileOthersWrite(t *testing.T) {
	s := newScene(t, 3)
	var expunged, written atomic.Int64
	going := s.going(func() bool { return expunged.Load() >= 5 && written.Load() >= 10 })
	together(7, func(w int) {
		db := s.dbs[w%3]
		for n := 0; going(); n++ {
			id := []string{"a", "b"}[n%2]
			var err error
			switch w {
			case 0:
				if err = db.Expunge(context.Background(), s.key(id)); err == nil {
					expunged.Add(1)
				}
			case 1, 2:
				_, err = db.Write(context.Background(), s.change(id, fmt.Sprint(w, n), fmt.Sprint("claim-of-", id)))
				written.Add(1)
			case 3:
				_, err = db.Apply(context.Background(), []store.Write{s.change("a", fmt.Sprint(w, n)), s.change("b", fmt.Sprint(w, n))})
				written.Add(1)
			case 4:
				_, err = db.Read(context.Background(), s.key(id))
			case 5:
				_, err = db.History(context.Background(), s.key(id), 0, 5)
			default:
				_, err = db.ReadVersion(context.Background(), s.key(id), 1)
			}
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%d: %v", w, err)
			}
		}
	})
	t.Logf("%d expunges, %d writes", expunged.Load(), written.Load())
	if expunged.Load() < 5 || written.Load() < 10 {
		t.Error("that is too few to say anything")
	}
	s.sweep(s.dbs[0])
	s.whole()
	for _, id := range []string{"a", "b"} {
		if err := s.dbs[0].Expunge(t.Context(), s.key(id)); err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	}
	s.emptied()
}

package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/presence"
	"github.com/handoff-health/handoff/fhir/store/transfer"
)

// copyLive copies what may be in use.
func copyLive(t *testing.T, from, to *env) transfer.Report {
	t.Helper()
	r, err := transfer.Run(from.ctx, from.side(t, "the source"), to.side(t, "the destination"), transfer.Options{Live: true})
	if err != nil {
		t.Fatal(err)
	}
	if r.Comparison != nil {
		t.Error("it says that it has compared")
	}
	wantError(t, transfer.Ready(to.ctx, to.Facts), transfer.ErrUnfinished, "a copy of a source in use")
	return r
}

// move4 are resources that pass a claim around.
func move4(n int) store.Key { return store.Key{Type: "Consent", ID: fmt.Sprintf("m%d", n)} }

// change does to a furnished store, of which a copy was made, each thing that can
// happen to one. It returns how many resources are another, and how many are gone.
func (e *env) change(t *testing.T) (changed, gone int64) {
	t.Helper()
	e.clock.advance(time.Second)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := range 3 { // new versions
		e.write(t, withClaims(put(patient("full"), int64(8+n), 20+n, "name|smith"), "c/1"))
	}
	e.write(t, put(patient("new"), store.Absent, 1, "name|new"))
	e.write(t, deletion(store.Key{Type: "Observation", ID: "o01"}, 1))
	e.write(t, put(patient("gone"), store.Absent, 1, "name|gone")) // it was deleted
	must(e.Store.Expunge(e.ctx, store.Key{Type: "Observation", ID: "o02"}))
	must(e.Store.Expunge(e.ctx, store.Key{Type: "Consent", ID: "A-1.b"})) // with two claims
	e.write(t, withClaims(put(patient("aa"), store.Absent, 1), "c/3"))    // one is taken again
	again := patient("again")                                             // expunged, and as many versions as before
	must(e.Store.Expunge(e.ctx, again))
	for n := range 3 {
		e.write(t, put(again, store.AnyVersion, 40+n, "name|again"))
	}
	must(e.Store.Expunge(e.ctx, patient("large"))) // fewer versions than before
	e.write(t, put(patient("large"), store.Absent, 9))
	// A claim goes from the first to the last, another from the last to the first, in
	// one unit.
	_, err := e.Store.Apply(e.ctx, []store.Write{
		withClaims(put(move4(0), 1, 2), "m/1"), withClaims(put(move4(1), 1, 2), "m/0"),
	})
	must(err)
	// The same, one after the other, over a third.
	e.write(t, put(move4(2), 1, 2))
	e.write(t, withClaims(put(move4(3), 1, 2), "m/2"))
	e.write(t, withClaims(put(move4(2), 2, 3), "m/3"))

	f, err := e.Facts.Get(e.ctx, "forever")
	must(err)
	_, err = e.Facts.CompareAndSet(e.ctx, "forever", f.Version, []byte("another"), e.clock.now().Add(time.Hour))
	must(err)
	must(e.Facts.Delete(e.ctx, "empty"))
	e.fact(t, "added", "x", time.Time{})
	e.fact(t, "soon", "x", e.clock.now().Add(time.Millisecond))
	e.append(t, "raw/a", "five", "six")
	e.append(t, "raw/new", "one")
	must(e.Log.Checkpoint(e.ctx, "raw/a", "r", 6))
	must(e.Log.Checkpoint(e.ctx, "raw/\xff", "r", 1))
	e.clock.advance(time.Second)
	return 4 + 1 + 2 + 4, 2
}

// furnishMore is furnish with resources that pass claims around.
func (e *env) furnishMore(t *testing.T) {
	t.Helper()
	e.furnish(t)
	for n := range 4 {
		claims := []string{fmt.Sprintf("m/%d", n)}
		if n == 3 {
			claims = nil
		}
		e.write(t, withClaims(put(move4(n), store.Absent, 1), claims...))
	}
}

func broughtUpToDate(t *testing.T, from, to *env) {
	from.furnishMore(t)
	to.clock.at = from.clock.at
	lease, err := presence.Announce(from.ctx, from.Facts, from.clock.now, "serve")
	if err != nil {
		t.Fatal(err)
	}
	if r := copyLive(t, from, to); r.Copied.Resources != 39 || r.Resumed {
		t.Errorf("the first: %+v", r)
	}
	changed, gone := from.change(t)
	to.clock.at = from.clock.at
	_, err = transfer.Run(from.ctx, from.side(t, "the source"), to.side(t, "the destination"), transfer.Options{})
	wantError(t, err, transfer.ErrInUse, "a finishing copy of a source in use")
	r := copyLive(t, from, to)
	if c := r.Copied; c.Resources != changed || c.Removed != gone || c.Facts != 2 || c.FactsRemoved != 1 || c.Entries != 3 || c.Streams != 3 || !r.Resumed {
		t.Errorf("the second: %+v; want %d resources, %d removed", r, changed, gone)
	}
	if r := copyLive(t, from, to); r.Copied != (transfer.Counts{}) {
		t.Errorf("the third: %+v", r)
	}
	if err := lease.End(); err != nil {
		t.Fatal(err)
	}
	if r := move(t, from, to); r.Copied != (transfer.Counts{}) || !r.Resumed {
		t.Errorf("the last: %+v", r)
	}
	if err := transfer.Ready(to.ctx, to.Facts); err != nil {
		t.Error(err)
	}
	// Each claim is held by whom it should be.
	for claim, holder := range map[string]string{"m/0": "m1", "m/1": "m0", "m/2": "m3", "m/3": "m2", "c/1": "full", "c/3": "aa"} {
		_, err := to.Store.Write(to.ctx, withClaims(put(patient("thief"), store.AnyVersion, 1), claim))
		var ce *store.ClaimError
		if !errors.As(err, &ce) || ce.Holder.ID != holder {
			t.Errorf("the claim %s: %v, want it held by %s", claim, err, holder)
		}
	}
	to.write(t, withClaims(put(patient("heir"), store.Absent, 1), "c/2")) // of a resource that was expunged
	found := to.checkStore(t, to, store.CheckOptions{Young: -1})
	if len(found) > 0 {
		t.Errorf("found %+v", found)
	}
}

func updateGoesOn(t *testing.T, from, to *env) {
	from.furnishMore(t)
	to.clock.at = from.clock.at
	copyLive(t, from, to)
	from.change(t)
	to.clock.at = from.clock.at
	goesOn(t, from, to)
	if found := to.checkStore(t, to, store.CheckOptions{Young: -1}); len(found) > 0 {
		t.Errorf("found %+v", found)
	}
}

// besideWriters copies again and again while others write, delete, expunge and append.
func besideWriters(t *testing.T, from, to *env) {
	until, stop := time.Now().Add(1500*time.Millisecond), atomic.Bool{}
	var acked sync.Map
	together(4, func(w int) {
		if w == 0 {
			defer stop.Store(true)
			for rounds := 0; rounds < 2 || time.Now().Before(until); rounds++ {
				_, err := transfer.Run(from.ctx, from.side(t, "the source"), to.side(t, "the destination"), transfer.Options{Live: true})
				if err != nil {
					t.Errorf("round %d: %v", rounds, err)
					return
				}
			}
			return
		}
		for n := 0; !stop.Load() && !t.Failed(); n++ {
			from.clock.advance(time.Millisecond) // a resource that is made again is not of the same moment
			if err := from.besideStep(w, n, &acked); err != nil {
				t.Errorf("writer %d, step %d: %v", w, n, err)
			}
		}
	})
	move(t, from, to)
	if found := to.checkStore(t, to, store.CheckOptions{Young: -1}); len(found) > 0 {
		t.Errorf("found %+v", found)
	}
}

// otherHistory has the newest version say nothing of what came before it.
func otherHistory(t *testing.T, from, to *env) {
	k := patient("p")
	for n := range 3 {
		from.write(t, put(k, store.AnyVersion, n))
	}
	to.clock.at = from.clock.at
	copyLive(t, from, to)
	from.clock.advance(time.Second)
	if err := from.Store.Expunge(from.ctx, k); err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		from.write(t, put(k, store.AnyVersion, 10+n))
	}
	if r := move(t, from, to); r.Copied.Resources != 1 || r.Copied.Removed != 0 {
		t.Errorf("%+v", r.Copied)
	}
}

// anotherEnd has other entries in its streams, shorter fewer.
type (
	anotherEnd struct{ transfer.Store }
	shorter    struct{ transfer.Store }
)

func (s anotherEnd) ReadFrom(ctx context.Context, stream string, from uint64, limit int) ([]store.Entry, error) {
	es, err := s.Store.ReadFrom(ctx, stream, from, limit)
	for i := range es {
		es[i].Data = append([]byte("another "), es[i].Data...)
	}
	return es, err
}

func (s shorter) Streams(ctx context.Context, after string, limit int) ([]store.Stream, error) {
	ss, err := s.Store.Streams(ctx, after, limit)
	for i := range ss {
		ss[i].Last--
	}
	return ss, err
}

func setBack(t *testing.T, from, to *env) {
	from.append(t, "s", "one", "two")
	to.clock.at = from.clock.at
	copyLive(t, from, to)
	// As if the source had been restored from a backup and gone on from there.
	side := from.side(t, "the source")
	side.Store = anotherEnd{side.Store}
	for _, live := range []bool{true, false} {
		_, err := transfer.Run(from.ctx, side, to.side(t, "the destination"), transfer.Options{Live: live})
		wantError(t, err, store.ErrConflict, "a stream with another entry")
	}
	other := newEnv(t, to.target)
	other.clock.at = from.clock.at
	from.append(t, "s", "three")
	copyLive(t, from, other)
	side.Store = shorter{side.Store}
	_, err := transfer.Run(from.ctx, side, other.side(t, "the destination"), transfer.Options{})
	wantError(t, err, store.ErrConflict, "a stream that is shorter")
	wantError(t, transfer.Ready(other.ctx, other.Facts), transfer.ErrUnfinished, "it")
}

func finishedStays(t *testing.T, from, to *env) {
	from.furnish(t)
	to.clock.at = from.clock.at
	move(t, from, to)
	to.write(t, put(patient("later"), store.Absent, 1)) // it is in use by now
	from.write(t, put(patient("full"), 8, 9))
	_, err := transfer.Run(from.ctx, from.side(t, "the source"), to.side(t, "the destination"), transfer.Options{Live: true})
	wantError(t, err, transfer.ErrFinished, "a finished copy")
	r, err := transfer.Run(from.ctx, from.side(t, "the source"), to.side(t, "the destination"), transfer.Options{})
	if err != nil || r.Comparison.Same() || r.Copied != (transfer.Counts{}) {
		t.Errorf("%+v, %v", r, err)
	}
	for k, want := range map[store.Key]int64{patient("later"): 1, patient("full"): 8} {
		if rec := to.read(t, k); rec.Version != want {
			t.Errorf("%s is at version %d", k, rec.Version)
		}
	}
}

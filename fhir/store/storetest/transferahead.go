package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/transfer"
)

// reads notes which resources are read whole, and has the prints of one be others.
type reads struct {
	transfer.Store
	keys  map[store.Key]bool
	other store.Key
}

func (r *reads) Archive(ctx context.Context, wants []store.Since, each func(*store.Archived) error) error {
	for _, w := range wants {
		if w.Version == 0 {
			r.keys[w.Key] = true
		}
	}
	return r.Store.Archive(ctx, wants, each)
}

func (r *reads) Prints(ctx context.Context, after store.Key, limit int) ([]store.Print, error) {
	ps, err := r.Store.Prints(ctx, after, limit)
	for i := range ps {
		if ps[i].Key == r.other {
			ps[i].Chain[0]++
		}
	}
	return ps, err
}

// copyAhead copies what may be in use, and verifies ahead.
func copyAhead(t *testing.T, from, to *env) transfer.Report {
	t.Helper()
	r, err := transfer.Run(from.ctx, from.side(t, "the source"), to.side(t, "the destination"), transfer.Options{Live: true, Ahead: true})
	if err != nil || r.Comparison != nil {
		t.Fatalf("%+v, %v", r.Comparison, err)
	}
	wantError(t, transfer.Ready(to.ctx, to.Facts), transfer.ErrUnfinished, "a copy that was verified ahead")
	return r
}

func (e *env) ledgers(t *testing.T) []store.Fact {
	t.Helper()
	fs, err := e.Facts.Scan(e.ctx, "store-copy/", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

// verifiedAhead wants what was verified ahead not to be read again, and the comparison
// to say what one says that reads everything.
func verifiedAhead(t *testing.T, from, to *env) {
	from.furnishMore(t)
	to.clock.at = from.clock.at
	if r := copyAhead(t, from, to); r.Proven != 39 || r.Spared != 0 {
		t.Errorf("the first: %+v", r)
	}
	if r := copyAhead(t, from, to); r.Proven != 39 || r.Spared != 39 || len(to.ledgers(t)) != 1 {
		t.Errorf("the second: %+v, %d facts", r, len(to.ledgers(t)))
	}
	changed, gone := from.change(t)
	to.clock.at = from.clock.at
	src, dst := from.side(t, "the source"), to.side(t, "the destination")
	source := &reads{src.Store, map[store.Key]bool{}, store.Key{}}
	// What stands otherwise in the destination than it did is read as well.
	destination := &reads{dst.Store, map[store.Key]bool{}, store.Key{Type: "Observation", ID: "o07"}}
	src.Store, dst.Store = source, destination
	r, err := transfer.Run(from.ctx, src, dst, transfer.Options{Ahead: true})
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, r.Comparison)
	if want := 39 - gone + 2 - changed - 1; r.Comparison.Spared != want { // two are new
		t.Errorf("%d were not read, want %d", r.Comparison.Spared, want)
	}
	for k, want := range map[store.Key]bool{destination.other: true, {Type: "Observation", ID: "o08"}: false, patient("full"): true, patient("again"): true, patient("new"): true} {
		if source.keys[k] != want || destination.keys[k] != want {
			t.Errorf("%s was read: %v, %v", k, source.keys[k], destination.keys[k])
		}
	}
	if err := transfer.Ready(to.ctx, to.Facts); err != nil || len(to.ledgers(t)) > 0 {
		t.Errorf("%v, %d facts are left", err, len(to.ledgers(t)))
	}
	whole, err := transfer.Compare(from.ctx, from.side(t, "the source"), to.side(t, "the destination"), transfer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(whole.Source, r.Comparison.Source); diff != "" {
		t.Errorf("(-whole +ahead):\n%s", diff)
	}
}

// aheadFinds wants a difference to be found though its resource was verified ahead.
func aheadFinds(t *testing.T, from, to *env) {
	from.furnish(t)
	to.clock.at = from.clock.at
	copyAhead(t, from, to)
	// Unseen by marks: as often written, the last time to the same at the same moment.
	k := patient("again")
	history, err := from.Store.History(from.ctx, k, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	versions := slices.Clone(history)
	slices.Reverse(versions)
	first := *versions[0]
	first.Raw = body(k, 77)
	versions[0] = &first
	versions[len(versions)-1].Index = from.read(t, k).Index
	if err := from.Store.Expunge(from.ctx, k); err != nil {
		t.Fatal(err)
	}
	if err := from.side(t, "").Restore(from.ctx, []*store.Archived{{Key: k, Versions: versions, Complete: true}}); err != nil {
		t.Fatal(err)
	}
	r, err := transfer.Run(from.ctx, from.side(t, "the source"), to.side(t, "the destination"), transfer.Options{Ahead: true})
	if err != nil || r.Comparison.Same() || len(r.Comparison.Differences) != 1 || r.Comparison.Differences[0].What != "Patient/again/_history/1" {
		t.Errorf("%+v, %v", r.Comparison, err)
	}
	wantError(t, transfer.Ready(to.ctx, to.Facts), transfer.ErrUnfinished, "a copy that is another")
}

// aheadGoesOn cuts off runs ahead, and spoils what one has noted.
func aheadGoesOn(t *testing.T, from, to *env) {
	from.furnishMore(t)
	to.clock.at = from.clock.at
	ended := false
	for runs := 0; !ended; runs++ {
		if runs > 100 {
			t.Fatal("it does not come to an end")
		}
		left, calls := 1+runs/2, 0
		side := to.side(t, "the destination")
		side.Store = cutStore{side.Store, &left, runs%2 == 1, &calls}
		_, err := transfer.Run(from.ctx, from.side(t, "the source"), side, transfer.Options{Live: true, Ahead: true})
		if ended = err == nil; !ended && !errors.Is(err, errCut) {
			t.Fatal(err)
		}
	}
	if r := copyAhead(t, from, to); r.Spared != 39 {
		t.Errorf("%+v", r)
	}
	f := to.ledgers(t)[0]
	if _, err := to.Facts.CompareAndSet(to.ctx, f.Key, f.Version, f.Value[:len(f.Value)/2], f.Expires); err != nil {
		t.Fatal(err)
	}
	run := func(ahead bool) error {
		_, err := transfer.Run(from.ctx, from.side(t, "the source"), to.side(t, "the destination"), transfer.Options{Ahead: ahead})
		return err
	}
	wantError(t, run(true), store.ErrDamaged, "a ledger that was cut off")
	if r := copyAhead(t, from, to); r.Proven != 39 {
		t.Errorf("after damage: %+v", r)
	}
	from.change(t)
	to.clock.at = from.clock.at
	if err := run(true); err != nil {
		t.Error(err)
	}
}

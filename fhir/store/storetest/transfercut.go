package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/transfer"
)

// A cut destination fails for good after some calls: before it has done the last
// one, or after.
type cutStore struct {
	transfer.Store
	left  *int
	after bool
	calls *int
}

var errCut = errors.New("cut off")

func (c cutStore) cut(do func() error) error {
	*c.left--
	if *c.left < 0 || *c.left == 0 && !c.after {
		return errCut
	}
	*c.calls++
	if err := do(); err != nil {
		return err
	}
	if *c.left == 0 {
		return errCut
	}
	return nil
}

func (c cutStore) Restore(ctx context.Context, rs []*store.Archived) error {
	return c.cut(func() error { return c.Store.Restore(ctx, rs) })
}

func (c cutStore) RestoreFacts(ctx context.Context, fs []store.Fact) error {
	return c.cut(func() error { return c.Store.RestoreFacts(ctx, fs) })
}

func (c cutStore) DropFacts(ctx context.Context, keys []string) error {
	return c.cut(func() error { return c.Store.DropFacts(ctx, keys) })
}

func (c cutStore) Expunge(ctx context.Context, k store.Key) error {
	return c.cut(func() error { return c.Store.Expunge(ctx, k) })
}

func (c cutStore) RestoreEntries(ctx context.Context, stream string, es []store.Entry) error {
	return c.cut(func() error { return c.Store.RestoreEntries(ctx, stream, es) })
}

func (c cutStore) RestorePositions(ctx context.Context, s store.Stream) error {
	return c.cut(func() error { return c.Store.RestorePositions(ctx, s) })
}

func (c cutStore) RaiseFactVersion(ctx context.Context, v int64) error {
	return c.cut(func() error { return c.Store.RaiseFactVersion(ctx, v) })
}

func (c cutStore) CompareAndSet(ctx context.Context, key string, version int64, value []byte, expires time.Time) (f store.Fact, err error) {
	err = c.cut(func() error {
		f, err = c.Store.CompareAndSet(ctx, key, version, value, expires)
		return err
	})
	return f, err
}

// copyGoesOn cuts a copy off at every point; it must come to its end all the same.
func copyGoesOn(t *testing.T, from, to *env) {
	from.furnish(t)
	to.clock.at = from.clock.at
	for i := range 700 { // several pieces
		from.write(t, put(store.Key{Type: "Task", ID: fmt.Sprintf("t%03d", i)}, store.Absent, i, "n|1"))
	}
	goesOn(t, from, to)
}

// goesOn copies again and again. Each run is cut off at a later call than the one
// before: in turn before it has done the last one, and after.
func goesOn(t *testing.T, from, to *env) {
	t.Helper()
	calls, runs := 0, 0
	for ; ; runs++ {
		if runs > 100 {
			t.Fatal("it does not come to an end")
		}
		left := 1 + runs/2
		side := to.side(t, "the destination")
		side.Store = cutStore{side.Store, &left, runs%2 == 1, &calls}
		r, err := transfer.Run(from.ctx, from.side(t, "the source"), side, transfer.Options{})
		if err == nil {
			wantSame(t, r.Comparison)
			break
		}
		if !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		if runs > 0 { // the first has not even said that it began
			wantError(t, transfer.Ready(to.ctx, to.Facts), transfer.ErrUnfinished, "an unfinished copy")
		}
	}
	t.Logf("%d runs, %d calls", runs, calls)
	if runs < 10 {
		t.Errorf("it was cut off %d times", runs)
	}
	if err := transfer.Ready(to.ctx, to.Facts); err != nil {
		t.Errorf("a finished copy: %v", err)
	}
}

func unfinished(t *testing.T, from, to *env) {
	from.furnish(t)
	to.clock.at = from.clock.at
	left, calls := 2, 0
	side := to.side(t, "the destination")
	side.Store = cutStore{side.Store, &left, true, &calls}
	_, err := transfer.Run(from.ctx, from.side(t, "the source"), side, transfer.Options{})
	wantError(t, err, errCut, "a cut copy")
	third := newEnv(t, from.target)
	_, err = transfer.Run(from.ctx, to.side(t, "the half"), third.side(t, "a third"), transfer.Options{})
	wantError(t, err, transfer.ErrUnfinished, "an unfinished copy as a source")
	r := move(t, from, to)
	if !r.Resumed {
		t.Error("it does not say that it went on")
	}
}

package lease

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
)

func open(t *testing.T) backend.Backend {
	t.Helper()
	return backendtest.Open(t, backend.Options{})
}

func part(t *testing.T, facts store.Facts, who string) *Lease {
	t.Helper()
	return partOf(t, facts, who, 120*time.Second) // its tests have clocks of their own
}

func partOf(t *testing.T, facts store.Facts, who string, patience time.Duration) *Lease {
	t.Helper()
	l, err := New(Options{Facts: facts, Key: "k", Holder: who, Renew: 10 * time.Millisecond, Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// at gives a lease a clock of its own.
func (l *Lease) at(offset *atomic.Int64) {
	began := time.Now()
	l.now = func() time.Time { return began.Add(time.Duration(offset.Load())) }
}

func TestALeaseIsTakenOverOnlyAfterItWasSeenUnchanged(t *testing.T) {
	db, ctx := open(t), t.Context()
	a, b := part(t, db, "a"), part(t, db, "b")
	var mine, other atomic.Int64
	a.at(&mine)
	b.at(&other)
	if held, err := a.try(ctx); !held || err != nil || a.Check() != nil || a.Term() != 1 {
		t.Fatal(held, err, a.Term())
	}
	if held, err := b.try(ctx); held || err != nil || !errors.Is(b.Check(), ErrLost) {
		t.Fatal("a held lease was taken", err)
	}
	for range 5 { // it is renewed: however long b watches, it is not b's
		other.Add(int64(100 * time.Second))
		if err := a.renew(ctx); err != nil {
			t.Fatal(err)
		}
		if held, err := b.try(ctx); held || err != nil {
			t.Fatal("a renewed lease was taken over", err)
		}
	}
	other.Add(int64(119 * time.Second))
	if held, _ := b.try(ctx); held {
		t.Fatal("taken over too early")
	}
	other.Add(int64(time.Second))
	if held, err := b.try(ctx); !held || err != nil || b.Term() != 2 {
		t.Fatal("not taken over", err, b.Term())
	}
	// a stood still, by its own clock too, and wakes.
	if err := a.renew(ctx); !errors.Is(err, ErrLost) || !errors.Is(a.Check(), ErrLost) || a.Term() != 0 {
		t.Fatal("the old holder did not notice", err)
	}
	if held, _ := a.try(ctx); held {
		t.Fatal("taken back")
	}
	s, err := Read(ctx, db, "k")
	if err != nil || s.Holder != "b" || s.Term != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	b.release(ctx)
	if held, err := a.try(ctx); !held || err != nil || a.Term() != 3 {
		t.Error("a released lease is free at once", err, a.Term())
	}
}

// A process that starts again need not wait for itself.
func TestWhatAnEndedProcessOfTheSameNameHeldIsTakenAtOnce(t *testing.T) {
	db, ctx := open(t), t.Context()
	before, after := part(t, db, "a"), part(t, db, "a")
	before.at(new(atomic.Int64)) // a busy machine takes no time
	after.at(new(atomic.Int64))
	if held, err := before.try(ctx); !held || err != nil {
		t.Fatal(err)
	}
	if held, err := after.try(ctx); !held || err != nil || after.Term() != 2 {
		t.Error(held, err, after.Term())
	}
	if err := before.renew(ctx); !errors.Is(err, ErrLost) {
		t.Error(err)
	}
}

// A holder does not trust its lease for as long as others need to take it.
func TestAHolderLapsesBeforeAnotherCanTakeOver(t *testing.T) {
	db, ctx := open(t), t.Context()
	a := part(t, db, "a")
	var mine atomic.Int64
	a.at(&mine)
	if held, err := a.try(ctx); !held || err != nil {
		t.Fatal(err)
	}
	mine.Add(int64(79 * time.Second))
	if a.Check() != nil {
		t.Error("lapsed too early")
	}
	mine.Add(int64(time.Second))
	if !errors.Is(a.Check(), ErrLost) || !errors.Is(a.renew(ctx), ErrLost) {
		t.Error("it has lapsed")
	}
	if held, err := a.try(ctx); !held || err != nil || a.Term() != 1 {
		t.Error("nobody wanted it: it is the same term", err, a.Term())
	}
}

// lost is a store whose answers are lost.
type lost struct {
	store.Facts
	fail atomic.Bool
}

var errCut = errors.New("the connection was cut")

func (f *lost) CompareAndSet(ctx context.Context, key string, v int64, value []byte, expires time.Time) (store.Fact, error) {
	out, err := f.Facts.CompareAndSet(ctx, key, v, value, expires)
	if f.fail.Load() {
		return store.Fact{}, errCut
	}
	return out, err
}

func TestARenewalWhoseAnswerIsLostIsFound(t *testing.T) {
	facts, ctx := &lost{Facts: open(t)}, t.Context()
	a := part(t, facts, "a")
	a.at(new(atomic.Int64)) // a busy machine takes no time
	if held, err := a.try(ctx); !held || err != nil {
		t.Fatal(err)
	}
	facts.fail.Store(true)
	if err := a.renew(ctx); err != nil {
		t.Fatal(err)
	}
	facts.fail.Store(false)
	if err := a.renew(ctx); err != nil {
		t.Fatal("the next does not fit:", err)
	}
}

// Of many, one at a time works, also when holders stop.
func TestOneAtATimeWorks(t *testing.T) {
	db := open(t)
	ctx, end := context.WithCancel(t.Context())
	var inside, most, turns atomic.Int32
	var wg sync.WaitGroup
	for _, who := range []string{"a", "b", "c", "d"} {
		l := partOf(t, db, who, time.Hour) // a holder that stops gives it up; nobody takes it over
		wg.Go(func() {
			l.Run(ctx, func(ctx context.Context) {
				n := inside.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				if turns.Add(1) > 1 {
					wait(ctx, time.Hour)
				} else {
					wait(ctx, 30*time.Millisecond)
				}
				inside.Add(-1)
			})
		})
	}
	for until := time.Now().Add(time.Minute); turns.Load() < 2 && time.Now().Before(until); {
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond) // another could come beside it
	end()
	wg.Wait()
	if most.Load() != 1 || turns.Load() < 2 {
		t.Errorf("%d at once, %d turns", most.Load(), turns.Load())
	}
	if s, err := Read(t.Context(), db, "k"); err != nil || s.Holder != "" {
		t.Errorf("at the end %+v, %v", s, err)
	}
}

// hanging are facts of a store that is away: a replacement that was begun is not given
// up when its context ends.
type hanging struct {
	store.Facts
	away chan struct{} // closed when the store is back
	is   atomic.Bool
}

func (h *hanging) CompareAndSet(ctx context.Context, key string, version int64, value []byte, expires time.Time) (store.Fact, error) {
	if h.is.Load() {
		<-h.away
	}
	return h.Facts.CompareAndSet(ctx, key, version, value, expires)
}

func TestWorkEndsWhenItsLeaseLapsesThoughARenewalHangs(t *testing.T) {
	facts := &hanging{Facts: open(t), away: make(chan struct{})}
	l := partOf(t, facts, "a", 120*time.Millisecond)
	ctx, stop := context.WithCancel(t.Context())
	ended, ran := make(chan error, 8), make(chan struct{})
	go func() {
		defer close(ran)
		l.Run(ctx, func(ctx context.Context) {
			facts.is.Store(true)
			<-ctx.Done()
			ended <- context.Cause(ctx)
		})
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, ErrLost) || l.Check() == nil {
			t.Errorf("it ended by %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("it goes on though another may have taken over long since")
	}
	stop()
	close(facts.away)
	<-ran
}

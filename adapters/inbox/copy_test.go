package inbox_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/handoff-health/handoff/adapters/inbox"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
)

// held gives what it has read of one mark only when it is told to.
type held struct {
	store.Facts
	on       atomic.Bool
	at, late chan struct{}
}

func (h *held) Get(ctx context.Context, key string) (store.Fact, error) {
	f, err := h.Facts.Get(ctx, key)
	if strings.Contains(key, "/m/") && h.on.CompareAndSwap(true, false) {
		close(h.at)
		<-h.late
	}
	return f, err
}

// A copy whose original is settled while its mark is looked at is a copy: it is counted
// as one, and not kept.
func TestACopyOfWhatIsJustSettledIsACopy(t *testing.T) {
	db := openDB(t, backendtest.Address(t))
	facts := &held{Facts: db, at: make(chan struct{}), late: make(chan struct{})}
	b := openBox(t, db, facts, nil)
	receive(t, b, admit(0))
	facts.on.Store(true)
	got := make(chan inbox.Receipt, 1)
	failed := make(chan error, 1)
	go func() {
		r, err := b.Receive(context.Background(), admit(0))
		got <- r
		failed <- err
	}()
	<-facts.at
	f := newFeed(t, b, db, db, db)
	run(t, f, func() bool { return b.Counts().Seq == 1 && b.Counts().Waiting == 0 })
	close(facts.late)
	if r, err := <-got, <-failed; err != nil || !r.Duplicate || r.Seq != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if c := b.Counts(); c.Duplicates != 1 || c.Received != 1 || c.Waiting != 0 {
		t.Errorf("%+v", c)
	}
}

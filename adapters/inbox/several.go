package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// Several processes may have the inbox of one system: all take messages, one at a
// time processes them, which its lease says (Feed.Held). Who processes looks for
// what the others have appended, and the others look how far it has come.

const (
	// followEvery is how often a process looks what the others did.
	followEvery = 250 * time.Millisecond
	// aloneLooks is how many looks a process that processes and is alone passes over
	// between two: one that nobody counts may have appended, such as one that was
	// forgotten while it ran.
	aloneLooks = 40
)

// Follow looks what other processes do with the inbox, until the context ends. An
// error passes: the next look may succeed. Of several in a row the first is told.
func (b *Box) Follow(ctx context.Context, tell func(error)) {
	failing := false
	for pause(ctx, followEvery) == nil {
		err := b.follow(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			tell(fmt.Errorf("inbox %s: %w", b.o.System, err))
		}
		failing = err != nil
	}
}

func (b *Box) follow(ctx context.Context) error {
	b.role.Lock()
	mine := b.dispatching
	b.role.Unlock()
	if mine && !b.due(b.o.Several()) {
		return nil
	}
	if err := b.catchUp(ctx); err != nil {
		b.passed = aloneLooks // again at the next look
		return err
	}
	if mine {
		return nil
	}
	b.role.Lock()
	defer b.role.Unlock()
	if b.dispatching { // it has become so meanwhile
		return nil
	}
	if err := b.counts.load(ctx, b); err != nil {
		return err
	}
	b.forgetUntil(b.counts.at())
	return nil
}

// due says whether who processes looks now. The first look without others comes after
// the last with them: what one appended before it left is found by it, since it has
// left after that.
func (b *Box) due(several bool) bool {
	switch {
	case several:
		b.passed = aloneLooks
		return true
	case b.passed >= aloneLooks:
		b.passed = 0
		return true
	}
	b.passed++
	return false
}

// forgetUntil lets go what another process has settled.
func (b *Box) forgetUntil(seq uint64) {
	var done []uint64
	b.mu.Lock()
	for n := range b.waiting {
		if n <= seq {
			done = append(done, n)
		}
	}
	b.mu.Unlock()
	if len(done) > 0 {
		b.finish(done)
	}
}

// takePlace makes this process the one that moves the place. The term is written
// into it: who had the place before finds another version from then on.
func (b *Box) takePlace(ctx context.Context, term func() int64) error {
	b.role.Lock()
	defer b.role.Unlock()
	if term == nil {
		b.dispatching = true
		return nil
	}
	if err := b.counts.load(ctx, b); err != nil {
		return fmt.Errorf("inbox %s: %w", b.o.System, err)
	}
	now := term()
	b.counts.mu.Lock()
	before := b.counts.Term
	b.counts.Term = now
	b.counts.mu.Unlock()
	if now <= 0 || now < before {
		return fmt.Errorf("inbox %s: another process has the place: %w", b.o.System, store.ErrConflict)
	}
	if now > before {
		if err := b.counts.save(ctx, b); err != nil {
			return err
		}
	}
	if err := b.catchUp(ctx); err != nil {
		return fmt.Errorf("inbox %s: %w", b.o.System, err)
	}
	b.forgetUntil(b.counts.at())
	b.dispatching = true
	return nil
}

func (b *Box) leavePlace() {
	b.role.Lock()
	defer b.role.Unlock()
	b.dispatching = false
}

// markEvery is how often a mark is looked for that is on its way.
const markEvery = 10 * time.Millisecond

// settledMark reads a message's mark. That of a message which another process has
// appended may be on its way: who appends puts both side by side. After a time this
// process puts one that says that the message is gone, and then no other can: either
// the sender was told that it was taken, or it never will be.
func (b *Box) settledMark(ctx context.Context, id string, sl *slot) (*mark, error) {
	for {
		m, err := b.mark(ctx, id)
		if m != nil || err != nil || sl == nil || sl.found.IsZero() {
			return m, err
		}
		if time.Since(sl.found) < b.o.Patience {
			if err := pause(ctx, markEvery); err != nil {
				return nil, err
			}
			continue
		}
		raw, err := json.Marshal(mark{Gone: true, At: sl.at.UTC()})
		if err != nil {
			return nil, err
		}
		_, err = b.o.Facts.PutIfAbsent(ctx, b.markKey(id), raw, b.clock().Add(b.o.Remember))
		if err != nil && !errors.Is(err, store.ErrExists) {
			return nil, fmt.Errorf("inbox %s: %w", b.o.System, err)
		}
	}
}

// Receipts count what came and was not kept. All processes add to one fact.
type Receipts struct {
	Duplicates int64 `json:"duplicates,omitempty"`
	Collisions int64 `json:"collisions,omitempty"`
}

type receipts struct{ kept, delta Receipts }

func receiptsKey(system string) string { return Stream(system) + "/receipts" }

// KeepReceipts adds what this process has counted to what is kept.
func (b *Box) KeepReceipts(ctx context.Context) error {
	p := &b.counts
	p.keeping.Lock() // of two at once each would add what the other adds
	defer p.keeping.Unlock()
	p.mu.Lock()
	delta := p.told.delta
	p.mu.Unlock()
	if delta == (Receipts{}) {
		return nil
	}
	var now Receipts
	err := change(ctx, b.o.Facts, receiptsKey(b.o.System), func(kept *Receipts) {
		kept.Duplicates += delta.Duplicates
		kept.Collisions += delta.Collisions
		now = *kept
	})
	if err != nil {
		return fmt.Errorf("inbox %s: keeping counts: %w", b.o.System, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told.kept = now
	p.told.delta.Duplicates -= delta.Duplicates
	p.told.delta.Collisions -= delta.Collisions
	return nil
}

package mongo

import (
	"context"
	"fmt"
	"sync"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/handoff-health/handoff/fhir/store"
)

// bumpEpoch raises the epoch counter and returns what it is then. It is called when
// what was written can be read, and before the write is acknowledged. Callers of a
// process that wait at the same time share one increment, which begins after the
// last of them has called: so each value returned is of after the call.
func (db *DB) bumpEpoch(ctx context.Context) (int64, error) {
	n, err := db.bumps.do(ctx, func() (n int64, err error) {
		ctx, began := context.WithoutCancel(ctx), time.Now()
		err = db.retry(ctx, "raise the epoch", func(ctx context.Context) (err error) {
			n, err = db.increment(ctx, epochs, 1)
			return err
		})
		if err == nil {
			db.sight(n, began)
		}
		return n, err
	})
	return n, db.explainAs("raise the epoch", err) // of a caller whose time is over
}

// epochReads is how many reads of the epoch a process has under way at most. Every
// request and every search asks for it: beyond a few at a time one read can serve all
// who came before it began, and costs them little time.
const epochReads = 4

// Epoch implements store.Epocher. What it gives is no older than the call. A counter
// that has less than it had gives store.ErrOlder: what is kept in memory under a number
// would count for another state.
func (db *DB) Epoch(ctx context.Context) (int64, error) {
	n, err := db.asks.do(ctx, func() (n int64, err error) {
		before, began := db.sighted.Load(), time.Now()
		err = db.readLatest(context.WithoutCancel(ctx), "read the epoch", numbers, epochs.name, func(r *driver.SingleResult) error {
			doc := numberDoc{Last: -1} // if it has lost its number
			err := r.Decode(&doc)
			if n = doc.Last; err == nil && n < 0 {
				err = driver.ErrNoDocuments
			}
			return db.lacksCounter(epochs, err)
		})
		if err == nil && before != nil && n < before.n {
			err = fmt.Errorf("%s: %w: its epoch was %d, and is %d now; the database was put back under this process, which has to be started again",
				db.where(), store.ErrOlder, before.n, n)
		}
		if err == nil {
			db.sight(n, began)
		}
		return n, err
	})
	return n, db.explainAs("read the epoch", err) // of a caller whose time is over
}

// A sighting is a value that the epoch counter had at a time, or after it.
type sighting struct {
	n  int64
	at time.Time
}

// sightingFresh is how old a sighting may be that a search goes by. It would be right
// with any, but would read again what has been written since.
const sightingFresh = 100 * time.Millisecond

// sight remembers the newest value seen.
func (db *DB) sight(n int64, at time.Time) {
	next := &sighting{n, at}
	for {
		old := db.sighted.Load()
		if old != nil && (old.n > n || old.n == n && !old.at.Before(at)) || db.sighted.CompareAndSwap(old, next) {
			return
		}
	}
}

// lately gives a value that the epoch counter had not long ago, and from when on it
// had it: the one that this process has seen last, else what is read now.
func (db *DB) lately(ctx context.Context) (sighting, error) {
	if s := db.sighted.Load(); s != nil && time.Since(s.at) < sightingFresh {
		return *s, nil
	}
	s := sighting{at: time.Now()}
	var err error
	s.n, err = db.Epoch(ctx)
	return s, err
}

// A bumper joins calls: while as many as there are lanes are under way, those that
// come wait for the next, which is made once for all of them.
type bumper struct {
	lanes int // 0: one
	mu    sync.Mutex
	busy  int
	next  *bump
}

type bump struct {
	done chan struct{}
	n    int64
	err  error
}

func (b *bumper) do(ctx context.Context, f func() (int64, error)) (int64, error) {
	b.mu.Lock()
	if b.next == nil {
		b.next = &bump{done: make(chan struct{})}
	}
	mine := b.next
	if b.busy < max(1, b.lanes) {
		b.busy++
		go b.run(f)
	}
	b.mu.Unlock()
	select {
	case <-mine.done:
		return mine.n, mine.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (b *bumper) run(f func() (int64, error)) {
	for {
		b.mu.Lock()
		now := b.next
		b.next = nil
		if now == nil {
			b.busy--
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		now.n, now.err = f()
		close(now.done)
	}
}

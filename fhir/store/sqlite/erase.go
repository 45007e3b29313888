package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/handoff-health/handoff/fhir/store"
)

// Two rows of counter say how often an erasing was asked for, and up to which of
// them it was done: the former is written with the removal, so that an erasing which
// was interrupted is owed by whoever has the file open next. Earlier versions of this
// program leave both rows alone.
const (
	eraseAsked = "erase"
	eraseDone  = "erased"
)

// erasing is what a process knows of it.
type erasing struct {
	turn    chan struct{} // holds one: who clears pages
	cleared int64         // up to which asking this process has cleared the pages; under turn
	tried   int64         // up to which asking the sweeper met a page that is damaged; under turn
	seen    int64         // eraseDone at the sweep before, when something was owed; else -1; under turn
	cut     *atomic.Bool  // whether the writer could cut the log when it last tried
}

func newErasing() erasing {
	return erasing{turn: make(chan struct{}, 1), seen: -1, cut: new(atomic.Bool)}
}

// Erase implements store.Eraser: what was removed or replaced before is overwritten in
// every page and leaves the write-ahead log. While a reader holds an older state the log
// stays; then it goes with a sweep after that. Callers that wait share one scan of the
// file: any that began after they asked will do. store.ErrDamaged names a page that is
// not what its header says: it is left as it is, and stays owed; all others are done.
func (db *DB) Erase(ctx context.Context) error {
	var asked int64
	err := db.submit(ctx, func(t *txn) (err error) {
		asked, err = t.oweErase()
		return err
	})
	if err != nil {
		return err
	}
	if err := db.register(); err != nil {
		return err
	}
	defer db.running.Done()
	select {
	case db.erasing.turn <- struct{}{}:
		defer func() { <-db.erasing.turn }()
	case <-ctx.Done():
		return ctx.Err()
	case <-db.closing:
		return db.isClosed()
	}
	if db.erasing.cleared >= asked {
		return nil // the log too, or a reader holds it
	}
	begun, done, err := db.owedErase(ctx)
	if err != nil || done >= asked { // by another process
		return err
	}
	if err := db.clearPages(ctx); err != nil {
		err = fmt.Errorf("overwrite what was removed: %w", err)
		if !errors.Is(err, store.ErrDamaged) {
			return err
		}
		return errors.Join(err, db.endErase(ctx, true, 0)) // the other pages are cleared
	}
	db.erasing.cleared = begun
	return db.endErase(ctx, true, begun)
}

// register has Close wait for the caller, who calls running.Done.
func (db *DB) register() error {
	db.gate.RLock()
	defer db.gate.RUnlock()
	if db.closed {
		return db.isClosed()
	}
	db.running.Add(1)
	return nil
}

// oweErase notes in the transaction of a removal that an erasing has to follow.
func (t *txn) oweErase() (asked int64, err error) {
	_, err = t.one(t.ctx, `INSERT INTO counter (name, last) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET last = last + 1 RETURNING last`,
		[]any{eraseAsked}, &asked)
	return asked, err
}

func (db *DB) owedErase(ctx context.Context) (asked, done int64, err error) {
	err = db.read(ctx, func(s *session) error {
		_, err := s.one(ctx, `SELECT coalesce((SELECT last FROM counter WHERE name = ?), 0), coalesce((SELECT last FROM counter WHERE name = ?), 0)`,
			[]any{eraseAsked, eraseDone}, &asked, &done)
		return err
	})
	return asked, done, err
}

// endErase cuts the log, and if that could be done nothing up to an asking is owed.
func (db *DB) endErase(ctx context.Context, wait bool, upTo int64) error {
	err := db.submit(ctx, func(t *txn) error {
		t.wipe, t.tidy = t.wipe || wait, true
		return nil
	})
	if err != nil || !db.erasing.cut.Load() || upTo == 0 {
		return err
	}
	return db.submit(ctx, func(t *txn) error {
		return t.exec(t.ctx, `INSERT INTO counter (name, last) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET last = max(last, excluded.last)`,
			eraseDone, upTo)
	})
}

// eraseOwed is the sweeper's part: it cuts the log, and makes up for an erasing of any
// process that was interrupted. That is one which stands, at two sweeps, where it stood:
// so that two processes do not scan the file side by side.
func (db *DB) eraseOwed(ctx context.Context) error {
	select {
	case db.erasing.turn <- struct{}{}:
		defer func() { <-db.erasing.turn }()
	default:
		return nil // one is under way, and cuts the log
	}
	e := &db.erasing
	asked, done, err := db.owedErase(ctx)
	if err != nil {
		return err
	}
	if asked <= done {
		e.seen = -1
		return db.endErase(ctx, false, 0)
	}
	if e.cleared < asked && e.tried < asked && e.seen == done {
		err := db.clearPages(ctx)
		switch {
		case errors.Is(err, store.ErrDamaged): // again when somebody asks
			e.tried = asked
		case err != nil:
			return err
		default:
			e.cleared = asked
		}
	}
	e.seen = done
	if e.cleared <= done {
		return db.endErase(ctx, false, 0)
	}
	return db.endErase(ctx, false, e.cleared)
}

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

// maxBatch is how many jobs share one commit.
const maxBatch = 64

var errClosed = errors.New("the store is closed")

// writeCount lets readers know how old what they counted is.
type writeCount struct{ atomic.Int64 }

// A job is one piece of work for the writer. It is undone as a whole if do
// fails.
type job struct {
	ctx  context.Context
	do   func(*txn) error
	done chan error
}

// A txn is what a job works with: the writer's session and what the batch has
// made so far.
type txn struct {
	*session
	db     *DB
	ctx    context.Context  // never done: a job that has begun ends
	params map[string]int64 // made or seen by the writer; dropped on rollback
	wipe   bool             // what was deleted must leave the write-ahead log too
	tidy   bool             // the same, unless somebody stands in the way
}

// submit has the writer do f and waits for the commit.
func (db *DB) submit(ctx context.Context, f func(*txn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{ctx: ctx, do: f, done: make(chan error, 1)}
	if err := db.enqueue(ctx, j); err != nil {
		return err
	}
	return db.explain(<-j.done)
}

// enqueue never sends after Close has closed the queue: Close waits for the
// senders, which the writer keeps serving.
func (db *DB) enqueue(ctx context.Context, j *job) error {
	db.gate.RLock()
	defer db.gate.RUnlock()
	if db.closed {
		return db.isClosed()
	}
	select {
	case db.jobs <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (db *DB) isClosed() error { return fmt.Errorf("%s: %w", db.path, errClosed) }

// write is the writer's loop; it ends when the queue is closed and empty.
func (db *DB) write(s *session) {
	defer func() { _ = s.close() }() // every commit has been checked
	t := &txn{session: s, db: db, ctx: context.Background(), params: map[string]int64{}}
	batch := make([]*job, 0, maxBatch)
	for j := range db.jobs {
		batch = db.gather(append(batch[:0], j))
		t.commit(batch)
	}
}

// gather adds the jobs that wait already.
func (db *DB) gather(batch []*job) []*job {
	for len(batch) < maxBatch {
		select {
		case j, ok := <-db.jobs:
			if !ok {
				return batch
			}
			batch = append(batch, j)
		default:
			return batch
		}
	}
	return batch
}

// commit does the jobs of a batch in one transaction and answers them.
func (t *txn) commit(batch []*job) {
	results := make([]error, len(batch))
	if err := t.transact(batch, results); err != nil {
		_ = t.exec(t.ctx, "ROLLBACK") // fails if SQLite has rolled back itself
		clear(t.params)
		for i := range results {
			results[i] = err
		}
	}
	t.db.writes.Add(int64(len(batch)))
	if t.wipe || t.tidy {
		t.db.erasing.cut.Store(t.emptyLog(t.wipe))
		t.wipe, t.tidy = false, false
	}
	for i, j := range batch {
		j.done <- results[i]
	}
}

// emptyLog moves the write-ahead log into the file, where secure_delete has
// overwritten what was removed, and cuts it off. A reader in the middle of a snapshot
// keeps the log: it is waited for or not, and then the sweeper of whichever process
// comes again. It says whether the log is cut.
func (t *txn) emptyLog(wait bool) bool {
	if !wait {
		if _, err := t.conn.ExecContext(t.ctx, "PRAGMA busy_timeout = 0"); err != nil {
			return false
		}
		defer func() {
			_, _ = t.conn.ExecContext(t.ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", t.db.busy.Milliseconds())) // it takes any number
		}()
	}
	var busy, frames, moved int
	err := t.conn.QueryRowContext(t.ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved)
	return err == nil && busy == 0
}

// transact fills in one result a job. Its own error means that none is done.
func (t *txn) transact(batch []*job, results []error) error {
	if err := t.exec(t.ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for i, j := range batch {
		if results[i] = j.ctx.Err(); results[i] != nil {
			continue
		}
		if len(batch) == 1 { // the transaction itself is the savepoint
			if err := j.do(t); err != nil {
				return err
			}
			continue
		}
		if err := t.exec(t.ctx, "SAVEPOINT job"); err != nil {
			return err
		}
		if results[i] = j.do(t); results[i] != nil {
			clear(t.params)
			if err := t.exec(t.ctx, "ROLLBACK TO job"); err != nil {
				// SQLite gives up the whole transaction on a full or failing disk.
				return errors.Join(results[i], err)
			}
		}
		if err := t.exec(t.ctx, "RELEASE job"); err != nil {
			return err
		}
	}
	return t.exec(t.ctx, "COMMIT")
}

// read lends a reader to f. A reader that is not in a transaction sees one
// state per statement; see snapshot.
func (db *DB) read(ctx context.Context, f func(*session) error) error {
	select {
	case <-db.readers.free:
		s := db.readers.take()
		defer db.readers.give(s)
		err := f(s)
		if ctx.Err() != nil && err != nil {
			return ctx.Err()
		}
		return db.explain(err)
	case <-ctx.Done():
		return ctx.Err()
	case <-db.closing:
		return db.isClosed()
	}
}

// snapshot has f see one state of the store over several statements.
func (db *DB) snapshot(ctx context.Context, f func(*session) error) error {
	return db.read(ctx, func(s *session) (err error) {
		// Begin and end whatever ctx says, so that a reader is never left open.
		if err := s.exec(context.Background(), "BEGIN"); err != nil {
			return err
		}
		defer func() {
			if cerr := s.exec(context.Background(), "COMMIT"); cerr != nil {
				_ = s.exec(context.Background(), "ROLLBACK")
				err = errors.Join(err, cerr)
			}
		}()
		return f(s)
	})
}

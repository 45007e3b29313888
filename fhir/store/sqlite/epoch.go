package sqlite

import (
	"context"
	"fmt"
	"time"
)

// Epoch implements store.Epocher by SQLite's data_version, seen from a
// connection that does nothing else: it changes with each commit of any other
// connection, of this process or another.
func (db *DB) Epoch(ctx context.Context) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	db.watching.Lock()
	defer db.watching.Unlock()
	if db.watch == nil {
		return 0, db.isClosed()
	}
	var v int64
	// The watcher is shared: no caller's patience may end its statement.
	found, err := db.watch.one(context.Background(), "PRAGMA data_version", nil, &v)
	if err == nil && !found {
		err = fmt.Errorf("%s: no data_version", db.path)
	}
	return v, db.explain(err)
}

// Now implements store.Timekeeper by the process's clock.
func (db *DB) Now() time.Time { return db.now() }

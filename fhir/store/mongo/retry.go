package mongo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	retryFor   = 30 * time.Second // how long an error that may pass is tried again
	readFor    = 10 * time.Second // the same of a read, which may be given up at any time
	firstPause = 10 * time.Millisecond
	longPause  = time.Second
	closeGrace = 2 * time.Second // how long Close lets calls under way go on
)

// retry does f, and does it again while its error is one that may pass: a cut
// connection, a member that steps down. f must look itself whether what it did
// before an error has been done. The error says what was tried and for how long.
func (db *DB) retry(ctx context.Context, what string, f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(db.dying, cancel)()
	begun, pause := time.Now(), firstPause
	for tries := 1; ; tries++ {
		err := f(ctx)
		if err == nil || !isPassing(err) {
			return db.explainAs(what, err)
		}
		if time.Since(begun) > db.retryFor() || !db.sleep(ctx, pause) {
			if gone := ctx.Err(); gone != nil && !errors.Is(err, gone) {
				err = errors.Join(err, gone)
			}
			return db.explainAs(fmt.Sprintf("%s: given up after %v", what, time.Since(begun).Round(time.Millisecond)), err)
		}
		db.tellTrying(what, begun)
		pause = min(2*pause, longPause)
	}
}

func (db *DB) retryFor() time.Duration {
	if db.trying > 0 {
		return db.trying
	}
	return retryFor
}

// once makes one call that changes something. Tests have its answer lost.
func (db *DB) once(what string, f func() error) error {
	if db.onCall != nil {
		if err := db.onCall(what, false); err != nil {
			return err
		}
	}
	err := f()
	if db.onCall != nil && err == nil {
		err = db.onCall(what, true)
	}
	return err
}

// read is retry for what changes nothing: it ends after readFor at the latest.
func (db *DB) read(ctx context.Context, what string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readFor)
	defer cancel()
	return db.retry(ctx, what, f)
}

// sleep waits about d; false says that ctx is done or the store closed.
func (db *DB) sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d/2 + rand.N(d))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	case <-db.life.Done():
		return false
	}
}

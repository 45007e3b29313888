package mongo

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	defaultSweepEvery = time.Minute
	defaultGrace      = 10 * time.Minute
)

// sweeps are what a round of the sweep does besides removing expired facts. Several
// gateways sweep at the same time: each must be right then.
var sweeps = []struct {
	name string
	do   func(*DB, context.Context) error
}{
	{"units", (*DB).sweepUnits},
	{"intents", (*DB).sweepIntents},
	{"expunges", (*DB).sweepExpunges},
	{"heads", (*DB).sweepGone},
	{"versions", (*DB).sweepVersions},
	{"chunks", (*DB).sweepChunks},
}

// Sweep implements store.Sweeper. It also removes what writers that died have left.
func (db *DB) Sweep(ctx context.Context) (int, error) {
	n, err := db.sweepFacts(ctx)
	errs := []error{err}
	for _, s := range sweeps {
		if err := s.do(db, ctx); err != nil {
			errs = append(errs, fmt.Errorf("sweep %s: %w", s.name, err))
		}
	}
	// A writer may have died between its write and its bump: what caches have kept
	// since ends now.
	_, err = db.bumpEpoch(ctx)
	return n, errors.Join(append(errs, err)...)
}

// sweepEvery sweeps until the store is closed, about every d: gateways that started
// together do not sweep together.
func (db *DB) sweepEvery(d time.Duration) {
	for db.sleep(db.life, d) {
		if _, err := db.Sweep(db.life); err != nil && db.life.Err() == nil {
			db.log.Warn("store: the sweep is not complete; the next one goes on", "error", err)
		}
	}
}

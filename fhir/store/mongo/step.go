package mongo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// hooks are for tests alone; a store that was opened has none.
type hooks struct {
	// onStep is called between the steps of a write. An error ends the write there
	// and then, as a killed process would.
	onStep func(point string) error
	// onCall is called before (done false) and after (done true) each call that
	// changes something; its error is taken as the call's.
	onCall   func(what string, done bool) error
	patience time.Duration // instead of unitPatience
	late     time.Duration // how much later it is than it is, for assure and journals
	trying   time.Duration // instead of retryFor
	// tellAfter is instead of the constant of that name.
	tellAfter time.Duration
	proving   time.Duration // instead of proofFor
	searching time.Duration // instead of searchFor
}

// errDied ends a write without any tidying up.
var errDied = errors.New("stopped by a test")

func (db *DB) step(point string) error {
	if db.onStep != nil {
		if err := db.onStep(point); err != nil {
			return errors.Join(errDied, err)
		}
	}
	return nil
}

var errClosed = errors.New("the store is closed")

// stopped is why a sleep was cut short.
func (db *DB) stopped(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", db.where(), errClosed)
}

func (db *DB) unitPatience() time.Duration {
	if db.patience > 0 {
		return db.patience
	}
	return unitPatience
}

func (db *DB) proofFor() time.Duration {
	if db.proving > 0 {
		return db.proving
	}
	return proofFor
}

func (db *DB) searchFor() time.Duration {
	if db.searching > 0 {
		return db.searching
	}
	return searchFor
}

// persist does what changes something, again and again while its error may pass. f
// must be such that doing it twice is the same as once; what it reports of the last
// time may then be wrong (its document was there already: its own), and repeated
// says so. An error means that the outcome is not known.
func (db *DB) persist(ctx context.Context, what string, f func(context.Context) error) (repeated bool, err error) {
	tries := 0
	err = db.retry(ctx, what, func(ctx context.Context) error {
		tries++
		return db.once(what, func() error { return f(ctx) })
	})
	return tries > 1, err
}

// findAll reads all documents that match into out, a pointer to a slice. fields, if
// any, are the only ones read.
func (db *DB) findAll(ctx context.Context, c collection, filter, fields, out any) error {
	return db.retry(ctx, "read "+c.name, func(ctx context.Context) error {
		o := options.Find()
		if fields != nil {
			o.SetProjection(fields)
		}
		cur, err := db.coll(c).Find(ctx, filter, o)
		if err != nil {
			return err
		}
		return cur.All(ctx, out)
	})
}

package mongo

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store"
)

// blockSize is how many numbers a process takes at a time. Those it has not given
// out when it ends are lost, which nobody notices.
const blockSize = 1000

// A block is what a process may still give out of a counter.
type block struct {
	mu         sync.Mutex
	next, last int64
}

// take gives a number of a counter that was never given and never will be again.
// After a lost answer another block is taken, and the first is lost.
func (db *DB) take(ctx context.Context, c counter) (int64, error) {
	kept, _ := db.blocks.LoadOrStore(c.name, &block{})
	b := kept.(*block)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == b.last {
		last, err := db.increment(ctx, c, blockSize)
		if err != nil {
			return 0, err
		}
		b.next, b.last = last-blockSize, last
	}
	b.next++
	return b.next, nil
}

// increment adds to a counter and returns what it is then.
func (db *DB) increment(ctx context.Context, c counter, by int64) (int64, error) {
	var doc numberDoc
	// One that has lost its number would begin anew.
	err := db.coll(numbers).FindOneAndUpdate(ctx, bson.D{{Key: "_id", Value: c.name}, {Key: "n", Value: bson.D{{Key: "$gte", Value: int64(0)}}}},
		bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: by}}}},
		options.FindOneAndUpdate().SetReturnDocument(options.After)).Decode(&doc)
	return doc.Last, db.lacksCounter(c, err)
}

// lacksCounter turns the absence of a counter into damage: it is made once, with the
// database, and one that began again would give numbers twice.
func (db *DB) lacksCounter(c counter, err error) error {
	if errors.Is(err, driver.ErrNoDocuments) {
		return fmt.Errorf("%s: %w: the counter %q is gone", db.where(), store.ErrDamaged, c.name)
	}
	return err
}

package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
)

// searchFor is how long a search may take in all. Callers write them: one that costs
// more than any should must not keep a server at it. What is not answered by then fails
// as one that the store could not answer now.
const searchFor = 15 * time.Second

// concern is the read concern of searches: a snapshot, where the deployment gives one. A
// find that is none misses a document which is changed while an index is walked so that
// its entry moves to where the walk has been; and Consents, and units that are closed
// this moment, are found by such walks.
func (db *DB) concern() *readconcern.ReadConcern {
	if db.replicated {
		return readconcern.Snapshot()
	}
	return readconcern.Majority()
}

// searched is a collection as searches read it.
func (db *DB) searched(c collection) *driver.Collection {
	return db.base.Collection(c.name, options.Collection().SetReadConcern(db.concern()))
}

// ask sends a command that gives documents, with the context's deadline as the time that
// the server may take. The driver's own Find and Aggregate do not tell it that: a query
// that its caller has given up would go on there to its end.
// https://www.mongodb.com/docs/manual/reference/method/cursor.maxTimeMS/
func (db *DB) ask(ctx context.Context, command bson.D) (*driver.Cursor, error) {
	command = append(command, bson.E{Key: "readConcern", Value: bson.D{{Key: "level", Value: db.concern().Level}}})
	return db.base.RunCommandCursor(ctx, command)
}

// A question is one query for heads.
type question struct {
	filter bson.A // at least one condition
	fields bson.D
	sort   bson.D // none: as the index gives them
	limit  int    // 0: all
	hint   string // an index
}

// wholly is a batch that holds whatever one answer of a server can.
const wholly = 1 << 20

// command is the question as it is sent.
func (q question) command() bson.D {
	batch := int32(wholly)
	if q.limit > 0 {
		batch = atOnce(q.limit)
	}
	out := bson.D{
		{Key: "find", Value: heads.name}, {Key: "filter", Value: allOf(q.filter)}, {Key: "projection", Value: q.fields},
		{Key: "hint", Value: q.hint}, {Key: "batchSize", Value: batch},
	}
	if q.sort != nil {
		out = append(out, bson.E{Key: "sort", Value: q.sort})
	}
	if q.limit > 0 {
		out = append(out, bson.E{Key: "limit", Value: int64(q.limit)})
	}
	return out
}

// atOnce is how many documents a server should give at once: all of a page. It is asked
// for one more, because mongod keeps the cursor of a batch that is just full open, and the
// driver would go there again to hear that there is nothing more.
func atOnce(need int) int32 { return int32(min(need, 1000)) + 1 } //nolint:gosec // at most 1001

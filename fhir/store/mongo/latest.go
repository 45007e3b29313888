package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
)

// proofFor is how long a member may take to prove that it is the primary. One that the
// others have deposed without its knowledge never can; the next try may find its
// successor.
const proofFor = 3 * time.Second

// latest gives a collection to read one document of, by its id, as it is now. Read
// concern majority alone does not promise that: a primary that was cut off from the
// other members goes on to answer for about ten seconds, and knows nothing of what its
// successor acknowledges. Where there are members the read is linearizable: before it
// answers, the member has a majority confirm that it is the primary. It waits for that
// until the context's deadline, which the driver tells it as maxTimeMS.
// https://www.mongodb.com/docs/manual/reference/read-concern-linearizable/
func (db *DB) latest(c collection) *driver.Collection {
	if !db.replicated {
		return db.coll(c)
	}
	return db.base.Collection(c.name, options.Collection().SetReadConcern(readconcern.Linearizable()))
}

// readLatest reads a document as it is now, as often as it takes.
func (db *DB) readLatest(ctx context.Context, what string, c collection, id string, decode func(*driver.SingleResult) error) error {
	return db.read(ctx, what, func(ctx context.Context) error {
		if db.replicated {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, db.proofFor())
			defer cancel()
		}
		return decode(db.latest(c).FindOne(ctx, bson.D{{Key: "_id", Value: id}}))
	})
}

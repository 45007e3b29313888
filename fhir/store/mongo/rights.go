package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// checkRights finds out whether the user may remove, which a gateway does only now and
// then: without it the first expunge would find so. It changes nothing. The other rights
// are used at each start.
func (db *DB) checkRights(ctx context.Context) error {
	return db.retry(ctx, "see whether documents can be removed", func(ctx context.Context) error {
		_, err := db.coll(meta).DeleteOne(ctx, bson.D{{Key: "_id", Value: "nothing"}})
		return err
	})
}

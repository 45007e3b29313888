package mongo

import (
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Delete implements store.Facts.
func (db *DB) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if err := db.remove(ctx, key); err != nil {
		return err
	}
	_, err := db.bumpEpoch(ctx)
	return err
}

// remove takes away the fact that it finds, and what compare-and-set puts in its place
// meanwhile: each in the version that was seen, so that no try which lands late, after
// its answer was lost, takes a fact that was put since.
func (db *DB) remove(ctx context.Context, key string) error {
	seen, err := db.latestFact(ctx, key)
	for {
		if isMissing(err) || err == nil && seen.removed() {
			return nil
		}
		if err != nil {
			return err
		}
		done, err := db.removeSeen(ctx, key, seen)
		if err != nil || done {
			return err
		}
		before := seen.Version
		if seen, err = db.latestFact(ctx, key); err == nil && !seen.follows(before) {
			return nil // it was removed, and another put
		}
	}
}

func (db *DB) latestFact(ctx context.Context, key string) (doc factDoc, err error) {
	err = db.readLatest(ctx, "read a fact", facts, encode(key), func(r *driver.SingleResult) error {
		doc = factDoc{}
		return r.Decode(&doc)
	})
	return doc, err
}

// removeSeen marks a fact as removed if it is in the version that was seen.
func (db *DB) removeSeen(ctx context.Context, key string, seen factDoc) (done bool, err error) {
	at := -db.now().UnixNano()
	_, err = db.persist(ctx, "remove a fact", func(ctx context.Context) error {
		res, err := db.coll(facts).UpdateOne(ctx, bson.D{{Key: "_id", Value: seen.ID}, {Key: "v", Value: seen.Version}}, bson.D{{Key: "$set", Value: bson.D{
			{Key: "b", Value: []byte{}}, {Key: "e", Value: at}, {Key: "sum", Value: factSum(key, nil, seen.Version, at)},
		}}})
		done = err == nil && res.MatchedCount == 1
		return err
	})
	return done, err
}

// removed says that a fact was removed. Its document stays for the grace, without the
// value: so an insert which lands late, after its answer was lost, finds the key taken
// and brings nothing back.
func (doc factDoc) removed() bool { return doc.Expires < 0 }

// follows says whether compare-and-set has led from a version to this fact. One that
// has been replaced too often to know counts as if.
func (doc factDoc) follows(version int64) bool {
	return doc.Version == version || slices.Contains(doc.Before, version) || len(doc.Before) == beforeKept
}

// sweepFacts removes the documents of facts that expired before the grace, and returns
// how many; and of those that were removed before it.
func (db *DB) sweepFacts(ctx context.Context) (n int, err error) {
	until := db.now().Add(-db.grace).UnixNano()
	n, err = db.dropFacts(ctx, "remove expired facts", bson.D{{Key: "$gt", Value: int64(0)}, {Key: "$lte", Value: until}})
	if err == nil {
		_, err = db.dropFacts(ctx, "forget removed facts", bson.D{{Key: "$gte", Value: -until}, {Key: "$lt", Value: int64(0)}})
	}
	return n, err
}

// dropFacts removes documents by their expiry: a fact that is put later has a later one.
// One whose checksum does not fit stays: its expiry may be what is damaged.
func (db *DB) dropFacts(ctx context.Context, what string, expiry bson.D) (n int, err error) {
	cursor, err := db.coll(facts).Find(ctx, bson.D{{Key: "e", Value: expiry}}, options.Find().SetSort(bson.D{{Key: "e", Value: 1}}).SetBatchSize(gathered))
	if err != nil {
		return 0, db.explain(err)
	}
	defer func() { _ = cursor.Close(context.WithoutCancel(ctx)) }()
	var whole []string
	drop := func() error {
		if len(whole) == 0 {
			return nil
		}
		_, err := db.persist(ctx, what, func(ctx context.Context) error {
			res, err := db.coll(facts).DeleteMany(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: whole}}}, {Key: "e", Value: expiry}})
			if err == nil {
				n += int(res.DeletedCount)
			}
			return err
		})
		whole = whole[:0]
		return err
	}
	for cursor.Next(ctx) {
		var doc factDoc
		if err := cursor.Decode(&doc); err != nil {
			continue // of another form: damaged, too
		}
		if _, err := db.fact(doc); err != nil {
			continue
		}
		if whole = append(whole, doc.ID); len(whole) == gathered {
			if err := drop(); err != nil {
				return n, err
			}
		}
	}
	if err := cursor.Err(); err != nil {
		return n, db.explain(err)
	}
	return n, drop()
}

package mongo

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store"
)

// ReadFrom implements store.Log.
func (db *DB) ReadFrom(ctx context.Context, stream string, from uint64, limit int) ([]store.Entry, error) {
	if limit < 1 {
		return nil, invalid("limit %d", limit)
	}
	if from > 1<<62 {
		return nil, nil
	}
	var out []store.Entry
	err := db.read(ctx, "read a stream", func(ctx context.Context) error {
		out = nil
		cursor, err := db.coll(logs).Find(ctx,
			bson.D{{Key: "s", Value: encode(stream)}, {Key: "e", Value: bson.D{{Key: "$gte", Value: int64(from)}}}},
			options.Find().SetSort(bson.D{{Key: "s", Value: 1}, {Key: "e", Value: 1}}).SetLimit(int64(limit)))
		if err != nil {
			return err
		}
		defer func() { _ = cursor.Close(context.WithoutCancel(ctx)) }() // what was read has been read
		out, err = db.entries(ctx, cursor, stream, from, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// entries reads batches until there are enough entries.
func (db *DB) entries(ctx context.Context, cursor *driver.Cursor, stream string, from uint64, limit int) ([]store.Entry, error) {
	var out []store.Entry
	next := max(from, 1)
	for len(out) < limit && cursor.Next(ctx) {
		var doc batchDoc
		if err := cursor.Decode(&doc); err != nil {
			return nil, err
		}
		if uint64(doc.First) > next {
			return nil, fmt.Errorf("%s: %w: stream %q lacks entry %d", db.where(), store.ErrDamaged, stream, next)
		}
		es, err := db.openBatch(ctx, doc, stream)
		if err != nil {
			return nil, err
		}
		for _, e := range es {
			if e.Seq == next && len(out) < limit {
				out = append(out, e)
				next++
			}
		}
	}
	return out, cursor.Err()
}

// Checkpoint implements store.Log.
func (db *DB) Checkpoint(ctx context.Context, stream, reader string, seq uint64) error {
	if stream == "" || reader == "" || seq > 1<<62 {
		return invalid("position %d of reader %q in stream %q", seq, reader, stream)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return db.retry(context.WithoutCancel(ctx), "store a position", func(ctx context.Context) error {
		for {
			_, err := db.coll(positions).UpdateOne(ctx, bson.D{{Key: "_id", Value: positionID(stream, reader)}}, bson.D{
				{Key: "$max", Value: bson.D{{Key: "n", Value: int64(seq)}}},
				{Key: "$setOnInsert", Value: bson.D{{Key: "s", Value: encode(stream)}, {Key: "r", Value: encode(reader)}}},
			}, options.UpdateOne().SetUpsert(true))
			if !isDuplicate(err) { // of two that make it at once, one tries again
				return err
			}
		}
	})
}

// Position implements store.Log.
func (db *DB) Position(ctx context.Context, stream, reader string) (uint64, error) {
	var doc positionDoc
	err := db.read(ctx, "read a position", func(ctx context.Context) error {
		return db.coll(positions).FindOne(ctx, bson.D{{Key: "_id", Value: positionID(stream, reader)}}).Decode(&doc)
	})
	if isMissing(err) {
		return 0, nil
	}
	return uint64(doc.Seq), err
}

// positionID tells ("a/b", "c") from ("a", "b/c").
func positionID(stream, reader string) string {
	return fmt.Sprintf("%d/%s/%s", len(encode(stream)), encode(stream), encode(reader))
}

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

// openBatch gives the entries of a batch.
func (db *DB) openBatch(ctx context.Context, doc batchDoc, stream string) ([]store.Entry, error) {
	what := fmt.Sprintf("entries %d to %d of stream %q", doc.First, doc.Last, stream)
	at, data := doc.At, doc.Data
	if doc.Chunks > 0 {
		packed, err := db.loadChunks(ctx, batchOwner(doc.Chunked), doc.Chunks)
		if err != nil {
			return nil, err
		}
		if at, data, err = unpack(packed); err != nil {
			return nil, fmt.Errorf("%s: %w: %s: %w", db.where(), store.ErrDamaged, what, err)
		}
	}
	if n := doc.Last - doc.First + 1; int64(len(data)) != n || int64(len(at)) != n || doc.Sum != batchSum(doc, at, data) {
		return nil, db.damaged(what)
	}
	out := make([]store.Entry, len(data))
	for i, d := range data {
		out[i] = store.Entry{Seq: uint64(doc.First) + uint64(i), At: fromNanos(at[i]), Data: d}
	}
	return out, nil
}

package mongo

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store"
)

// A document holds at most 16 MiB. What is larger than maxInline stands in chunk
// documents under its owner's id, written before the document that refers to them.
const (
	maxInline = 12 << 20
	chunkSize = 8 << 20
)

// ever is later than anything was written.
const ever = math.MaxInt64

func chunkID(owner string, n int) string { return fmt.Sprintf("%s/%06d", owner, n) }

// storeChunks keeps data under an owner, which must be new (or the same again after a
// lost answer), and returns in how many chunks.
func (db *DB) storeChunks(ctx context.Context, owner string, data []byte) (int, error) {
	n := 0
	for part := range slices.Chunk(data, chunkSize) {
		doc := chunkDoc{ID: chunkID(owner, n), Data: part, Sum: store.Checksum(chunkID(owner, n), part), At: db.now().UnixNano()}
		err := db.retry(ctx, "store a part of "+owner, func(ctx context.Context) error {
			_, err := db.coll(chunks).ReplaceOne(ctx, bson.D{{Key: "_id", Value: doc.ID}}, doc, options.Replace().SetUpsert(true))
			return err
		})
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// loadChunks gives what storeChunks has kept in n chunks. One that lacks is damage:
// they are written before, and removed after, what refers to them.
func (db *DB) loadChunks(ctx context.Context, owner string, n int) ([]byte, error) {
	var out []byte
	for i := range n {
		var doc chunkDoc
		err := db.read(ctx, "read a part of "+owner, func(ctx context.Context) error {
			return db.coll(chunks).FindOne(ctx, bson.D{{Key: "_id", Value: chunkID(owner, i)}}).Decode(&doc)
		})
		switch {
		case isMissing(err):
			return nil, fmt.Errorf("%s: %w: part %d of %s is gone", db.where(), store.ErrDamaged, i, owner)
		case err != nil:
			return nil, err
		case doc.Sum != store.Checksum(doc.ID, doc.Data):
			return nil, db.damaged(fmt.Sprintf("part %d of %s", i, owner))
		}
		out = append(out, doc.Data...)
	}
	return out, nil
}

// dropChunks removes the chunks of an owner and of all owners below it, "owner/…", that
// were not written again after an instant, in nanoseconds.
func (db *DB) dropChunks(ctx context.Context, owner string, until int64) error {
	return db.retry(ctx, "remove the parts of "+owner, func(ctx context.Context) error {
		_, err := db.coll(chunks).DeleteMany(ctx, bson.D{
			{Key: "_id", Value: bson.D{{Key: "$gte", Value: owner + "/"}, {Key: "$lt", Value: owner + "0"}}},
			{Key: "at", Value: bson.D{{Key: "$lte", Value: until}}},
		})
		return err
	})
}

// sweepChunks removes chunks whose writer died before the document that refers to
// them. What was looked at once is not looked at again by this process: a document
// that refers to chunks removes them itself when it goes.
func (db *DB) sweepChunks(ctx context.Context) error {
	until := db.now().Add(-orphanAge).UnixNano()
	var found []chunkDoc
	err := db.read(ctx, "look for old chunks", func(ctx context.Context) error {
		found = nil
		cursor, err := db.coll(chunks).Find(ctx,
			bson.D{{Key: "at", Value: bson.D{{Key: "$gt", Value: db.chunksSwept.Load()}, {Key: "$lte", Value: until}}}},
			options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}}).SetSort(bson.D{{Key: "at", Value: 1}}))
		if err != nil {
			return err
		}
		return cursor.All(ctx, &found)
	})
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, c := range found {
		owner := c.ID[:max(strings.LastIndexByte(c.ID, '/'), 0)]
		if seen[owner] {
			continue
		}
		seen[owner] = true
		if err := db.dropOrphan(ctx, owner, until); err != nil {
			return err
		}
	}
	db.chunksSwept.Store(until)
	return nil
}

// dropOrphan removes the chunks of an owner that nothing refers to, as old as they were
// found.
func (db *DB) dropOrphan(ctx context.Context, owner string, until int64) error {
	of, filter := versions, bson.D{}
	if nonce, ok := strings.CutPrefix(owner, batchOwner("")); ok {
		of, filter = logs, bson.D{{Key: "cn", Value: nonce}}
	} else if id, ok := strings.CutPrefix(owner, chunkOwner("")); ok {
		filter = bson.D{{Key: "_id", Value: id}}
	} else {
		return nil // of a newer program
	}
	err := db.read(ctx, "look for the owner of chunks", func(ctx context.Context) error {
		return db.coll(of).FindOne(ctx, filter, options.FindOne().SetProjection(bson.D{{Key: "_id", Value: 1}})).Err()
	})
	if isMissing(err) {
		return db.dropChunks(ctx, owner, until)
	}
	return err
}

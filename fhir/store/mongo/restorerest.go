package mongo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store"
)

// RestoreFacts implements store.Transferer.
func (db *DB) RestoreFacts(ctx context.Context, fs []store.Fact) error {
	var docs []factDoc
	var expired []string
	var highest int64
	for _, f := range fs {
		if f.Key == "" || f.Version < 1 {
			return invalid("fact %q of version %d", f.Key, f.Version)
		}
		highest = max(highest, f.Version)
		if doc := newFact(f.Key, f.Value, f.Version, f.Expires); db.expired(doc) {
			expired = append(expired, f.Key)
		} else {
			docs = append(docs, doc)
		}
	}
	if err := db.putFacts(ctx, docs); err != nil {
		return err
	}
	if err := db.RaiseFactVersion(ctx, highest); err != nil {
		return err
	}
	return db.DropFacts(ctx, expired)
}

// putFacts puts documents, in place of those that are there.
func (db *DB) putFacts(ctx context.Context, docs []factDoc) error {
	if len(docs) == 0 {
		return nil
	}
	var taken []int
	_, err := db.persist(ctx, "restore facts", func(ctx context.Context) (err error) {
		taken, err = db.insertMany(ctx, facts, docs)
		return err
	})
	if err != nil || len(taken) == 0 {
		return err
	}
	slices.Sort(taken) // by key, as facts are given
	models := make([]driver.WriteModel, len(taken))
	for i, n := range taken {
		models[i] = driver.NewReplaceOneModel().SetFilter(bson.M{"_id": docs[n].ID}).SetReplacement(docs[n]).SetUpsert(true)
	}
	_, err = db.persist(ctx, "replace facts", func(ctx context.Context) error {
		_, err := db.coll(facts).BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
		return err
	})
	return err
}

// DropFacts implements store.Transferer.
func (db *DB) DropFacts(ctx context.Context, keys []string) error {
	for part := range slices.Chunk(keys, gathered) {
		ids := make([]string, len(part))
		for i, key := range part {
			ids[i] = encode(key)
		}
		_, err := db.persist(ctx, "remove facts", func(ctx context.Context) error {
			_, err := db.coll(facts).DeleteMany(ctx, bson.M{"_id": bson.M{"$in": ids}})
			return err
		})
		if err != nil {
			return err
		}
	}
	_, err := db.bumpEpoch(ctx)
	return err
}

// FactVersion implements store.Transferer: the end of the last block that a process
// has taken.
func (db *DB) FactVersion(ctx context.Context) (int64, error) {
	n, err := db.numberOf(ctx, factVersions)
	return n, db.lacksCounter(factVersions, err)
}

// RaiseFactVersion implements store.Transferer. The block that this process still
// has is dropped, if it is from below.
func (db *DB) RaiseFactVersion(ctx context.Context, v int64) error {
	_, err := db.persist(ctx, "raise the versions of facts", func(ctx context.Context) error {
		res, err := db.coll(numbers).UpdateOne(ctx, bson.M{"_id": factVersions.name}, bson.M{"$max": bson.M{"n": v}})
		if err == nil && res.MatchedCount == 0 {
			err = driver.ErrNoDocuments
		}
		return db.lacksCounter(factVersions, err)
	})
	if err != nil {
		return err
	}
	if kept, ok := db.blocks.Load(factVersions.name); ok {
		b := kept.(*block)
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.next < v {
			b.next, b.last = 0, 0
		}
	}
	return nil
}

// RestoreEntries implements store.Transferer: what follows the last entry becomes one
// batch.
func (db *DB) RestoreEntries(ctx context.Context, stream string, es []store.Entry) error {
	if stream == "" {
		return invalid("a stream without a name")
	}
	last, err := db.reachOf(ctx, stream)
	if err != nil {
		return err
	}
	b := batch{stream: stream}
	next := last + 1
	for _, e := range es {
		switch {
		case e.Seq == 0 || int64(e.Seq) > next:
			return invalid("restore entry %d of stream %q: it cannot follow entry %d", e.Seq, stream, next-1)
		case int64(e.Seq) < next && len(b.data) > 0:
			return invalid("restore entry %d of stream %q: it stands after entry %d", e.Seq, stream, next-1)
		case int64(e.Seq) < next:
			if err := db.sameEntry(ctx, stream, e); err != nil {
				return err
			}
		default:
			b.at, b.data = append(b.at, store.Nanos(e.At)), append(b.data, e.Data)
			next++
		}
	}
	if len(b.data) == 0 {
		return nil
	}
	sum := sha256.Sum256(append([]byte(batchID(stream, last+1)), pack(b.at, b.data)...))
	b.nonce = base32.StdEncoding.EncodeToString(sum[:])[:26]
	doc, err := db.batchDoc(ctx, b)
	if err != nil {
		return err
	}
	mine := false
	_, err = db.persist(ctx, "restore entries", func(ctx context.Context) (err error) {
		mine, err = db.insertBatch(ctx, doc.numbered(b, last+1))
		return err
	})
	if err == nil && !mine {
		err = fmt.Errorf("restore entry %d of stream %q: %w: somebody else appends to it", last+1, stream, store.ErrConflict)
	}
	db.appenders.Delete(stream) // it may know of an earlier end
	return err
}

// sameEntry compares an entry with what is there.
func (db *DB) sameEntry(ctx context.Context, stream string, e store.Entry) error {
	there, err := db.ReadFrom(ctx, stream, e.Seq, 1)
	if err != nil {
		return err
	}
	if len(there) != 1 || there[0].Seq != e.Seq || !there[0].At.Equal(e.At) || !bytes.Equal(there[0].Data, e.Data) {
		return fmt.Errorf("restore entry %d of stream %q: %w: it is another here", e.Seq, stream, store.ErrConflict)
	}
	return nil
}

// RestorePositions implements store.Transferer.
func (db *DB) RestorePositions(ctx context.Context, s store.Stream) error {
	for reader, seq := range s.Positions {
		have, err := db.Position(ctx, s.Name, reader)
		if err != nil {
			return err
		}
		if have > seq {
			return fmt.Errorf("restore the position of %q in stream %q: %w: it is further here, at %d", reader, s.Name, store.ErrConflict, have)
		}
		if err := db.Checkpoint(ctx, s.Name, reader, seq); err != nil {
			return err
		}
	}
	return nil
}

package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store/join"
)

// What is appended at one go.
const (
	joinedEntries = 1000
	joinedBytes   = 1 << 20
)

// An appender makes one process's writes to one stream, one after the other: those
// that wait are joined into one document.
type appender struct {
	join.Queue[*appended]
	next int64 // the number after the last known entry; 0: not known. Of the running writer
}

// An appended is one call of Append that waits.
type appended struct {
	data  [][]byte
	at    int64
	first uint64
	err   error
}

// Append implements store.Log.
func (db *DB) Append(ctx context.Context, stream string, data ...[]byte) (uint64, error) {
	if stream == "" || len(data) == 0 {
		return 0, invalid("append %d entries to stream %q", len(data), stream)
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	call := &appended{data: data, at: db.now().UnixNano()}
	db.appender(stream).Do(ctx, call)
	return call.first, call.err
}

// appender gives the one of a stream.
func (db *DB) appender(stream string) *appender {
	if kept, ok := db.appenders.Load(stream); ok {
		return kept.(*appender)
	}
	a := &appender{Queue: join.Queue[*appended]{Room: oneDocument}}
	a.Together = func(ctx context.Context, calls []*appended) {
		first, err := db.appendBatch(ctx, db.batchOf(stream, calls), a)
		for _, c := range calls {
			c.first, c.err = uint64(first), err
			first += int64(len(c.data))
		}
	}
	kept, _ := db.appenders.LoadOrStore(stream, a)
	return kept.(*appender)
}

// oneDocument is the room for what one document should hold.
func oneDocument() func(*appended) bool {
	entries, size := 0, 0
	return func(c *appended) bool {
		more := 0
		for _, d := range c.data {
			more += len(d)
		}
		if entries > 0 && (entries+len(c.data) > joinedEntries || size+more > joinedBytes) {
			return false
		}
		entries, size = entries+len(c.data), size+more
		return true
	}
}

// appendBatch writes a batch after the last one of its stream, whoever wrote that,
// and returns its first number. Of writers that try the same number one wins. A
// try whose answer was lost is known by its nonce under the number it tried.
func (db *DB) appendBatch(ctx context.Context, b batch, a *appender) (int64, error) {
	begun := time.Now()
	doc, err := db.batchDoc(ctx, b)
	if err != nil {
		return 0, err
	}
	err = db.retry(ctx, "append to a stream", func(ctx context.Context) error {
		for {
			if a.next == 0 {
				last, err := db.lastOf(ctx, b.stream)
				if err != nil {
					return err
				}
				a.next = last + 1
			}
			mine, err := db.insertBatch(ctx, doc.numbered(b, a.next))
			if mine || err != nil {
				return err
			}
			a.next = 0
		}
	})
	if err == nil && doc.Chunks > 0 && time.Since(begun)+db.late > orphanAge/2 {
		// Halted so long that the sweep may have taken its chunks for orphans.
		_, err = db.batchDoc(ctx, b)
	}
	if err != nil {
		a.next = 0
		return 0, err
	}
	first := a.next
	a.next += int64(len(b.data))
	return first, nil
}

// insertBatch says whether the batch stands under its number; false: another does.
func (db *DB) insertBatch(ctx context.Context, doc batchDoc) (bool, error) {
	err := db.once("append a batch", func() error {
		_, err := db.coll(logs).InsertOne(ctx, doc)
		return err
	})
	if !isDuplicate(err) {
		return err == nil, err
	}
	var there batchDoc
	o := options.FindOne().SetProjection(bson.D{{Key: "n", Value: 1}})
	err = db.coll(logs).FindOne(ctx, bson.D{{Key: "_id", Value: doc.ID}}, o).Decode(&there)
	return there.Nonce == doc.Nonce, err
}

// lastOf gives the number of a stream's last entry, 0 for a stream that never was.
func (db *DB) lastOf(ctx context.Context, stream string) (int64, error) {
	var doc batchDoc
	o := options.FindOne().SetSort(bson.D{{Key: "s", Value: -1}, {Key: "e", Value: -1}}).SetProjection(bson.D{{Key: "e", Value: 1}})
	err := db.coll(logs).FindOne(ctx, bson.D{{Key: "s", Value: encode(stream)}}, o).Decode(&doc)
	if isMissing(err) {
		return 0, nil
	}
	return doc.Last, err
}

package mongo

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// What is appended at one go.
const (
	joinedEntries = 1000
	joinedBytes   = 1 << 20
)

// An appender makes one process's writes to one stream, one after the other: those
// that wait are joined into one document.
type appender struct {
	stream string

	mu      sync.Mutex
	busy    bool
	waiting []*appended
	next    int64 // the number after the last known entry; 0: not known. Of the running writer
}

// An appended is one call of Append that waits.
type appended struct {
	data  [][]byte
	at    int64
	first uint64
	err   error
	done  chan struct{}
}

// Append implements store.Log.
func (db *DB) Append(ctx context.Context, stream string, data ...[]byte) (uint64, error) {
	if stream == "" || len(data) == 0 {
		return 0, invalid("append %d entries to stream %q", len(data), stream)
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	kept, _ := db.appenders.LoadOrStore(stream, &appender{stream: stream})
	a := kept.(*appender)
	call := &appended{data: data, at: db.now().UnixNano(), done: make(chan struct{})}
	a.mu.Lock()
	a.waiting = append(a.waiting, call)
	lead := !a.busy
	a.busy = true
	a.mu.Unlock()
	if lead {
		go db.drain(a)
	}
	<-call.done
	return call.first, call.err
}

// drain writes until nobody waits.
func (db *DB) drain(a *appender) {
	for {
		calls := a.join()
		if calls == nil {
			return
		}
		first, err := db.appendBatch(db.batchOf(a.stream, calls), a)
		for _, c := range calls {
			c.first, c.err = uint64(first), err
			first += int64(len(c.data))
			close(c.done)
		}
	}
}

// join takes what waits, at least one call, up to what one document should hold.
func (a *appender) join() []*appended {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, entries, size := 0, 0, 0
	for _, c := range a.waiting {
		for _, d := range c.data {
			size += len(d)
		}
		entries += len(c.data)
		if n > 0 && (entries > joinedEntries || size > joinedBytes) {
			break
		}
		n++
	}
	calls := a.waiting[:n:n]
	a.waiting = a.waiting[n:]
	if n == 0 {
		a.busy, a.waiting, calls = false, nil, nil
	}
	return calls
}

// A batch is what one document will hold; its numbers come when it is written.
type batch struct {
	stream string
	nonce  string
	at     []int64
	data   [][]byte
}

func (db *DB) batchOf(stream string, calls []*appended) batch {
	b := batch{stream: stream, nonce: rand.Text()}
	for _, c := range calls {
		for _, d := range c.data {
			b.data, b.at = append(b.data, d), append(b.at, c.at)
		}
	}
	return b
}

// appendBatch writes a batch after the last one of its stream, whoever wrote that,
// and returns its first number. Of writers that try the same number one wins. A
// try whose answer was lost is known by its nonce under the number it tried.
func (db *DB) appendBatch(b batch, a *appender) (int64, error) {
	ctx := context.Background()
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
	_, err := db.coll(logs).InsertOne(ctx, doc)
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

func batchID(stream string, first int64) string {
	return fmt.Sprintf("%s/%019d", encode(stream), first)
}

func batchOwner(nonce string) string { return "log/" + nonce }

// batchDoc makes the document, but for its numbers. What is too large for one is
// stored in chunks first.
func (db *DB) batchDoc(ctx context.Context, b batch) (batchDoc, error) {
	doc := batchDoc{Stream: encode(b.stream), Nonce: b.nonce}
	size := 0
	for _, d := range b.data {
		size += len(d) + 32
	}
	if size <= maxInline {
		doc.At, doc.Data = b.at, b.data
		return doc, nil
	}
	n, err := db.storeChunks(ctx, batchOwner(b.nonce), pack(b.at, b.data))
	doc.Chunks, doc.Chunked = n, b.nonce
	return doc, err
}

// numbered gives the document its numbers.
func (doc batchDoc) numbered(b batch, first int64) batchDoc {
	doc.ID, doc.First, doc.Last = batchID(b.stream, first), first, first+int64(len(b.data))-1
	doc.Sum = batchSum(doc, b.at, b.data)
	return doc
}

func batchSum(doc batchDoc, at []int64, data [][]byte) int64 {
	times := make([]byte, 0, 8*len(at))
	for _, t := range at {
		times = binary.BigEndian.AppendUint64(times, uint64(t))
	}
	name := fmt.Sprintf("log/%d/%d/%s", doc.First, doc.Last, doc.Nonce)
	return checksum(name, append([][]byte{[]byte(doc.Stream), times}, data...)...)
}

// pack writes times and data as one run of bytes: for each entry its time, its length
// as varints, its bytes.
func pack(at []int64, data [][]byte) []byte {
	var out []byte
	for i, d := range data {
		out = binary.AppendVarint(out, at[i])
		out = binary.AppendUvarint(out, uint64(len(d)))
		out = append(out, d...)
	}
	return out
}

var errPacked = errors.New("entries end early")

// unpack undoes pack.
func unpack(b []byte) (at []int64, data [][]byte, err error) {
	for len(b) > 0 {
		t, n := binary.Varint(b)
		if n <= 0 {
			return nil, nil, errPacked
		}
		size, m := binary.Uvarint(b[n:])
		if m <= 0 || size > uint64(len(b)-n-m) {
			return nil, nil, errPacked
		}
		b = b[n+m:]
		at, data = append(at, t), append(data, b[:size:size])
		b = b[size:]
	}
	return at, data, nil
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

package mongo

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/handoff-health/handoff/fhir/store"
)

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
	return store.Checksum(name, append([][]byte{[]byte(doc.Stream), times}, data...)...)
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
		out[i] = store.Entry{Seq: uint64(doc.First) + uint64(i), At: store.FromNanos(at[i]), Data: d}
	}
	return out, nil
}

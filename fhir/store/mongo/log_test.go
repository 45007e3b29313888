package mongo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// Several processes append to one stream over a bad network: no gap, nothing twice,
// nothing lost, and each entry where its writer was told.
func TestStreamsOfSeveralProcessesHaveNoGaps(t *testing.T) {
	uri := freshURI(t)
	const processes, writers, each = 3, 4, 12
	var mu sync.Mutex
	told := map[uint64]string{}
	var lost atomic.Int64
	var wg sync.WaitGroup
	for p := range processes {
		db := openAt(t, uri, Options{SweepEvery: -1})
		db.onCall = func(string, bool) error {
			if rand.IntN(6) == 0 {
				lost.Add(1)
				return errCut
			}
			return nil
		}
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					text := fmt.Sprintf("%d/%d/%d", p, w, i)
					first, err := db.Append(context.Background(), "s", []byte(text), []byte(text+"+"))
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					told[first], told[first+1] = text, text+"+"
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	db := openAt(t, uri, Options{SweepEvery: -1})
	const all = processes * writers * each * 2
	es, err := db.ReadFrom(t.Context(), "s", 1, all+1)
	if err != nil || len(es) != all || len(told) != all {
		t.Fatalf("%d entries, %d told, %v, want %d", len(es), len(told), err, all)
	}
	for i, e := range es {
		if e.Seq != uint64(i+1) || string(e.Data) != told[e.Seq] {
			t.Fatalf("entry %d is %d %q, its writer was told %q", i+1, e.Seq, e.Data, told[e.Seq])
		}
	}
	batches, err := db.coll(logs).CountDocuments(t.Context(), bson.D{})
	if err != nil || batches >= all/2 {
		t.Errorf("%d batches of %d appends, %v: none was joined", batches, all/2, err)
	}
	t.Logf("%d appends in %d batches, %d messages lost", all/2, batches, lost.Load())
}

func TestALargeBatchStandsInChunks(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	db := openAt(t, freshURI(t), Options{SweepEvery: -1, Now: func() time.Time { return now }})
	large := bytes.Repeat([]byte("A|B^C\r"), 5<<20/6)
	if first, err := db.Append(t.Context(), "raw", []byte("small"), large, large, []byte{}, large); err != nil || first != 1 {
		t.Fatal(first, err)
	}
	if first, err := db.Append(t.Context(), "raw", []byte("next")); err != nil || first != 6 {
		t.Fatal(first, err)
	}
	// A writer that died after its chunks leaves an orphan.
	if _, err := db.storeChunks(t.Context(), batchOwner("dead"), large); err != nil {
		t.Fatal(err)
	}
	if _, err := db.storeChunks(t.Context(), chunkOwner("Patient/a/1/dead"), large); err != nil {
		t.Fatal(err)
	}
	count := func() int64 {
		n, err := db.coll(chunks).CountDocuments(t.Context(), bson.D{})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := count()
	if _, err := db.Sweep(t.Context()); err != nil || count() != before {
		t.Errorf("young chunks were swept: %d of %d, %v", count(), before, err)
	}
	now = now.Add(orphanAge + time.Second)
	if _, err := db.Sweep(t.Context()); err != nil || count() != before-2 {
		t.Errorf("%d of %d chunks are left, %v", count(), before, err)
	}
	es, err := db.ReadFrom(t.Context(), "raw", 2, 10)
	if err != nil || len(es) != 5 || !bytes.Equal(es[0].Data, large) || len(es[2].Data) != 0 || !bytes.Equal(es[3].Data, large) || string(es[4].Data) != "next" {
		t.Errorf("%d entries, %v", len(es), err)
	}
}

func TestADamagedStreamIsNotServed(t *testing.T) {
	db := fresh(t)
	for range 3 {
		if _, err := db.Append(t.Context(), "s", []byte("a"), []byte("b")); err != nil {
			t.Fatal(err)
		}
	}
	id := bson.D{{Key: "_id", Value: batchID("s", 3)}}
	if _, err := db.coll(logs).UpdateOne(t.Context(), id, bson.D{{Key: "$set", Value: bson.D{{Key: "b", Value: bson.A{[]byte("a"), []byte("x")}}}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ReadFrom(t.Context(), "s", 1, 10); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("changed bytes: %v", err)
	}
	if es, err := db.ReadFrom(t.Context(), "s", 1, 2); err != nil || len(es) != 2 {
		t.Errorf("what is before the damage: %v, %v", es, err)
	}
	if _, err := db.coll(logs).DeleteOne(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ReadFrom(t.Context(), "s", 1, 10); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("a batch that lacks: %v", err)
	}
}

func TestPositionsOfOddNamesDoNotMeet(t *testing.T) {
	db := fresh(t)
	names := []struct{ stream, reader string }{{"a", "b/c"}, {"a/b", "c"}, {"1/a", "b"}, {"é", "\xff"}, {"\xc3\xa9", "\x00"}}
	for i, n := range names {
		if err := db.Checkpoint(t.Context(), n.stream, n.reader, uint64(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	for i, n := range names {
		if got, err := db.Position(t.Context(), n.stream, n.reader); err != nil || got != uint64(i+1) {
			t.Errorf("%q %q: %d, %v", n.stream, n.reader, got, err)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(pack([]int64{1, -5, 1 << 60}, [][]byte{[]byte("a"), {}, []byte("ccc")}))
	f.Add([]byte{2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		at, data, err := unpack(b)
		if err != nil {
			return
		}
		again, more, err := unpack(pack(at, data))
		if err != nil || len(again) != len(at) || len(more) != len(data) {
			t.Fatalf("%v: %d and %d for %d", err, len(again), len(more), len(at))
		}
		for i := range at {
			if again[i] != at[i] || !bytes.Equal(more[i], data[i]) {
				t.Fatalf("entry %d changes", i)
			}
		}
	})
}

// The parts of a large batch whose writer was halted before it stood may have been
// swept: they are written again.
func TestALargeBatchOfAHaltedWriterIsWhole(t *testing.T) {
	uri, clock := freshURI(t), &ticker{at: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)}
	db, other := openAt(t, uri, Options{Now: clock.now, SweepEvery: -1}), openAt(t, uri, Options{Now: clock.now, SweepEvery: -1})
	db.late = orphanAge
	halted := false
	db.onCall = func(what string, done bool) error {
		if what != "append a batch" || done || halted {
			return nil
		}
		halted = true
		clock.advance(2 * orphanAge)
		_, err := other.Sweep(context.Background())
		return err
	}
	data := bytes.Repeat([]byte("x"), maxInline+1)
	if _, err := db.Append(t.Context(), "s", data); err != nil || !halted {
		t.Fatal(halted, err)
	}
	if es, err := other.ReadFrom(t.Context(), "s", 1, 1); err != nil || len(es) != 1 || !bytes.Equal(es[0].Data, data) {
		t.Errorf("%d entries, %v", len(es), err)
	}
}

package mongo

import (
	"bytes"
	"context"
	"sync"
	"testing"
)

func TestEpochCountsEveryBumpAndJoinsThem(t *testing.T) {
	db := fresh(t)
	before, err := db.Epoch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			low, err := db.Epoch(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
			n, err := db.bumpEpoch(context.Background())
			if err != nil || n <= low {
				t.Errorf("bump gives %d after %d, %v", n, low, err)
			}
		})
	}
	wg.Wait()
	if after, err := db.Epoch(t.Context()); err != nil || after <= before || after > before+40 {
		t.Errorf("epoch %d after %d, %v", after, before, err)
	}
}

func TestChunksComeBack(t *testing.T) {
	db := fresh(t)
	data := bytes.Repeat([]byte("0123456789abcde\x00"), (2*chunkSize+chunkSize/2)/16)
	n, err := db.storeChunks(t.Context(), "v/Patient/a/1/x", data)
	if err != nil || n != 3 {
		t.Fatal(n, err)
	}
	if got, err := db.loadChunks(t.Context(), "v/Patient/a/1/x", n); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := db.dropChunks(t.Context(), "v/Patient/a"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.loadChunks(t.Context(), "v/Patient/a/1/x", n); err == nil {
		t.Error("dropped chunks are still there")
	}
}

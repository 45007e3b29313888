package mongo

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
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

// What a joined call gives was found out after the caller came; no more calls are
// under way than there are lanes, and many callers share one.
func TestJoinedCallsBeginAfterTheCaller(t *testing.T) {
	for _, lanes := range []int{0, 1, 4} {
		b := bumper{lanes: lanes}
		var now, calls, running, most atomic.Int64
		var wg sync.WaitGroup
		const callers = 200
		for range callers {
			wg.Go(func() {
				came := now.Add(1)
				n, err := b.do(context.Background(), func() (int64, error) {
					began := now.Load()
					calls.Add(1)
					for r := running.Add(1); ; {
						if m := most.Load(); r <= m || most.CompareAndSwap(m, r) {
							break
						}
					}
					time.Sleep(time.Millisecond)
					running.Add(-1)
					return began, nil
				})
				if err != nil || n < came {
					t.Errorf("%d lanes: came at %d, got what began at %d, %v", lanes, came, n, err)
				}
			})
		}
		wg.Wait()
		if most.Load() > int64(max(1, lanes)) || calls.Load() > callers/2 {
			t.Errorf("%d lanes: %d calls for %d callers, %d at once", lanes, calls.Load(), callers, most.Load())
		}
	}
}

func TestAJoinedCallIsLeftWhenTheCallerIsDone(t *testing.T) {
	var b bumper
	hold := make(chan struct{})
	defer close(hold)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.do(ctx, func() (int64, error) { <-hold; return 0, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestChunksComeBack(t *testing.T) {
	db := fresh(t)
	data := bytes.Repeat([]byte("0123456789abcde\x00"), (2*chunkSize+chunkSize/2)/16)
	before := db.now().Add(-time.Minute).UnixNano()
	n, err := db.storeChunks(t.Context(), "v/Patient/a/1/x", data)
	if err != nil || n != 3 {
		t.Fatal(n, err)
	}
	if got, err := db.loadChunks(t.Context(), "v/Patient/a/1/x", n); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := db.dropChunks(t.Context(), "v/Patient/a", before); err != nil {
		t.Fatal(err)
	}
	if got, err := db.loadChunks(t.Context(), "v/Patient/a/1/x", n); err != nil || len(got) != len(data) {
		t.Errorf("chunks that were written since are dropped: %d bytes, %v", len(got), err)
	}
	if err := db.dropChunks(t.Context(), "v/Patient/a", ever); err != nil {
		t.Fatal(err)
	}
	if _, err := db.loadChunks(t.Context(), "v/Patient/a/1/x", n); err == nil {
		t.Error("dropped chunks are still there")
	}
}

package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
)

func TestCombinerWritesEachPartWholeAndOnce(t *testing.T) {
	errBad := errors.New("bad")
	var mu sync.Mutex
	written := map[int]int{}
	calls := 0
	c := newCombiner(
		func(i *int) string { return fmt.Sprint(*i % 100) },
		func(_ context.Context, items []int) ([]string, error) {
			seen := map[int]bool{}
			for _, i := range items {
				if i%100 == 13 {
					return nil, errBad
				}
				if seen[i%100] {
					t.Errorf("two items about %d in one write", i%100)
				}
				seen[i%100] = true
			}
			mu.Lock()
			defer mu.Unlock()
			calls++
			var out []string
			for _, i := range items {
				written[i]++
				out = append(out, fmt.Sprint("w", i))
			}
			return out, nil
		})
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			items := []int{i, 1000 + (i+50)%100}
			out, err := c.write(context.Background(), items)
			bad := items[0]%100 == 13 || items[1]%100 == 13
			switch {
			case bad != errors.Is(err, errBad):
				t.Errorf("%v: %v", items, err)
			case !bad && (len(out) != 2 || out[0] != fmt.Sprint("w", items[0]) || out[1] != fmt.Sprint("w", items[1])):
				t.Errorf("%v: got %v", items, out)
			}
		})
	}
	wg.Wait()
	for i := range 1000 {
		want := 1
		if i%100 == 13 || (1000+(i+50)%100)%100 == 13 {
			want = 0
		}
		if written[i] != want {
			t.Errorf("%d was written %d times", i, written[i])
		}
	}
	if calls == 0 || calls > 1000 {
		t.Errorf("%d calls", calls)
	}
	done, stop := context.WithCancel(context.Background())
	stop()
	if _, err := c.write(done, []int{1}); !errors.Is(err, context.Canceled) {
		t.Errorf("a write after the end of its context: %v", err)
	}
}

package join

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A call of the tests: its size, when it came and when it was begun.
type call struct {
	size int
	came int64
	at   int64
}

// held is a queue whose first time waits until it is let go, so that the test decides
// who waits for the second.
type held struct {
	Queue[*call]
	rounds [][]*call
	begun  chan struct{}
	let    chan struct{}
	done   sync.WaitGroup
}

func hold() *held {
	h := &held{begun: make(chan struct{}), let: make(chan struct{})}
	h.Together = func(_ context.Context, calls []*call) {
		h.rounds = append(h.rounds, calls)
		if len(h.rounds) == 1 {
			close(h.begun)
			<-h.let
		}
	}
	return h
}

// come has callers come one after the other, and returns when all of them wait.
func (h *held) come(t *testing.T, sizes ...int) {
	t.Helper()
	for i, size := range sizes {
		h.done.Go(func() { h.Do(context.Background(), &call{size: size}) })
		for until := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			h.mu.Lock()
			n := len(h.waiting)
			h.mu.Unlock()
			if n == i+1 {
				break
			}
			if time.Now().After(until) {
				t.Fatal("a caller does not come")
			}
		}
	}
}

// sizes lets everybody go and gives who was done together.
func (h *held) sizes() [][]int {
	close(h.let)
	h.done.Wait()
	var out [][]int
	for _, round := range h.rounds {
		var sizes []int
		for _, c := range round {
			sizes = append(sizes, c.size)
		}
		out = append(out, sizes)
	}
	return out
}

func TestWhoWaitsGoesTogetherAsFarAsThereIsRoom(t *testing.T) {
	upTo := func(most int) func() func(*call) bool {
		return func() func(*call) bool {
			n := 0
			return func(c *call) bool {
				if n > 0 && n+c.size > most {
					return false
				}
				n += c.size
				return true
			}
		}
	}
	for _, tt := range []struct {
		name string
		room func() func(*call) bool
		come []int
		want [][]int
	}{
		{"all", nil, []int{1, 2, 3}, [][]int{{0}, {1, 2, 3}}},
		{"so many", AtMost[*call](2), []int{1, 2, 3, 4, 5}, [][]int{{0}, {1, 2}, {3, 4}, {5}}},
		{"so much; a small one goes past a large one", upTo(10), []int{6, 7, 3, 1}, [][]int{{0}, {6, 3, 1}, {7}}},
		{"one too large goes alone", upTo(10), []int{11, 1}, [][]int{{0}, {11}, {1}}},
		{"one for whom there is never room goes when it is the first", func() func(*call) bool { return func(c *call) bool { return c.size != 5 } },
			[]int{1, 5, 2, 5}, [][]int{{0}, {1, 2}, {5}, {5}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := hold()
			h.Room = tt.room
			h.done.Go(func() { h.Do(context.Background(), &call{}) })
			<-h.begun
			h.come(t, tt.come...)
			if got := h.sizes(); !slices.EqualFunc(got, tt.want, slices.Equal) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// Everybody is done once, by a call that began after they had come; no two calls are
// under way at a time, and many callers share one.
func TestEachIsDoneOnceAndAfterItCame(t *testing.T) {
	var clock, running, rounds atomic.Int64
	var mu sync.Mutex
	done := map[*call]int{}
	q := Queue[*call]{Together: func(_ context.Context, calls []*call) {
		began := clock.Add(1)
		if running.Add(1) > 1 {
			t.Error("two calls are under way")
		}
		rounds.Add(1)
		time.Sleep(time.Millisecond)
		mu.Lock()
		for _, c := range calls {
			c.at = began
			done[c]++
		}
		mu.Unlock()
		running.Add(-1)
	}}
	const callers, each = 50, 10
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				c := &call{came: clock.Add(1)}
				q.Do(context.Background(), c)
				if c.at <= c.came {
					t.Errorf("came at %d, done by what began at %d", c.came, c.at)
				}
			}
		})
	}
	wg.Wait()
	for c, n := range done {
		if n != 1 {
			t.Errorf("%+v was done %d times", c, n)
		}
	}
	if len(done) != callers*each || rounds.Load() > callers*each/2 {
		t.Errorf("%d calls for %d of %d", rounds.Load(), len(done), callers*each)
	}
	for until := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // who led looks once more
		q.mu.Lock()
		rest := !q.busy && len(q.waiting) == 0
		q.mu.Unlock()
		if rest {
			return
		}
		if time.Now().After(until) {
			t.Fatal("the queue does not come to rest")
		}
	}
}

// The one that led may give up: what was begun for others goes on.
func TestTheEndOfWhoLedEndsNothing(t *testing.T) {
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), key{}, "v"))
	cancel()
	var got context.Context
	q := Queue[int]{Together: func(ctx context.Context, _ []int) { got = ctx }}
	q.Do(ctx, 1)
	if got.Err() != nil || got.Value(key{}) != "v" {
		t.Errorf("%v, %v", got.Err(), got.Value(key{}))
	}
}

package limit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/gateway/limit"
)

// A burst are attempts at several gateways, all of them on their way before any of them
// is judged.
type burst struct {
	offices []*office
	begun   sync.WaitGroup
	most    time.Duration // to wait for the others
}

func newBurst(offices []*office, n int, most time.Duration) *burst {
	b := &burst{offices: offices, most: most}
	b.begun.Add(n)
	for _, o := range offices {
		o.steps.From(func(int, string) { b.arrive() })
	}
	return b
}

func (b *burst) arrive() {
	b.begun.Done()
	all := make(chan struct{})
	go func() { b.begun.Wait(); close(all) }()
	select {
	case <-all:
	case <-time.After(b.most):
	}
}

// try counts the statuses of n attempts, and how many of them said that they lock.
func (b *burst) try(n int, client string, secret func(i int) string) (statuses map[int]int, locks int) {
	statuses = map[int]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			status, a := b.offices[i%len(b.offices)].try(client, secret(i), "203.0.113.9:1")
			mu.Lock()
			defer mu.Unlock()
			statuses[status]++
			if a.Locked {
				locks++
			}
		})
	}
	all.Wait()
	return statuses, locks
}

// Wrong secrets that all come before one of them is counted: no more are judged than
// the lock lets through, at however many gateways.
func TestABurstOfGuessesIsNoMoreThanOneAfterTheOther(t *testing.T) {
	const n = 60
	for _, gateways := range []int{1, 2} {
		offices := newOffices(t, gateways, func(o *limit.Options) {
			o.Tokens = -1
			if gateways > 1 {
				o.Shared = always
			}
		})
		got, locks := newBurst(offices, n, time.Minute).try(n, "app", func(i int) string { return fmt.Sprint("guess", i) })
		if got[http.StatusUnauthorized] != 5 || got[http.StatusTooManyRequests] != n-5 || locks != 1 {
			t.Errorf("%d gateways: %v, %d locks", gateways, got, locks)
		}
		for _, o := range offices {
			o.steps.From(nil)
			if status, _ := o.try("app", o.secret, "203.0.113.9:1"); status != http.StatusTooManyRequests {
				t.Errorf("%d gateways: afterwards the right one: %d", gateways, status)
			}
			if status, _ := o.try("app", o.secret, "198.51.100.7:1"); status != http.StatusOK {
				t.Errorf("%d gateways: the client, from where it is: %d", gateways, status)
			}
		}
	}
}

// The right secret among fewer wrong ones than lock, and many right ones at once, are
// what they are one after the other.
func TestABurstLocksOutNobodyWhoKnowsTheSecret(t *testing.T) {
	for _, wrong := range []int{0, 4} {
		const n = 40
		offices := newOffices(t, 2, func(o *limit.Options) { o.Tokens, o.Shared = -1, always })
		got, _ := newBurst(offices, n, time.Minute).try(n, "app", func(i int) string {
			if i%10 == 5 && i/10 < wrong {
				return "guess"
			}
			return offices[0].secret
		})
		if got[http.StatusOK] != n-wrong || got[http.StatusUnauthorized] != wrong {
			t.Errorf("%d wrong among %d: %v", wrong, n, got)
		}
	}
}

// What proves nothing takes from its address before it is judged.
func TestABurstOfAnAddressIsHeldToItsRate(t *testing.T) {
	const n = 40
	for _, gateways := range []int{1, 2} {
		offices := newOffices(t, gateways, func(o *limit.Options) {
			if gateways > 1 {
				o.Shared = always
			}
		})
		got, _ := newBurst(offices, n, 300*time.Millisecond).try(n, "public", func(int) string { return "" })
		if got[http.StatusOK] != 10 || got[http.StatusTooManyRequests] != n-10 {
			t.Errorf("%d gateways: %v of a rate of 10", gateways, got)
		}
	}
}

// More clients than its rate prove their names from one address at once: they wait for
// each other, and none is refused.
func TestWhoProvesANameWaitsForOthersOfItsAddress(t *testing.T) {
	for _, shared := range []func() bool{nil, always} {
		l := newLimits(t, newClock(), backendtest.Address(t), func(o *limit.Options) { o.Shared = shared })
		var refused atomic.Int32
		var all sync.WaitGroup
		for range 24 {
			all.Go(func() {
				settle, err := l.Admit(context.Background(), "203.0.113.9:1")
				if err != nil {
					refused.Add(1)
					return
				}
				time.Sleep(time.Millisecond)
				settle(true)
			})
		}
		all.Wait()
		if refused.Load() > 0 {
			t.Errorf("%d of 24 were refused", refused.Load())
		}
		for i := range 11 {
			settle, err := l.Admit(context.Background(), "203.0.113.9:1")
			if (err != nil) != (i == 10) {
				t.Fatalf("afterwards %d: %v", i, err)
			}
			if err == nil {
				settle(false)
			}
		}
	}
}

// stuck are facts that can be read and not written.
type stuck struct {
	store.Facts
	is atomic.Bool
}

func (s *stuck) PutIfAbsent(ctx context.Context, key string, v []byte, e time.Time) (store.Fact, error) {
	if s.is.Load() {
		return store.Fact{}, errAway
	}
	return s.Facts.PutIfAbsent(ctx, key, v, e)
}

func (s *stuck) CompareAndSet(ctx context.Context, key string, n int64, v []byte, e time.Time) (store.Fact, error) {
	if s.is.Load() {
		return store.Fact{}, errAway
	}
	return s.Facts.CompareAndSet(ctx, key, n, v, e)
}

// A count is not forgotten before its lock is noted: the next guess locks.
func TestACountOutlivesALockThatCouldNotBeNoted(t *testing.T) {
	for _, shared := range []func() bool{nil, always} {
		c, ctx := newClock(), t.Context()
		facts := &stuck{Facts: backendtest.Open(t, backend.Options{Now: c.now})}
		l, err := limit.New(limit.Options{Requests: -1, Users: -1, Tokens: -1, Failures: 5, Window: 15 * time.Minute, Facts: facts, Shared: shared, Now: c.now})
		if err != nil {
			t.Fatal(err)
		}
		const here = "203.0.113.9:1"
		for i := range 4 {
			if locks, err := l.Failed(ctx, "app", here); locks || err != nil {
				t.Fatal(i, locks, err)
			}
		}
		facts.is.Store(true)
		for range 2 {
			if locks, err := l.Failed(ctx, "app", here); locks || !errors.Is(err, errAway) {
				t.Errorf("a lock that cannot be noted: %v, %v", locks, err)
			}
		}
		facts.is.Store(false)
		if locks, err := l.Failed(ctx, "app", here); !locks || err != nil {
			t.Errorf("the next guess: %v, %v", locks, err)
		}
		if _, locked, err := l.Locked(ctx, "app", here); !locked || err != nil {
			t.Errorf("%v, %v", locked, err)
		}
	}
}

// A lock of an earlier release holds, and an unlock forgets counts.
func TestLocksOfAnEarlierReleaseHold(t *testing.T) {
	c, ctx := newClock(), t.Context()
	ls, facts := gateways(t, c, 2, 100, always)
	const here = "203.0.113.9:1"
	if _, err := ls[0].Failed(ctx, "app", here); err != nil {
		t.Fatal(err)
	}
	page, err := facts.Scan(ctx, "limit/lock/", "", 10)
	if err != nil || len(page) != 1 {
		t.Fatal(page, err)
	}
	if _, err := facts.CompareAndSet(ctx, page[0].Key, page[0].Version, []byte("1"), c.now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if wait, locked, err := ls[1].Locked(ctx, "app", here); !locked || wait != time.Minute || err != nil {
		t.Errorf("%v, %v, %v", wait, locked, err)
	}
	if n, err := ls[1].Unlock(ctx, "app"); n != 1 || err != nil {
		t.Error(n, err)
	}
	for range 4 {
		if locks, err := ls[1].Failed(ctx, "app", here); locks || err != nil {
			t.Fatal(locks, err)
		}
	}
	if n, err := ls[0].Unlock(ctx, "app"); n != 0 || err != nil {
		t.Error("nothing was locked:", n, err)
	}
	if locks, err := ls[1].Failed(ctx, "app", here); locks || err != nil {
		t.Error("an unlock forgets what was counted:", locks, err)
	}
}

// The right secret comes while wrong ones that were before it wait to be judged: it is
// judged after them.
func TestTheRightSecretWaitsForGuessesOfBefore(t *testing.T) {
	const here = "203.0.113.9:1"
	for _, wrong := range []int{4, 5} {
		o := newOffice(t, func(o *limit.Options) { o.Tokens = -1 })
		done, err := o.limits.Turn(t.Context(), "app", here)
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		var status int
		for i := range wrong + 1 {
			all.Go(func() {
				if i < wrong {
					o.try("app", fmt.Sprint("guess", i), here)
				} else {
					status, _ = o.try("app", o.secret, here)
				}
			})
			for began := time.Now(); o.limits.Waiting("app", here) < i+2; time.Sleep(time.Millisecond) {
				if time.Since(began) > time.Minute {
					t.Fatal("it does not wait for its turn")
				}
			}
		}
		done()
		all.Wait()
		if want := map[int]int{4: http.StatusOK, 5: http.StatusTooManyRequests}[wrong]; status != want {
			t.Errorf("after %d wrong ones: %d, want %d", wrong, status, want)
		}
		if n := o.limits.Waiting("app", here); n != 0 {
			t.Errorf("%d are still remembered", n)
		}
	}
}

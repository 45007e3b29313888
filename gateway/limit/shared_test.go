package limit_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/limit"
)

// counted counts writes, and fails while it is away.
type counted struct {
	store.Facts
	writes atomic.Int64
	away   atomic.Bool
}

var errAway = errors.New("the store is away")

func (c *counted) Get(ctx context.Context, key string) (store.Fact, error) {
	if c.away.Load() {
		return store.Fact{}, errAway
	}
	return c.Facts.Get(ctx, key)
}

func (c *counted) PutIfAbsent(ctx context.Context, key string, v []byte, e time.Time) (store.Fact, error) {
	c.writes.Add(1)
	if c.away.Load() {
		return store.Fact{}, errAway
	}
	return c.Facts.PutIfAbsent(ctx, key, v, e)
}

func (c *counted) CompareAndSet(ctx context.Context, key string, n int64, v []byte, e time.Time) (store.Fact, error) {
	c.writes.Add(1)
	if c.away.Load() {
		return store.Fact{}, errAway
	}
	return c.Facts.CompareAndSet(ctx, key, n, v, e)
}

// gateways are n processes on one store.
func gateways(t *testing.T, c *clock, n, perMinute int, shared func() bool) ([]*limit.Limits, *counted) {
	t.Helper()
	facts := &counted{Facts: backendtest.Open(t, backend.Options{Now: c.now})}
	out := make([]*limit.Limits, n)
	for i := range out {
		var err error
		out[i], err = limit.New(limit.Options{Requests: perMinute, Users: -1, Tokens: perMinute, Failures: 5, Window: 15 * time.Minute, Facts: facts, Shared: shared, Now: c.now, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out, facts
}

func always() bool { return true }

// chunkOf is the documented size of a chunk.
func chunkOf(perMinute int) int { return max(1, perMinute/64) }

var ehr = &auth.Principal{Client: "ehr"}

// What N gateways admit is the limit, give or take what each has not reported.
func TestGatewaysTogetherHoldToTheLimit(t *testing.T) {
	for _, perMinute := range []int{10, 127, 600, 6000} {
		for _, n := range []int{2, 5} {
			for name, pick := range map[string]func(i int) int{
				"in turn":       func(i int) int { return i % n },
				"one, then all": func(i int) int { return min(n-1, i*n/(2*perMinute)) },
				"mostly one":    func(i int) int { return max(0, i%10-10+n) % n },
			} {
				c := newClock()
				ls, _ := gateways(t, c, n, perMinute, always)
				admitted := 0
				for i := range 3 * perMinute {
					if _, ok := ls[pick(i)].Request(ehr); ok {
						admitted++
					}
				}
				slack := n * (chunkOf(perMinute) - 1)
				if admitted > perMinute+slack || admitted < perMinute-slack {
					t.Errorf("%d gateways, %d a minute, %s: %d admitted, more than %d off", n, perMinute, name, admitted, slack)
				}
				if chunkOf(perMinute) == 1 && admitted != perMinute {
					t.Errorf("%d gateways, %d a minute, %s: %d admitted", n, perMinute, name, admitted)
				}
			}
		}
	}
}

// In the long run it is the limit: what one did not report in time is not given
// again and again.
func TestInTheLongRunItIsTheLimit(t *testing.T) {
	const n, perMinute, minutes = 4, 600, 10
	c := newClock()
	ls, facts := gateways(t, c, n, perMinute, always)
	admitted := 0
	for i := range minutes * 60 * 20 { // 1200 a minute are asked for
		if _, ok := ls[i%n].Request(ehr); ok {
			admitted++
		}
		c.add(50 * time.Millisecond)
	}
	most := perMinute*(minutes+1) + n*(chunkOf(perMinute)-1)
	least := perMinute*minutes - n*(chunkOf(perMinute)-1)
	if admitted > most || admitted < least {
		t.Errorf("%d admitted in %d minutes, not between %d and %d", admitted, minutes, least, most)
	}
	if w := facts.writes.Load(); w > int64(admitted/chunkOf(perMinute)+2*n*minutes*64) {
		t.Errorf("%d writes for %d requests", w, admitted)
	}
}

// A quiet caller costs a write for a chunk, not for a request.
func TestACallerCostsAWriteForAChunk(t *testing.T) {
	c := newClock()
	ls, facts := gateways(t, c, 2, 6000, always)
	for range 930 {
		if _, ok := ls[0].Request(ehr); !ok {
			t.Fatal("refused")
		}
		c.add(time.Second)
	}
	if w := facts.writes.Load(); w != 10 {
		t.Errorf("%d writes for 930 requests in chunks of 93", w)
	}
}

func TestAloneNothingIsWritten(t *testing.T) {
	c := newClock()
	var other atomic.Bool
	ls, facts := gateways(t, c, 2, 100, other.Load)
	n := 0
	for ; n < 60; n++ {
		if _, ok := ls[0].Request(ehr); !ok {
			t.Fatal(n)
		}
	}
	for range 3 {
		_, _ = ls[0].Failed(t.Context(), "ehr", "203.0.113.9:1")
	}
	if facts.writes.Load() != 0 {
		t.Errorf("%d writes", facts.writes.Load())
	}
	// Another comes: what was admitted until then counts.
	other.Store(true)
	if _, ok := ls[0].Request(ehr); !ok {
		t.Fatal("refused")
	}
	n++
	for ok := true; ok; {
		if _, ok = ls[1].Request(ehr); ok {
			n++
		}
	}
	if n != 100 {
		t.Errorf("%d of 100", n)
	}
	if locked, err := ls[0].Failed(t.Context(), "ehr", "203.0.113.9:1"); locked || err != nil {
		t.Error(locked, err)
	}
	if locked, err := ls[1].Failed(t.Context(), "ehr", "203.0.113.9:1"); !locked || err != nil {
		t.Error("the fifth failure, at another gateway:", locked, err)
	}
	if _, locked, err := ls[0].Locked(t.Context(), "ehr", "203.0.113.9:1"); !locked || err != nil {
		t.Error("not locked", err)
	}
}

// What one admitted while it was alone counts, also if there was another gateway before.
func TestWhatWasAdmittedAloneBetweenTwoCounts(t *testing.T) {
	c := newClock()
	var other atomic.Bool
	other.Store(true)
	ls, _ := gateways(t, c, 2, 100, other.Load)
	for i := range 20 {
		if _, ok := ls[i%2].Request(ehr); !ok {
			t.Fatal(i)
		}
	}
	other.Store(false)
	c.add(3 * time.Minute)
	for i := range 60 {
		if _, ok := ls[0].Request(ehr); !ok {
			t.Fatal(i)
		}
	}
	other.Store(true)
	n := 60
	for i := range 200 {
		if _, ok := ls[(i+1)%2].Request(ehr); ok {
			n++
		}
	}
	if n < 100 || n > 101 {
		t.Errorf("%d of 100", n)
	}
}

// What one counted while it was alone counts on, also when the other has begun a count
// of its own by then.
func TestFailuresOfTheTimeAloneCountOn(t *testing.T) {
	var other atomic.Bool
	ls, _ := gateways(t, newClock(), 2, 100, other.Load)
	const here = "203.0.113.9:1"
	fail := func(gateway int, want bool) {
		t.Helper()
		if locked, err := ls[gateway].Failed(t.Context(), "ehr", here); locked != want || err != nil {
			t.Errorf("at %d: locked %v, %v", gateway, locked, err)
		}
	}
	for range 3 {
		fail(0, false)
	}
	other.Store(true)
	fail(1, false)
	fail(0, true)
}

func TestASuccessForgetsFailuresOfAllGateways(t *testing.T) {
	ls, _ := gateways(t, newClock(), 2, 100, always)
	const here = "203.0.113.9:1"
	for i := range 4 {
		if locked, err := ls[i%2].Failed(t.Context(), "ehr", here); locked || err != nil {
			t.Fatal(i, locked, err)
		}
	}
	if err := ls[1].Succeeded(t.Context(), "ehr", here); err != nil {
		t.Fatal(err)
	}
	if locked, err := ls[0].Failed(t.Context(), "ehr", here); locked || err != nil {
		t.Error(locked, err)
	}
}

// A store that is away leaves each gateway with the limit, and nobody guesses
// uncounted.
func TestWithoutTheStoreEachHoldsToTheLimit(t *testing.T) {
	c := newClock()
	ls, facts := gateways(t, c, 2, 100, always)
	facts.away.Store(true)
	n := 0
	for range 300 {
		if _, ok := ls[0].Request(ehr); ok {
			n++
		}
	}
	if n != 100 {
		t.Errorf("%d of 100", n)
	}
	if _, err := ls[0].Failed(t.Context(), "ehr", "203.0.113.9:1"); !errors.Is(err, errAway) {
		t.Error(err)
	}
	facts.away.Store(false)
	c.add(time.Second) // what was admitted meanwhile is reported
	ls[0].Request(ehr)
	n = 0
	for range 300 {
		if _, ok := ls[1].Request(ehr); ok {
			n++
		}
	}
	if n > 2 {
		t.Errorf("the other gateway admits %d more", n)
	}
}

func TestManyTakeAtOnceAtSeveralGateways(t *testing.T) {
	c := newClock()
	ls, _ := gateways(t, c, 3, 100, always)
	var got atomic.Int32
	var wg sync.WaitGroup
	for i := range 9 {
		wg.Go(func() {
			for range 50 {
				if _, ok := ls[i%3].Request(ehr); ok {
					got.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got.Load() != 100 {
		t.Errorf("%d of 100", got.Load())
	}
}

package limit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/limit"
)

// A clock that the test moves.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}
func (c *clock) now() time.Time      { return time.Unix(0, c.at.Load()).UTC() }
func (c *clock) add(d time.Duration) { c.at.Add(int64(d)) }

func TestABucketGivesAMinutesWorthAndThenEvenly(t *testing.T) {
	c := newClock()
	b := limit.NewBuckets(60, 100, c.now)
	for i := range 60 {
		if _, ok := b.Take("a"); !ok {
			t.Fatalf("token %d of 60", i)
		}
	}
	if wait, ok := b.Peek("a"); ok || wait != time.Second {
		t.Errorf("empty: %v, %v", wait, ok)
	}
	if wait, ok := b.Take("a"); ok || wait != time.Second {
		t.Errorf("empty: %v, %v", wait, ok)
	}
	if _, ok := b.Take("b"); !ok {
		t.Error("another key has its own")
	}
	c.add(time.Second)
	if _, ok := b.Peek("a"); !ok {
		t.Error("one came back")
	}
	if _, ok := b.Take("a"); !ok {
		t.Error("one came back")
	}
	if _, ok := b.Take("a"); ok {
		t.Error("and only one")
	}
	c.add(time.Hour)
	n := 0
	for ok := true; ok && n < 1000; n++ {
		_, ok = b.Take("a")
	}
	if n != 61 { // 60 and the refusal
		t.Errorf("after an hour %d", n-1)
	}
	none := limit.NewBuckets(-1, 100, c.now)
	for range 1000 {
		if _, ok := none.Take("a"); !ok {
			t.Fatal("there is no limit")
		}
	}
}

func TestBucketsAreBounded(t *testing.T) {
	c := newClock()
	b := limit.NewBuckets(60, 320, c.now)
	for i := range 100_000 {
		b.Take(fmt.Sprint(i))
	}
	if n := b.Len(); n > 320+32 {
		t.Errorf("%d buckets are kept", n)
	}
}

func TestManyTakeAtOnce(t *testing.T) {
	c := newClock()
	b := limit.NewBuckets(1000, 100, c.now)
	var got atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				if _, ok := b.Take("a"); ok {
					got.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got.Load() != 1000 {
		t.Errorf("%d of 1000", got.Load())
	}
}

func newLimits(t testing.TB, c *clock, path string, change func(*limit.Options)) *limit.Limits {
	t.Helper()
	db := backendtest.At(t, path, backend.Options{Now: c.now})
	o := limit.Options{Requests: 20, Users: 10, Tokens: 10, Failures: 5, Window: 15 * time.Minute, Facts: db, Now: c.now}
	if change != nil {
		change(&o)
	}
	l, err := limit.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestRequestsOfClientsAndOfPeople(t *testing.T) {
	c := newClock()
	l := newLimits(t, c, backendtest.Address(t), nil)
	ask := func(client, user string) bool {
		_, ok := l.Request(&auth.Principal{Client: client, User: auth.User{ID: user}})
		return ok
	}
	n := 0
	for ask("ehr", "ortiz") {
		n++
	}
	if n != 10 {
		t.Errorf("one person: %d", n)
	}
	for range 50 {
		ask("ehr", "ortiz") // what is refused uses nothing up
	}
	for n = 0; ask("ehr", "diaz"); n++ {
	}
	if n != 10 || ask("ehr", "") {
		t.Errorf("the second person of a client of 20: %d", n)
	}
	if !ask("rms", "ortiz") {
		t.Error("another client")
	}
}

func TestAStrangerUsesUpItsOwnAddressOnly(t *testing.T) {
	c := newClock()
	l := newLimits(t, c, backendtest.Address(t), nil)
	ctx := context.Background()
	admit := func(source string, proven bool) error {
		settle, err := l.Admit(ctx, source)
		if err == nil {
			settle(proven)
		}
		return err
	}
	for i := range 30 {
		if err := admit("203.0.113.9:4711", i >= 10); err != nil != (i >= 10) {
			t.Fatal(i, err)
		}
	}
	refused := admit("203.0.113.9:9999", true)
	var r *auth.Refusal
	if !errors.As(refused, &r) || r.Status != http.StatusTooManyRequests || r.RetryAfter <= 0 {
		t.Errorf("another port is the same address: %v", refused)
	}
	for range 30 {
		if admit("203.0.113.10:1", true) != nil {
			t.Fatal("who proves a name spends nothing of its address")
		}
	}
	if l.Proven(ctx, "ehr") != nil {
		t.Error("others are not touched")
	}
	for range 10 {
		_ = admit("[2001:db8:1:2::1]:1", false)
	}
	if admit("[2001:db8:1:2:ffff::9]:2", false) == nil || admit("[2001:db8:1:3::1]:1", false) != nil {
		t.Error("of IPv6 the /64 is one address")
	}
	for range 9 {
		if err := l.Proven(ctx, "ehr"); err != nil {
			t.Fatal(err)
		}
	}
	if l.Proven(ctx, "ehr") == nil {
		t.Error("a client that has proven its name has a rate too")
	}
}

func TestALockIsOfOneAddressAndOfEveryNode(t *testing.T) {
	c, path, ctx := newClock(), backendtest.Address(t), context.Background()
	a, b := newLimits(t, c, path, nil), newLimits(t, c, path, nil)
	const here, there = "203.0.113.9:1", "198.51.100.7:1"
	for i := range 5 {
		if _, locked, err := b.Locked(ctx, "ehr", here); locked || err != nil {
			t.Fatalf("after %d failures: %v, %v", i, locked, err)
		}
		now, err := a.Failed(ctx, "ehr", here)
		if err != nil || now != (i == 4) {
			t.Fatalf("failure %d: %v, %v", i, now, err)
		}
	}
	for _, l := range []*limit.Limits{a, b} {
		if wait, locked, err := l.Locked(ctx, "ehr", here); !locked || err != nil || wait != 15*time.Minute {
			t.Errorf("%v, %v, %v", wait, locked, err)
		}
		if _, locked, _ := l.Locked(ctx, "ehr", there); locked {
			t.Error("the client is locked out elsewhere")
		}
		if _, locked, _ := l.Locked(ctx, "rms", here); locked {
			t.Error("another client is locked out")
		}
	}
	if n, err := b.Unlock(ctx, "ehr"); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, locked, _ := a.Locked(ctx, "ehr", here); locked {
		t.Error("still locked")
	}
	for range 5 {
		_, _ = a.Failed(ctx, "ehr", here)
	}
	c.add(15*time.Minute + time.Second)
	if _, locked, _ := a.Locked(ctx, "ehr", here); locked {
		t.Error("longer than the window")
	}
	for range 4 {
		_, _ = a.Failed(ctx, "ehr", here)
	}
	if err := a.Succeeded(ctx, "ehr", here); err != nil {
		t.Fatal(err)
	}
	if now, _ := a.Failed(ctx, "ehr", here); now {
		t.Error("a success begins the count again")
	}
	for range 3 {
		_, _ = a.Failed(ctx, "ehr", here)
	}
	c.add(16 * time.Minute)
	if now, _ := a.Failed(ctx, "ehr", here); now {
		t.Error("five failures in more than the window")
	}
}

func TestPagesOfOneAddress(t *testing.T) {
	c := newClock()
	l := newLimits(t, c, backendtest.Address(t), nil)
	served := 0
	h := l.Pages(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }), func(r *http.Request) string { return r.RemoteAddr })
	var last *httptest.ResponseRecorder
	for range 15 {
		last = httptest.NewRecorder()
		h.ServeHTTP(last, httptest.NewRequest(http.MethodGet, "/oauth/authorize", nil))
	}
	if served != 10 || last.Code != http.StatusTooManyRequests || last.Header().Get("Retry-After") != "6" {
		t.Errorf("%d served, then %d, Retry-After %q", served, last.Code, last.Header().Get("Retry-After"))
	}
}

func BenchmarkRequest(b *testing.B) {
	l := newLimits(b, newClock(), backendtest.Address(b), func(o *limit.Options) { o.Requests, o.Users, o.Now = 1_000_000, 1_000_000, time.Now })
	p := &auth.Principal{Client: "ehr", User: auth.User{ID: "urn:x#ortiz"}}
	b.ReportAllocs()
	for b.Loop() {
		l.Request(p)
	}
}

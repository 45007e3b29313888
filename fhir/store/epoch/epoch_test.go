package epoch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/fhir/store/epoch"
)

// counting counts what reaches the store.
type counting struct {
	epoch.Backend
	reads, searches, gets, gathers atomic.Int64
}

func (c *counting) Gather(ctx context.Context, keys []string) ([]store.Fact, error) {
	c.gathers.Add(1)
	return store.Gather(ctx, c.Backend, keys)
}

func (c *counting) Read(ctx context.Context, k store.Key) (*store.Record, error) {
	c.reads.Add(1)
	return c.Backend.Read(ctx, k)
}

func (c *counting) Search(ctx context.Context, p store.Plan) (store.Page, error) {
	c.searches.Add(1)
	return c.Backend.Search(ctx, p)
}

func (c *counting) Get(ctx context.Context, k string) (store.Fact, error) {
	c.gets.Add(1)
	return c.Backend.Get(ctx, k)
}

func open(t *testing.T, path string, now func() time.Time) backend.Backend {
	t.Helper()
	db := backendtest.At(t, path, backend.Options{Now: now})
	return db
}

var (
	key  = store.Key{Type: "Consent", ID: "c"}
	plan = store.Plan{Type: "Consent", Where: store.Expr{Op: store.All}, Limit: 10}
)

func write(t *testing.T, s store.Store, raw string) {
	t.Helper()
	if _, err := s.Write(context.Background(), store.Write{Record: store.Record{Key: key, Raw: []byte(raw)}, Expect: store.AnyVersion}); err != nil {
		t.Fatal(err)
	}
}

func TestReadsOfOneEpochReachTheStoreOnce(t *testing.T) {
	b := &counting{Backend: open(t, backendtest.Address(t), nil)}
	write(t, b, `{"v":1}`)
	c := epoch.New(b, 0, nil)
	for range 3 {
		ctx, err := c.Pin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r, err := c.Read(ctx, key); err != nil || string(r.Raw) != `{"v":1}` {
			t.Fatal(r, err)
		}
		if _, err := c.Read(ctx, store.Key{Type: "Consent", ID: "none"}); !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		if p, err := c.Search(ctx, plan); err != nil || len(p.Records) != 1 {
			t.Fatal(p, err)
		}
		if _, err := c.Get(ctx, "none"); !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
	}
	if b.reads.Load() != 2 || b.searches.Load() != 1 || b.gets.Load() != 1 {
		t.Errorf("%d reads, %d searches, %d gets reached the store", b.reads.Load(), b.searches.Load(), b.gets.Load())
	}
	if _, err := c.Read(t.Context(), key); err != nil || b.reads.Load() != 3 {
		t.Error("a read without a pinned epoch was answered from memory")
	}
}

// A write is seen by whatever starts after it was acknowledged, also when
// another process made it.
func TestAnAcknowledgedWriteIsSeenAtOnce(t *testing.T) {
	path := backendtest.Address(t)
	mine, other := open(t, path, nil), open(t, path, nil)
	c := epoch.New(mine, 0, nil)
	for i := range 200 {
		want := fmt.Sprintf(`{"v":%d}`, i)
		if i%2 == 0 {
			write(t, c, want)
		} else {
			write(t, other, want)
		}
		ctx, err := c.Pin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			r, err := c.Read(ctx, key)
			if err != nil || string(r.Raw) != want {
				t.Fatalf("write %d: read %s, %v", i, r.Raw, err)
			}
			p, err := c.Search(ctx, plan)
			if err != nil || len(p.Records) != 1 || string(p.Records[0].Raw) != want {
				t.Fatalf("write %d: search %v, %v", i, p, err)
			}
		}
	}
}

// The same with many readers: what a reader sees is never older than what was
// acknowledged when it pinned.
func TestConcurrentReadersNeverGoBack(t *testing.T) {
	db := open(t, backendtest.Address(t), nil)
	c := epoch.New(db, 0, nil)
	write(t, c, "0")
	var acknowledged atomic.Int64
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				least := acknowledged.Load()
				ctx, err := c.Pin(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				r, err := c.Read(ctx, key)
				var got int64
				if err == nil {
					_, err = fmt.Sscan(string(r.Raw), &got)
				}
				if err != nil || got < least {
					t.Errorf("read %d after %d was acknowledged (%v)", got, least, err)
					return
				}
			}
		})
	}
	for i := int64(1); i <= 300; i++ {
		write(t, c, fmt.Sprint(i))
		acknowledged.Store(i)
	}
	close(done)
	wg.Wait()
}

// Whoever fails to write because another was faster must then see what the
// other wrote, although it looked before.
func TestAWriterSeesWhatMadeItFail(t *testing.T) {
	db := open(t, backendtest.Address(t), nil)
	c := epoch.New(db, 0, nil)
	ctx, err := c.Pin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(ctx, "k"); !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := c.PutIfAbsent(t.Context(), "k", []byte("theirs"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutIfAbsent(ctx, "k", []byte("mine"), time.Time{}); !errors.Is(err, store.ErrExists) {
		t.Fatal(err)
	}
	if f, err := c.Get(ctx, "k"); err != nil || string(f.Value) != "theirs" {
		t.Errorf("got %q, %v", f.Value, err)
	}
	if fs, err := c.Scan(ctx, "k", "", 10); err != nil || len(fs) != 1 {
		t.Errorf("scan: %v, %v", fs, err)
	}
	write(t, c, "1")
	rec, err := c.Read(ctx, key)
	if err != nil || string(rec.Raw) != "1" {
		t.Errorf("read after a write: %v, %v", rec, err)
	}
}

func TestGatheredFactsAreKeptForAnEpochAndNoLonger(t *testing.T) {
	path := backendtest.Address(t)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return at }
	b, other := &counting{Backend: open(t, path, now)}, open(t, path, now)
	c := epoch.New(b, 0, now)
	put := func(key string, expires time.Time) {
		t.Helper()
		if _, err := other.PutIfAbsent(t.Context(), key, []byte(key), expires); err != nil {
			t.Fatal(err)
		}
	}
	gather := func(keys ...string) string {
		t.Helper()
		ctx, err := c.Pin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		fs, err := c.Gather(ctx, keys)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range fs {
			got = append(got, f.Key+"="+string(f.Value))
		}
		slices.Sort(got)
		return strings.Join(got, " ")
	}
	put("a", time.Time{})
	put("b", at.Add(time.Minute))
	for range 3 {
		if got := gather("a", "b", "none"); got != "a=a b=b" {
			t.Errorf("gathered %q", got)
		}
	}
	if n := b.gathers.Load() + b.gets.Load(); n != 1 {
		t.Errorf("the store was asked %d times", n)
	}
	if got := gather("a", "other"); got != "a=a" || b.gathers.Load() != 2 {
		t.Errorf("gathered %q in %d steps", got, b.gathers.Load())
	}
	put("none", time.Time{})
	if got := gather("a", "b", "none"); got != "a=a b=b none=none" {
		t.Errorf("after a write of another process: %q", got)
	}
	mu.Lock()
	at = at.Add(time.Minute)
	mu.Unlock()
	if got := gather("a", "b", "none"); got != "a=a none=none" {
		t.Errorf("after an expiry: %q", got)
	}
	if fs, err := c.Gather(t.Context(), []string{"a"}); err != nil || len(fs) != 1 {
		t.Errorf("without a pinned epoch: %v, %v", fs, err)
	}
}

func TestAFactThatExpiresIsGone(t *testing.T) {
	var mu sync.Mutex
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return at }
	db := open(t, backendtest.Address(t), now)
	c := epoch.New(db, 0, now)
	if _, err := c.PutIfAbsent(t.Context(), "k", []byte("v"), at.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	ctx, err := c.Pin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if f, err := c.Get(ctx, "k"); err != nil || string(f.Value) != "v" {
		t.Fatal(f, err)
	}
	mu.Lock()
	at = at.Add(time.Minute)
	mu.Unlock()
	if f, err := c.Get(ctx, "k"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v, %v after the expiry", f, err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	db := open(t, backendtest.Address(t), nil)
	b := &counting{Backend: db}
	c := epoch.New(b, 4096, nil)
	ctx, err := c.Pin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		for range 2 {
			if _, err := c.Get(ctx, fmt.Sprint(i)); !errors.Is(err, store.ErrNotFound) {
				t.Fatal(err)
			}
		}
	}
	before := b.gets.Load()
	if before != 100 {
		t.Errorf("%d of 200 reads reached the store", before)
	}
	if _, err := c.Get(ctx, "0"); !errors.Is(err, store.ErrNotFound) || b.gets.Load() == before {
		t.Error("the first of 100 is still in 4 kB")
	}
}

func BenchmarkPin(b *testing.B) {
	db := backendtest.Open(b, backend.Options{})
	c := epoch.New(db, 0, nil)
	for b.Loop() {
		if _, err := c.Pin(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func TestWhatEveryRequestReadsComesAlong(t *testing.T) {
	path := backendtest.Address(t)
	b, other := &counting{Backend: open(t, path, nil)}, open(t, path, nil)
	c := epoch.New(b, 0, nil)
	c.Along("version", "links")
	read := func(want string, keys ...string) {
		t.Helper()
		ctx, err := c.Pin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, key := range keys {
			f, err := c.Get(ctx, key)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Fatal(err)
			}
			got = append(got, string(f.Value))
		}
		fs, err := c.Gather(ctx, []string{"token", "links"})
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(fs, func(a, b store.Fact) int { return strings.Compare(a.Key, b.Key) })
		for _, f := range fs {
			got = append(got, f.Key)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("got %q, want %q", strings.Join(got, " "), want)
		}
	}
	steps := func(want int64) {
		t.Helper()
		if n := b.gets.Swap(0) + b.gathers.Swap(0); n != want {
			t.Errorf("the store was asked %d times instead of %d", n, want)
		}
	}
	put := func(key string) {
		t.Helper()
		if _, err := other.PutIfAbsent(t.Context(), key, []byte("1"), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	read("  ", "version", "none", "links")
	steps(3) // version with links, none, token
	put("links")
	read("1 links", "links")
	steps(2) // links with version, token
	read("1 links", "links")
	read("  links", "version", "none")
	steps(1) // none
	put("token")
	put("version")
	fs, err := c.Gather(t.Context(), []string{"token"})
	if err != nil || len(fs) != 1 || fs[0].Key != "token" {
		t.Errorf("gathered %v, %v: others than were asked for", fs, err)
	}
	steps(1)
	read("1 links token", "version")
	steps(2) // version with links, token: the request before had no epoch
}

package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// A Backend is one open implementation under test.
type Backend struct {
	Store store.Store // its Close closes all three
	Facts store.Facts
	Log   store.Log
	// SearchFor sets how long a search may take; 0 is what it is otherwise.
	SearchFor func(time.Duration)
}

// An Opener opens what is kept at an address, or makes it.
type Opener func(ctx context.Context, address string, now func() time.Time) (*Backend, error)

// A Target is an implementation under test.
type Target struct {
	// Address gives a fresh, empty place: a file, a database's URI.
	Address func(t *testing.T) string
	Open    Opener
}

// Run runs the suite.
func Run(t *testing.T, target Target) {
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"versions", versionTests},
		{"units", unitTests},
		{"bytes", byteTests},
		{"search", searchTests},
		{"paging", pagingTests},
		{"facts", factTests},
		{"log", logTests},
		{"crash", crashTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, tt := range group.tests {
				t.Run(tt.name, func(t *testing.T) { tt.run(t, newEnv(t, target)) })
			}
		})
	}
}

type test struct {
	name string
	run  func(t *testing.T, e *env)
}

// An env is a test's place with a clock of its own.
type env struct {
	*Backend
	target  Target
	address string
	clock   *clock
	ctx     context.Context
}

func newEnv(t *testing.T, target Target) *env {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	e := &env{target: target, address: target.Address(t), ctx: ctx, clock: &clock{at: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)}}
	e.open(t)
	t.Cleanup(func() {
		cancel()
		if err := e.Store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return e
}

func (e *env) open(t *testing.T) {
	t.Helper()
	b, err := e.target.Open(e.ctx, e.address, e.clock.now)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	e.Backend = b
}

// reopen closes and opens again.
func (e *env) reopen(t *testing.T) {
	t.Helper()
	if err := e.Store.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	e.open(t)
}

// A clock moves only when told.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func patient(id string) store.Key { return store.Key{Type: "Patient", ID: id} }

// body is a small resource that says which write made it.
func body(k store.Key, n int) []byte {
	return fmt.Appendf(nil, `{"resourceType":%q,"id":%q,"n":%d}`, k.Type, k.ID, n)
}

func put(k store.Key, expect int64, n int, index ...string) store.Write {
	return store.Write{Record: store.Record{Key: k, Raw: body(k, n), Index: index}, Expect: expect}
}

func deletion(k store.Key, expect int64) store.Write {
	return store.Write{Record: store.Record{Key: k, Deleted: true}, Expect: expect}
}

func (e *env) write(t *testing.T, w store.Write) *store.Record {
	t.Helper()
	rec, err := e.Store.Write(e.ctx, w)
	if err != nil {
		t.Fatalf("write %s: %v", w.Key, err)
	}
	return rec
}

func (e *env) read(t *testing.T, k store.Key) *store.Record {
	t.Helper()
	rec, err := e.Store.Read(e.ctx, k)
	if err != nil {
		t.Fatalf("read %s: %v", k, err)
	}
	return rec
}

// all runs a search to its end and returns the ids in order.
func (e *env) all(t *testing.T, p store.Plan) []string {
	t.Helper()
	var ids []string
	for range 10000 {
		page, err := e.Store.Search(e.ctx, p)
		if err != nil {
			t.Fatalf("search %+v: %v", p, err)
		}
		if len(page.Records) > p.Limit {
			t.Fatalf("page of %d records, limit %d", len(page.Records), p.Limit)
		}
		for _, rec := range page.Records {
			ids = append(ids, rec.ID)
		}
		if page.Next == "" {
			return ids
		}
		p.After = page.Next
	}
	t.Fatalf("search %+v does not end", p)
	return nil
}

func wantError(t *testing.T, err, want error, what string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

func origin() resource.Origin {
	return resource.Origin{System: "riverton", Custodian: "Organization/riverton-bh", Police: true, Part2: true}
}

// together runs f n times at once and waits.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() { <-start; f(i) })
	}
	close(start)
	wg.Wait()
}

package auth_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/gateway/auth"
)

// changing is a source that a test moves, and that counts.
type changing struct {
	version atomic.Int64
	loads   atomic.Int32
	mu      sync.Mutex
	changes auth.Changes
	fail    error
}

func (c *changing) Version(context.Context) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.version.Load(), c.fail
}

func (c *changing) Load(context.Context) (auth.Changes, error) {
	c.loads.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changes, c.fail
}

func (c *changing) set(f func(*auth.Changes)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.changes)
	c.version.Add(1)
}

func TestARegistryFollowsItsSource(t *testing.T) {
	source := &changing{}
	r, err := auth.FollowingRegistry([]auth.Client{service()}, source, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	look := func(id, name string, want bool) {
		t.Helper()
		c, err := r.Client(ctx, id)
		if (err == nil) != want || err == nil && c.Name != name {
			t.Errorf("%s: %+v, %v", id, c, err)
		}
	}
	look("svc", "", true)
	look("app", "", false)
	intruder := app()
	intruder.ID, intruder.Name = "svc", "intruder"
	registered := app()
	source.set(func(c *auth.Changes) { c.Clients = []auth.Client{registered, intruder} })
	look("app", "", true)
	look("svc", "", true) // as it was given, whoever registers under its id
	source.set(func(c *auth.Changes) { c.Disabled = map[string]bool{"svc": true, "app": true} })
	look("svc", "", false)
	look("app", "", false)
	source.set(func(c *auth.Changes) { c.Disabled, c.Clients = map[string]bool{"svc": false}, nil })
	look("svc", "", true)
	look("app", "", false)
	loads := source.loads.Load()
	for range 100 {
		look("svc", "", true)
	}
	if source.loads.Load() != loads {
		t.Errorf("%d loads without a change", source.loads.Load()-loads)
	}
	source.mu.Lock()
	source.fail = errors.New("the store is gone")
	source.mu.Unlock()
	look("svc", "", false)
	if r.RegisteredOrigin(ctx, "https://app.example") {
		t.Error("an origin though the registrations cannot be known")
	}
}

// A client that is disabled loses tokens and the right to new ones at once.
func TestADisabledClientIsOutAtOnce(t *testing.T) {
	source := &changing{}
	w := worldWith(t, source)
	token := w.token(t, "system/Patient.rs")
	if _, err := w.verifier.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	source.set(func(c *auth.Changes) { c.Disabled = map[string]bool{"rms": true} })
	if _, err := w.verifier.Verify(t.Context(), token); err == nil {
		t.Error("the token still counts")
	}
	if a := w.post(t, form(w.good(), nil)); a.Code != http.StatusUnauthorized {
		t.Errorf("a new token: %d", a.Code)
	}
	if got := w.audit.last(t); got.Reason != "client-disabled" {
		t.Errorf("reason %s", got.Reason)
	}
	source.mu.Lock()
	source.fail = errors.New("the store is gone")
	source.mu.Unlock()
	if _, err := w.verifier.Verify(t.Context(), token); err == nil || errors.As(err, new(*auth.Refusal)) {
		t.Errorf("a store that does not answer is no refusal and no pass: %v", err)
	}
}

func TestAReplacedKeyCountsUntilItsTime(t *testing.T) {
	w := newWorld(t)
	c := w.clients[0]
	until := w.clock.now().Add(time.Hour)
	c.Retiring = []auth.Retiring{{JWKS: c.JWKS, Until: until}, {JWKS: jwks(keys()["stranger"]), Until: until.Add(-30 * time.Minute)}}
	c.JWKS = jwks(keys()["other"])
	w.clients[0] = c
	if err := w.registry.Replace(w.clients); err != nil {
		t.Fatal(err)
	}
	ask := func(key string, want int) {
		t.Helper()
		if a := w.post(t, form(forgery{by: keys()[key], claims: w.claims("rms", nil)}.String(), nil)); a.Code != want {
			t.Errorf("key %s: %d %s", key, a.Code, w.audit.last(t).Reason)
		}
	}
	ask("es", 200)
	ask("other", 200)
	ask("stranger", 200)
	w.clock.add(40 * time.Minute)
	ask("es", 200)
	ask("other", 200)
	ask("stranger", 401)
	w.clock.add(30 * time.Minute)
	ask("es", 401)
	ask("other", 200)
}

func BenchmarkRegistryUnchanged(b *testing.B) {
	source := &changing{}
	r, err := auth.FollowingRegistry([]auth.Client{service()}, source, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.All(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

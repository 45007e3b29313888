package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
)

// An asked store notes what it is asked for.
type asked struct {
	backend.Backend
	mu    sync.Mutex
	calls []string
	// before is called once, in front of the next search of its type.
	before map[string]func()
}

// halt stands still in front of a search while something else happens.
func (a *asked) halt(typ string) {
	a.mu.Lock()
	do := a.before[typ]
	delete(a.before, typ)
	a.mu.Unlock()
	if do != nil {
		do()
	}
}

func (a *asked) note(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, fmt.Sprintf(format, args...))
}

// take gives what was asked since it was called last, in order of name: some of it is
// asked side by side.
func (a *asked) take() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := slices.Sorted(slices.Values(a.calls))
	a.calls = nil
	return out
}

func (a *asked) Epoch(ctx context.Context) (int64, error) {
	a.note("epoch")
	return a.Backend.Epoch(ctx)
}

func (a *asked) Read(ctx context.Context, k store.Key) (*store.Record, error) {
	a.note("read %s", k.Type)
	return a.Backend.Read(ctx, k)
}

func (a *asked) ReadVersion(ctx context.Context, k store.Key, v int64) (*store.Record, error) {
	a.note("read a version of %s", k.Type)
	return a.Backend.ReadVersion(ctx, k, v)
}

func (a *asked) Search(ctx context.Context, p store.Plan) (store.Page, error) {
	a.note("search %s", p.Type)
	a.halt(p.Type)
	return a.Backend.Search(ctx, p)
}

func (a *asked) Count(ctx context.Context, p store.Plan) (int, error) {
	a.note("count %s", p.Type)
	return a.Backend.Count(ctx, p)
}

func (a *asked) Apply(ctx context.Context, ws []store.Write) ([]*store.Record, error) {
	a.note("apply %d", len(ws))
	return a.Backend.Apply(ctx, ws)
}

func (a *asked) Get(ctx context.Context, key string) (store.Fact, error) {
	a.note("get %s", before(key))
	return a.Backend.Get(ctx, key)
}

func (a *asked) Gather(ctx context.Context, keys []string) ([]store.Fact, error) {
	kinds := make([]string, len(keys))
	for i, key := range keys {
		kinds[i] = before(key)
	}
	a.note("gather %s", strings.Join(kinds, ", "))
	return a.Backend.Gather(ctx, keys)
}

func (a *asked) Scan(ctx context.Context, prefix, after string, limit int) ([]store.Fact, error) {
	a.note("scan %s", before(prefix))
	return a.Backend.Scan(ctx, prefix, after, limit)
}

func (a *asked) PutIfAbsent(ctx context.Context, key string, value []byte, expires time.Time) (store.Fact, error) {
	a.note("put %s", before(key))
	return a.Backend.PutIfAbsent(ctx, key, value, expires)
}

// before is the kind of a fact: its key up to the first bar.
func before(key string) string {
	kind, _, _ := strings.Cut(key, "/")
	return kind
}

// Over a network each of these is one way to the store and back, or several, so what a
// request asks for is held: after somebody has written, when nothing of it is in
// memory, and again, when all of it is.
func TestARequestAsksTheStoreForWhatItNeedsOnce(t *testing.T) {
	c := newCounty(t)
	c.put(person)
	c.put(contact)
	undated := strings.Replace(release, `"identifier":[{"system":"urn:forms","value":"7"}],`, "", 1) // replaces none
	ways := func(do func() answer, status int) []string {
		c.asked.take()
		if a := do(); a.status != status {
			t.Fatalf("%d instead of %d: %s", a.status, status, a)
		}
		return c.asked.take()
	}
	get := func(path string) func() answer { return func() answer { return c.get("clinician", path) } }
	create := func() answer { return c.do("clinician", "POST", "Consent", undated, asFHIR) }
	for _, x := range []struct {
		name   string
		do     func() answer
		status int
		want   []string
	}{
		{"read", get("Patient/p1"), http.StatusOK, []string{"epoch", "gather linkepoch, idforgotten", "read Patient", "search Consent", "search Task"}},
		{"search within a person", get("Encounter?patient=p1"), http.StatusOK, []string{"epoch", "gather linkepoch, idforgotten", "search Consent", "search Encounter", "search Task"}},
		{"search", get("Patient?identifier=urn:none|1"), http.StatusOK, []string{"epoch", "gather linkepoch, idforgotten", "search Consent", "search Patient", "search Task"}},
		{"create", create, http.StatusCreated, []string{"apply 1", "epoch", "gather linkepoch, idforgotten", "read Patient", "search Consent", "search Consent", "search Task"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			ways(x.do, x.status) // who is who is known by then
			c.put(strings.Replace(person, `"p1"`, `"somebody-else"`, 1))
			got := ways(x.do, x.status)
			t.Logf("%d: %s", len(got), strings.Join(got, ", "))
			if diff := cmp.Diff(x.want, got); diff != "" {
				t.Errorf("after a write of somebody else's (-want +got):\n%s", diff)
			}
			if again := ways(x.do, x.status); x.status == http.StatusOK && !slices.Equal(again, []string{"epoch"}) {
				t.Errorf("again, when nothing has changed: %v", again)
			}
		})
	}
}

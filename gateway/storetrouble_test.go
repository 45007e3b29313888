package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway"
)

// A troubledStore fails every read and search with an error.
type troubledStore struct {
	store.Store
	err error
}

func (s *troubledStore) Read(ctx context.Context, k store.Key) (*store.Record, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.Store.Read(ctx, k)
}

func (s *troubledStore) Search(ctx context.Context, p store.Plan) (store.Page, error) {
	if s.err != nil {
		return store.Page{}, s.err
	}
	return s.Store.Search(ctx, p)
}

// A store that is away, locked or full will do again: the caller is told to come
// again, and nothing of what is wrong.
func TestAStoreInTroubleAsksTheCallerToComeAgain(t *testing.T) {
	troubled := &troubledStore{}
	c := newCountyOf(t, nil, settings, func(o *gateway.Options) { troubled.Store = o.Store; o.Store = troubled })
	c.populate()
	for _, err := range []struct {
		is     error
		status int
	}{
		{store.ErrAway, http.StatusServiceUnavailable}, {store.ErrLocked, http.StatusServiceUnavailable}, {store.ErrFull, http.StatusServiceUnavailable},
		{store.ErrTooLarge, http.StatusRequestEntityTooLarge}, {store.ErrDamaged, http.StatusInternalServerError}, {errors.New("of no kind"), http.StatusInternalServerError},
	} {
		troubled.err = fmt.Errorf("MongoDB at db.internal: %w", err.is)
		for _, path := range []string{"Patient/p1", "Patient?_id=p1"} {
			a := c.get("clinician", path)
			if a.status != err.status || (a.header.Get("Retry-After") != "") != (err.status == http.StatusServiceUnavailable) || strings.Contains(a.body, "db.internal") {
				t.Errorf("%v, %s: %s, Retry-After %q", err.is, path, a, a.header.Get("Retry-After"))
			}
		}
	}
	troubled.err = nil
	if a := c.get("clinician", "Patient/p1"); a.status != http.StatusOK {
		t.Errorf("after it: %s", a)
	}
}

// A leavingStore goes away as soon as it has written.
type leavingStore struct {
	troubledStore
	leaves bool
}

func (s *leavingStore) Apply(ctx context.Context, ws []store.Write) ([]*store.Record, error) {
	recs, err := s.Store.Apply(ctx, ws)
	if err == nil && s.leaves {
		s.err = fmt.Errorf("MongoDB at db.internal: %w", store.ErrAway)
	}
	return recs, err
}

// What was written is acknowledged, without a body and with its address, also where the
// store goes away before it is decided whether the caller may see it: a 503 would leave
// a Consent in force that nobody knows of.
func TestAConsentThatWasWrittenIsAcknowledged(t *testing.T) {
	leaving := &leavingStore{}
	c := newCountyOf(t, nil, settings, func(o *gateway.Options) { leaving.Store = o.Store; o.Store = leaving })
	c.populate()
	write := func(method, path, body string) answer {
		t.Helper()
		leaving.leaves = true
		a := c.do("clinician", method, path, body, asFHIR)
		leaving.leaves, leaving.err = false, nil
		return a
	}
	a := write(http.MethodPost, "Consent", release)
	_, rest, _ := strings.Cut(a.header.Get("Location"), "/Consent/")
	id, _, _ := strings.Cut(rest, "/")
	if a.status != http.StatusCreated || a.body != "" || id == "" {
		t.Fatalf("create: %s, %v", a, a.header)
	}
	e := c.trail.events[len(c.trail.events)-1]
	if e.Status != http.StatusCreated || len(e.Resources) != 1 || !e.Resources[0].Unsent || !strings.HasPrefix(e.Resources[0].Reference, "Consent/"+id) {
		t.Errorf("create: event %+v", e)
	}
	if a := c.get("clinician", "Consent/"+id); a.status != http.StatusOK {
		t.Errorf("the Consent: %s", a)
	}
	if a := write(http.MethodPost, "Consent/"+id+"/$revoke", `{"resourceType":"Parameters","parameter":[{"name":"how","valueCode":"phone"}]}`); a.status != http.StatusNoContent || a.body != "" {
		t.Errorf("revoke: %s", a)
	}
	if a := c.get("clinician", "Consent/"+id); !strings.Contains(a.body, `"inactive"`) {
		t.Errorf("the Consent after its revocation: %s", a)
	}
}

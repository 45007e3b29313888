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

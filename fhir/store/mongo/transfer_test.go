package mongo

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store/sqlite"
	"github.com/handoff-health/handoff/fhir/store/storetest"
)

// Copies between all pairs of kinds; from embedded to embedded is sqlite's own test.
func TestTransfer(t *testing.T) {
	serverURI(t)
	shared := storetest.Target{Address: func(t *testing.T) string { return freshURI(t) }, Open: openQuiet}
	embedded := storetest.Target{
		Address: func(t *testing.T) string { return filepath.Join(t.TempDir(), "handoff.db") },
		Open: func(ctx context.Context, path string, now func() time.Time) (*storetest.Backend, error) {
			db, err := sqlite.Open(ctx, path, sqlite.Options{Now: now, SweepEvery: -1})
			if err != nil {
				return nil, err
			}
			return &storetest.Backend{Store: db, Facts: db, Log: db}, nil
		},
	}
	t.Run("embedded to shared", func(t *testing.T) { storetest.RunTransfer(t, embedded, shared) })
	t.Run("shared to embedded", func(t *testing.T) { storetest.RunTransfer(t, shared, embedded) })
	t.Run("shared to shared", func(t *testing.T) { storetest.RunTransfer(t, shared, shared) })
}

// openQuiet opens a store that does not sweep: a sweep of the source is a change.
func openQuiet(ctx context.Context, uri string, now func() time.Time) (*storetest.Backend, error) {
	db, err := Open(ctx, uri, Options{Now: now, Grace: -1, SweepEvery: -1})
	if err != nil {
		return nil, err
	}
	return &storetest.Backend{Store: db, Facts: db, Log: db}, nil
}

package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store/sqlite"
	"github.com/handoff-health/handoff/fhir/store/storetest"
)

func open(ctx context.Context, path string, now func() time.Time) (*storetest.Backend, error) {
	db, err := sqlite.Open(ctx, path, sqlite.Options{Now: now})
	if err != nil {
		return nil, err
	}
	return &storetest.Backend{Store: db, Facts: db, Log: db, SearchFor: db.SetSearchFor}, nil
}

func TestMain(m *testing.M) { storetest.Main(m, open) }

var target = storetest.Target{
	Address: func(t *testing.T) string { return filepath.Join(t.TempDir(), "handoff.db") },
	Open:    open,
}

func TestSuite(t *testing.T) { storetest.Run(t, target) }

func TestTransfer(t *testing.T) { storetest.RunTransfer(t, target, target) }

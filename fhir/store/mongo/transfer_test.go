package mongo

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/sqlite"
	"github.com/handoff-health/handoff/fhir/store/storetest"
	"github.com/handoff-health/handoff/fhir/store/transfer"
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

// A copy that dies in the middle of an expunge leaves its rest to the next run.
func TestTransferEndsAnExpunge(t *testing.T) {
	from, to := fresh(t), fresh(t)
	write := func(db *DB, id string) {
		t.Helper()
		_, err := db.Write(t.Context(), store.Write{Record: store.Record{Key: store.Key{Type: "Patient", ID: id}, Raw: bodyOf(id)}, Expect: store.AnyVersion})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"a", "b", "c"} {
		write(from, id)
	}
	run := func(live bool) (transfer.Report, error) {
		return transfer.Run(t.Context(), transfer.Side{Store: from, Name: "the source"}, transfer.Side{Store: to, Name: "the destination"}, transfer.Options{Live: live})
	}
	if _, err := run(true); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b"} {
		if err := from.Expunge(t.Context(), store.Key{Type: "Patient", ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	write(from, "b") // made again
	for _, id := range []string{"a", "b"} {
		b := &broken{to, t, t.Context()}
		b.dies("expunging", func() error { return to.Expunge(t.Context(), store.Key{Type: "Patient", ID: id}) })
	}
	to.onStep = nil
	r, err := run(false)
	if err != nil || !r.Comparison.Same() {
		t.Fatalf("%+v, %v", r, err)
	}
	err = to.CheckStore(t.Context(), store.CheckOptions{Young: -1}, func(f store.Finding) { t.Errorf("left: %+v", f) })
	if err != nil {
		t.Fatal(err)
	}
}

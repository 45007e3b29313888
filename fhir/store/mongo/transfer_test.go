package mongo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

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

// A copy that dies before it has put heads leaves versions that name resources. Of one
// that the source expunges before the next run nothing stays, and a repair has nothing to
// take for a resource that has lost its head.
func TestTransferForgetsWhatACutLeft(t *testing.T) {
	from, to := fresh(t), fresh(t)
	k := store.Key{Type: "Patient", ID: "p-1"}
	for _, id := range []string{"p", k.ID} {
		for range 3 {
			w := store.Write{Record: store.Record{Key: store.Key{Type: "Patient", ID: id}, Raw: bodyOf(id)}, Expect: store.AnyVersion, Claims: []string{"c/" + id}}
			if _, err := from.Write(t.Context(), w); err != nil {
				t.Fatal(err)
			}
		}
	}
	run := func(live bool) (transfer.Report, error) {
		return transfer.Run(t.Context(), transfer.Side{Store: from, Name: "the source"}, transfer.Side{Store: to, Name: "the destination"}, transfer.Options{Live: live})
	}
	to.onCall = func(what string, done bool) error {
		if what == "write heads" && !done {
			return errDied
		}
		return nil
	}
	if _, err := run(true); !errors.Is(err, errDied) {
		t.Fatal(err)
	}
	to.onCall = nil
	count := func(c collection) int64 {
		t.Helper()
		n, err := to.coll(c).CountDocuments(t.Context(), bson.M{"k": keyOf(k)})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if count(versions) != 3 || count(claims) != 1 {
		t.Fatalf("the cut left %d versions, %d claims", count(versions), count(claims))
	}
	if err := from.Expunge(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	if r, err := run(false); err != nil || !r.Comparison.Same() || r.Comparison.Destination[transfer.KindVersions].Count != 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	if count(versions) != 0 || count(claims) != 0 {
		t.Errorf("left are %d versions, %d claims", count(versions), count(claims))
	}
	err := to.CheckStore(t.Context(), store.CheckOptions{Young: -1, Repair: true}, func(f store.Finding) { t.Errorf("left: %+v", f) })
	if err != nil {
		t.Fatal(err)
	}
}

// A claim goes over as it was read, or not at all.
func TestTransferTakesNoClaimOfWhoComesBetween(t *testing.T) {
	to := fresh(t)
	write := func(id string, expect int64, claims ...string) {
		t.Helper()
		_, err := to.Write(t.Context(), store.Write{Record: store.Record{Key: store.Key{Type: "Patient", ID: id}, Raw: bodyOf(id)}, Expect: expect, Claims: claims})
		if err != nil {
			t.Fatal(err)
		}
	}
	heir := store.Key{Type: "Patient", ID: "heir"}
	rec := &store.Record{Key: heir, Version: 1, LastUpdated: to.now().UTC().Truncate(time.Millisecond), Raw: bodyOf("heir")}
	restore := func() error {
		return to.Restore(t.Context(), []*store.Archived{{Key: heir, Versions: []*store.Record{rec}, Complete: true, Claims: []string{"c"}}})
	}
	for i, between := range []string{"give a claim up", "take a claim over"} {
		holder, other := fmt.Sprintf("holder%d", i), fmt.Sprintf("other%d", i)
		write(holder, store.Absent, "c")
		came := false
		to.onCall = func(what string, done bool) error {
			if what == between && !done && !came {
				came = true
				to.onCall = nil
				write(holder, 1)
				write(other, store.Absent, "c")
			}
			return nil
		}
		if err := restore(); !errors.Is(err, store.ErrConflict) || !came {
			t.Errorf("%s: %v, came between: %v", between, err, came)
		}
		var ce *store.ClaimError
		_, err := to.Write(t.Context(), store.Write{Record: store.Record{Key: store.Key{Type: "Patient", ID: "thief"}, Raw: bodyOf("thief")}, Expect: store.Absent, Claims: []string{"c"}})
		if !errors.As(err, &ce) || ce.Holder.ID != other {
			t.Errorf("%s: the claim is held otherwise than by %s: %v", between, other, err)
		}
		write(other, 1) // gives it up
	}
	write("last", store.Absent, "c")
	if err := restore(); err != nil {
		t.Error(err)
	}
}

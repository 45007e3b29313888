package sqlite_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store/sqlite"
)

// inFiles lists the store's files that have a text.
func inFiles(t *testing.T, path, text string) (found []string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		raw, err := os.ReadFile(path + suffix)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if n := bytes.Count(raw, []byte(text)); n > 0 {
			found = append(found, fmt.Sprintf("%s: %d times", filepath.Base(path+suffix), n))
		}
	}
	return found
}

// Facts that were removed or replaced are overwritten, like resources.
func TestErasedFactsAreGoneFromTheFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "handoff.db")
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{SweepEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() // checked elsewhere
	f, err := db.PutIfAbsent(t.Context(), "k", []byte("unmistakable-before"), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.CompareAndSet(t.Context(), "k", f.Version, []byte("after"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.PutIfAbsent(t.Context(), "unmistakable-key", nil, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := db.Delete(t.Context(), "unmistakable-key"); err != nil {
		t.Fatal(err)
	}
	if len(inFiles(t, path, "unmistakable")) == 0 {
		t.Fatal("what was written is not in the files: the test looks in the wrong place")
	}
	if err := db.Erase(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := inFiles(t, path, "unmistakable"); len(left) > 0 {
		t.Errorf("still in %v", left)
	}
	if f, err := db.Get(t.Context(), "k"); err != nil || string(f.Value) != "after" {
		t.Errorf("%q, %v", f.Value, err)
	}
}

// While somebody reads an older state the log stays; the sweeper of any process comes
// back to it.
func TestTheSweeperErasesWhatAReaderHasHeldUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "handoff.db")
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{SweepEvery: -1, BusyTimeout: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() // checked elsewhere
	if _, err := db.PutIfAbsent(t.Context(), "unmistakable-key", nil, time.Time{}); err != nil {
		t.Fatal(err)
	}
	reader, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close() // it has only read
	tx, err := reader.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRowContext(t.Context(), "SELECT count(*) FROM fact").Scan(&n); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if err := db.Delete(t.Context(), "unmistakable-key"); err != nil {
		t.Fatal(err)
	}
	if err := db.Erase(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(inFiles(t, path, "unmistakable")) == 0 {
		t.Fatal("the reader has held nothing up")
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	other, err := sqlite.Open(t.Context(), path, sqlite.Options{SweepEvery: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close() // checked elsewhere
	for start := time.Now(); len(inFiles(t, path, "unmistakable")) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > time.Minute {
			t.Fatalf("still in %v", inFiles(t, path, "unmistakable"))
		}
	}
}

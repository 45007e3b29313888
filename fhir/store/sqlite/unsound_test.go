package sqlite_test

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/sqlite"
)

// A page that is not what its header says is named and left as it is; what was removed
// leaves all the others.
func TestErasingNamesAPageThatIsUnsound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "handoff.db")
	w := newTown(t, townsStore(t, path, sqlite.Options{SweepEvery: -1}), 51, "unmistakable")
	for w.left(path) < 3 {
		w.year()
	}
	w.must(w.db.Close())
	raw, err := os.ReadFile(path)
	w.must(err)
	size := int(binary.BigEndian.Uint16(raw[16:]))
	broken := 0 // the last leaf of an index in which no rest stands
	for page := 2; page <= len(raw)/size; page++ {
		data := raw[(page-1)*size : page*size]
		cells, content := int(binary.BigEndian.Uint16(data[3:])), int(binary.BigEndian.Uint16(data[5:]))
		if data[0] == 10 && cells > 0 && strings.Trim(string(data[8+2*cells:content]), "\x00") == "" {
			broken = page
		}
	}
	if broken == 0 {
		t.Fatal("no page to break")
	}
	raw[(broken-1)*size+7] ^= 0x55 // how many bytes its fragments have
	w.must(os.WriteFile(path, raw, 0o600))

	w.db = townsStore(t, path, sqlite.Options{SweepEvery: -1})
	before := w.left(path)
	err = w.db.Erase(t.Context())
	if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), fmt.Sprintf("page %d:", broken)) {
		t.Errorf("page %d is broken: %v", broken, err)
	}
	if left := w.left(path); left > 0 {
		t.Errorf("%d of %d words are still in pages that are sound", left, before)
	}
	now, err := os.ReadFile(path)
	w.must(err)
	if from := (broken - 1) * size; string(now[from:from+size]) != string(raw[from:from+size]) {
		t.Error("the page that is not sound was written")
	}
}

// In a file whose pages move by themselves it cannot be told which of them hold rests.
func TestErasingRefusesAFileWhosePagesMove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "handoff.db")
	w := newTown(t, townsStore(t, path, sqlite.Options{SweepEvery: -1}), 61, "unmistakable")
	w.year()
	w.must(w.db.Close())
	raw, err := sql.Open("sqlite", path)
	w.must(err)
	raw.SetMaxOpenConns(1)
	for _, s := range []string{"PRAGMA auto_vacuum = FULL", "PRAGMA journal_mode = DELETE", "VACUUM"} {
		_, err := raw.ExecContext(t.Context(), s)
		w.must(err)
	}
	w.must(raw.Close())
	w.db = townsStore(t, path, sqlite.Options{SweepEvery: -1})
	if err := w.db.Erase(t.Context()); err == nil || !strings.Contains(err.Error(), "auto_vacuum") {
		t.Errorf("it says nothing of it: %v", err)
	}
	w.sound()
}

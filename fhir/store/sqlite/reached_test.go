package sqlite_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/sqlite"
	"github.com/handoff-health/handoff/fhir/store/transfer"
)

func opened(t *testing.T, path string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// What a copy would not list, because what leads to it is gone or is damaged, has it
// refused.
func TestCopyMissesNothing(t *testing.T) {
	for name, x := range map[string]struct{ damage, want string }{
		"a head is gone":         {`DELETE FROM head WHERE id = 'p1'`, "version 1 of row 2 has no head; 'handoff store check'"},
		"a head is behind":       {`UPDATE head SET version = 0 WHERE id = 'p1'`, "version 1 of row 2 is beyond its head, which stands at 0; 'handoff store check'"},
		"a stream is gone":       {`DELETE FROM stream WHERE sid = 1`, "entries of the log in row 1 have no stream; 'handoff store check'"},
		"a fact seems expired":   {`UPDATE fact SET expires = 1 WHERE expires = 0`, `the checksum of fact "k"`},
		"a fact's key is text":   {`UPDATE fact SET key = CAST(key AS TEXT)`, `the key of fact "k" is text`},
		"a version is no number": {`UPDATE head SET version = 'abc'`, `a row of head has a value of another kind in its column "version"`},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, path := t.Context(), filepath.Join(t.TempDir(), "from.db")
			from := opened(t, path)
			for n := range 2 {
				if _, err := from.Write(ctx, patient(fmt.Sprintf("p%d", n), n, "family|smith")); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := from.PutIfAbsent(ctx, "k", []byte("v"), time.Time{}); err != nil {
				t.Fatal(err)
			}
			if _, err := from.Append(ctx, "s", []byte("x")); err != nil {
				t.Fatal(err)
			}
			execute(t, path, x.damage)
			to := opened(t, filepath.Join(t.TempDir(), "to.db"))
			a, b := transfer.Side{Store: from, Name: "from"}, transfer.Side{Store: to, Name: "to"}
			if _, err := transfer.Run(ctx, a, b, transfer.Options{}); !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), x.want) {
				t.Errorf("copied: %v", err)
			}
			if _, err := transfer.Verify(ctx, a, b, transfer.Options{}); !errors.Is(err, store.ErrDamaged) {
				t.Errorf("verified: %v", err)
			}
			if name != "a fact seems expired" {
				return
			}
			if n, err := from.Sweep(ctx); n != 0 || err != nil {
				t.Errorf("swept %d: %v", n, err)
			}
			if _, err := from.Get(ctx, "k"); !errors.Is(err, store.ErrDamaged) {
				t.Errorf("Get: %v", err)
			}
		})
	}
}

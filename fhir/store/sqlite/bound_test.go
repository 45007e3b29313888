package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// A statement that would never end is interrupted in the middle, and its reader serves
// the next one.
func TestASearchIsInterruptedInTheMiddle(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "handoff.db"), Options{Readers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() // only read
	endless := func(ctx context.Context) error {
		return db.snapshot(ctx, func(s *session) error {
			_, err := s.one(ctx, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c", nil, new(int))
			return err
		})
	}
	db.SetSearchFor(50 * time.Millisecond)
	for range 2 {
		if err := db.bounded(t.Context(), endless); !errors.Is(err, store.ErrAway) || !strings.Contains(err.Error(), "search: given up after 50ms") {
			t.Errorf("%v", err)
		}
	}
	db.SetSearchFor(time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := db.bounded(ctx, endless); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrAway) {
		t.Errorf("the caller's own end: %v", err)
	}
	if _, err := db.Search(t.Context(), store.Plan{Type: "Patient", Where: store.Expr{Op: store.All}, Limit: 1}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

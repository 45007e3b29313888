package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// searchFor is how long a search may take in all, as on the other store. Callers write
// them: a few that cost more than any should would keep all readers from the others.
const searchFor = 15 * time.Second

// bounded ends f when a search has taken as long as it may: SQLite is interrupted in the
// middle of its statement. The end of the caller's own context stays what it is.
func (db *DB) bounded(ctx context.Context, f func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, db.searching)
	defer cancel()
	err := f(within)
	if err != nil && within.Err() != nil && ctx.Err() == nil {
		return &longSearch{db.path, db.searching}
	}
	return err
}

// A longSearch is of a search that took too long. To a caller it is a store that cannot
// answer now.
type longSearch struct {
	path  string
	limit time.Duration
}

func (e *longSearch) Error() string {
	return fmt.Sprintf("%s: search: given up after %v: it reads or sorts too much", e.path, e.limit)
}

// Is makes errors.Is(err, store.ErrAway) true.
func (e *longSearch) Is(target error) bool { return target == store.ErrAway }

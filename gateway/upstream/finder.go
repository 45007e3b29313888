package upstream

import (
	"context"
	"fmt"
	"net/url"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
)

// A Searcher is the part of store.Store that a StoreFinder needs.
type Searcher interface {
	Search(ctx context.Context, p store.Plan) (store.Page, error)
}

// StoreFinder is a Finder over a store by fhir/search.
type StoreFinder struct{ Store Searcher }

const findStretch = 200

// Find implements [Finder]. What the plan finds is matched again: an index
// entry may stand for more than a value.
func (f StoreFinder) Find(ctx context.Context, typ string, params url.Values, yield func(*store.Record) bool) error {
	q, err := search.Parse(typ, search.FromValues(params), search.Options{})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrQuery, err)
	}
	plan := q.Plan()
	plan.Limit = findStretch
	for {
		page, err := f.Store.Search(ctx, plan)
		if err != nil {
			return err
		}
		for _, rec := range page.Records {
			r, err := resource.Parse(rec.Raw)
			if err == nil && !q.Match(r) {
				continue
			}
			if !yield(rec) { // one that cannot be read is the caller's to report
				return nil
			}
		}
		if plan.After = page.Next; page.Next == "" {
			return ctx.Err()
		}
	}
}

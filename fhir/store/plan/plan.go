package plan

import (
	"fmt"
	"slices"

	"github.com/handoff-health/handoff/fhir/store"
)

// Bounds of a plan, below those of every store's query language: what one store cannot
// be asked all of them refuse.
const (
	MaxDepth    = 80    // levels of an Expr: each takes MongoDB two of the 200 of a document
	MaxTerms    = 10000 // Exprs in all: each takes SQLite up to three of the 32,766 variables of a statement
	MaxTogether = 500   // conditions that hold together: of a thousand SQLite says that it is too much
	MaxLimit    = 10000 // records a page
)

// Check refuses what cannot be searched for, with [store.ErrInvalid]. The condition
// is checked by [Normalize].
func Check(p store.Plan) error {
	switch {
	case p.Type == "":
		return invalid("a plan without a type")
	case len(p.Sort) > store.MaxSort:
		return invalid("a plan with %d sort keys; at most %d are possible", len(p.Sort), store.MaxSort)
	case slices.ContainsFunc(p.Sort, func(k store.SortKey) bool { return k.Param == "" }):
		return invalid("a sort key without a parameter")
	case p.Limit < 1 || p.Limit > MaxLimit:
		return invalid("limit %d; it is from 1 to %d", p.Limit, MaxLimit)
	}
	return nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", store.ErrInvalid, fmt.Sprintf(format, args...))
}

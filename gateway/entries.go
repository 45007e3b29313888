package gateway

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
)

// ownEntries starts the parameters of index entries that no content says: see filing.
const ownEntries = "gateway-"

// Entries gives the index that a stored record should have: what its content says,
// and those of its entries that are the gateway's own. It is how a store is checked.
// The error says that the content cannot be read.
func Entries(rec *store.Record) ([]string, error) {
	r, err := resource.Parse(rec.Raw)
	if err != nil {
		return nil, err
	}
	own := slices.DeleteFunc(slices.Clone(rec.Index), func(e string) bool { return !strings.HasPrefix(e, ownEntries) })
	return append(search.Index(r), own...), nil
}

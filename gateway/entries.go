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

// Claims gives the claims that a stored record must hold, as far as it tells of itself:
// those of the gateway's records of emergencies. What a conditional create or a capture
// claims is of its caller's condition and scopes, and stands nowhere else.
func Claims(rec *store.Record) []string {
	if rec.Origin.System != emergencyRecords {
		return nil
	}
	var out []string
	for _, e := range rec.Index {
		if key, ok := strings.CutPrefix(e, indexRecord+"|"); ok {
			out = append(out, recordClaim(key))
		}
	}
	return out
}

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

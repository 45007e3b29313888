package search

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// A SortValue is what a resource is ordered by.
type SortValue struct {
	Value   string
	Missing bool   // the form has no value: it comes last
	ID      string // "Type/id"; settles ties
}

// SortKey returns what orders r, in the form given: as the store's SortKey
// does it, the smallest entry ascending and the largest descending. Without
// _sort it is meta.lastUpdated.
func (q *Query) SortKey(r *resource.Resource) SortValue {
	out := SortValue{ID: r.ID(), Missing: true}
	name, descending := store.ParamLastUpdated, true
	var p *Parameter
	if len(q.sort) > 0 {
		p, descending = q.sort[0].param, q.sort[0].descending
		name = p.Name
	}
	var entries []string
	switch name {
	case store.ParamID:
		entries = []string{name + "|" + r.ID()}
	case store.ParamLastUpdated:
		if at, ok := readTime(r.Root().Path("meta", "lastUpdated").Text()); ok {
			entries = []string{name + "|" + resource.FormatInstant(at.from)}
		}
	default:
		entries = p.entries(r, name, nil)
	}
	for _, e := range entries {
		value, ok := strings.CutPrefix(e, name+"|")
		if !ok { // an end or an identifier
			continue
		}
		if out.Missing || (descending && value > out.Value) || (!descending && value < out.Value) {
			out.Value, out.Missing = value, false
		}
	}
	return out
}

// Compare orders two resources as the query asks: negative if a comes first.
func (q *Query) Compare(a, b SortValue) int {
	descending := len(q.sort) == 0 || q.sort[0].descending
	switch {
	case a.Missing != b.Missing:
		if a.Missing {
			return 1
		}
		return -1
	case a.Value != b.Value && !a.Missing:
		if descending {
			return strings.Compare(b.Value, a.Value)
		}
		return strings.Compare(a.Value, b.Value)
	}
	return strings.Compare(a.ID, b.ID)
}

// Sort orders resources in place by the forms given.
func (q *Query) Sort(rs []*resource.Resource) {
	keys := make(map[*resource.Resource]SortValue, len(rs))
	for _, r := range rs {
		keys[r] = q.SortKey(r)
	}
	slices.SortStableFunc(rs, func(a, b *resource.Resource) int { return q.Compare(keys[a], keys[b]) })
}

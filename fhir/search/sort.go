package search

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// A SortValue is what a resource is ordered by.
type SortValue struct {
	Value   string      // of the first key
	Missing bool        // the form has no value: it comes last
	More    []SortEntry `json:",omitempty"` // of the keys after the first
	ID      string      // "Type/id"; settles ties
}

// A SortEntry is the value of one key.
type SortEntry struct {
	Value   string
	Missing bool
}

// newestFirst is the order without _sort.
var newestFirst = []sortKey{{&Parameter{Name: store.ParamLastUpdated}, true}}

func (q *Query) keys() []sortKey {
	if len(q.sort) > 0 {
		return q.sort
	}
	return newestFirst
}

// SortKey returns what orders r, in the form given: as the store's sort keys do
// it, the smallest entry ascending and the largest descending. Without _sort it
// is meta.lastUpdated.
func (q *Query) SortKey(r *resource.Resource) SortValue {
	out := SortValue{ID: r.ID()}
	for i, k := range q.keys() {
		e := k.of(r)
		if i == 0 {
			out.Value, out.Missing = e.Value, e.Missing
			continue
		}
		out.More = append(out.More, e)
	}
	return out
}

func (k sortKey) of(r *resource.Resource) SortEntry {
	name := k.param.Name
	var entries []string
	switch name {
	case store.ParamID:
		entries = []string{name + "|" + r.ID()}
	case store.ParamLastUpdated:
		if at, ok := readTime(r.Root().Path("meta", "lastUpdated").Text()); ok {
			entries = []string{name + "|" + resource.FormatInstant(at.from)}
		}
	default:
		entries = k.param.entries(r, name, nil)
	}
	out := SortEntry{Missing: true}
	for _, e := range entries {
		value, ok := strings.CutPrefix(e, name+"|")
		if !ok { // an end or an identifier
			continue
		}
		if out.Missing || (k.descending && value > out.Value) || (!k.descending && value < out.Value) {
			out.Value, out.Missing = value, false
		}
	}
	return out
}

// Compare orders two resources as the query asks: negative if a comes first.
func (q *Query) Compare(a, b SortValue) int {
	for i, k := range q.keys() {
		if c := k.compare(a.entry(i), b.entry(i)); c != 0 {
			return c
		}
	}
	return strings.Compare(a.ID, b.ID)
}

// entry is the value of the key at i; one that is not there is missing.
func (v SortValue) entry(i int) SortEntry {
	switch {
	case i == 0:
		return SortEntry{v.Value, v.Missing}
	case i <= len(v.More):
		return v.More[i-1]
	}
	return SortEntry{Missing: true}
}

func (k sortKey) compare(a, b SortEntry) int {
	switch {
	case a.Missing && b.Missing:
		return 0
	case a.Missing:
		return 1
	case b.Missing:
		return -1
	case k.descending:
		return strings.Compare(b.Value, a.Value)
	}
	return strings.Compare(a.Value, b.Value)
}

// Sort orders resources in place by the forms given.
func (q *Query) Sort(rs []*resource.Resource) {
	keys := make(map[*resource.Resource]SortValue, len(rs))
	for _, r := range rs {
		keys[r] = q.SortKey(r)
	}
	slices.SortStableFunc(rs, func(a, b *resource.Resource) int { return q.Compare(keys[a], keys[b]) })
}

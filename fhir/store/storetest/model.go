package storetest

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// A Model is the reference for searches: live resources with their entries, searched
// by looking at every one. It shares no code with a store.
type Model struct {
	live map[store.Key]*modelled
}

type modelled struct {
	id     string
	values map[string][]string // sorted, by parameter
}

// NewModel gives an empty one.
func NewModel() *Model { return &Model{live: map[store.Key]*modelled{}} }

// Put takes note of a resource's newest version.
func (m *Model) Put(rec *store.Record) {
	if rec.Deleted {
		delete(m.live, rec.Key)
		return
	}
	r := &modelled{id: rec.ID, values: map[string][]string{}}
	for _, entry := range rec.Index {
		param, value, _ := strings.Cut(entry, "|")
		r.values[param] = append(r.values[param], value)
	}
	for _, vs := range r.values {
		slices.Sort(vs)
	}
	r.values[store.ParamID] = []string{rec.ID}
	r.values[store.ParamLastUpdated] = []string{resource.FormatInstant(rec.LastUpdated)}
	m.live[rec.Key] = r
}

// Has says whether a resource is there.
func (m *Model) Has(k store.Key) bool { return m.live[k] != nil }

// A Place is where a page ended: a resource as it was then, whatever has become of it.
// The zero value is the start.
type Place struct{ at *modelled }

// Place gives the place of a resource as it is now.
func (m *Model) Place(k store.Key) Place { return Place{m.live[k]} }

// Search returns the ids of all that satisfies a plan, in its order.
func (m *Model) Search(p store.Plan) []string { return m.SearchFrom(p, Place{}) }

// SearchFrom returns the ids of all that satisfies a plan and comes after a place.
func (m *Model) SearchFrom(p store.Plan, from Place) []string {
	keys := p.Sort
	if len(keys) == 0 {
		keys = []store.SortKey{{Param: store.ParamLastUpdated, Descending: true}}
	}
	order := func(a, b *modelled) int {
		for _, key := range keys {
			if c := compare(a, b, key); c != 0 {
				return c
			}
		}
		return strings.Compare(a.id, b.id)
	}
	var found []*modelled
	for k, r := range m.live {
		if k.Type == p.Type && r.matches(p.Where) && (from.at == nil || order(from.at, r) < 0) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, order)
	var ids []string
	for _, r := range found {
		ids = append(ids, r.id)
	}
	return ids
}

func (r *modelled) matches(x store.Expr) bool {
	some := func(ok func(string) bool) bool { return slices.ContainsFunc(r.values[x.Param], ok) }
	switch x.Op {
	case store.All:
		return true
	case store.And:
		return !slices.ContainsFunc(x.Args, func(a store.Expr) bool { return !r.matches(a) })
	case store.Or:
		return slices.ContainsFunc(x.Args, r.matches)
	case store.Not:
		return !r.matches(x.Args[0])
	case store.Equal:
		return some(func(v string) bool { return v == x.Value })
	case store.Prefix:
		return some(func(v string) bool { return len(v) >= len(x.Value) && v[:len(x.Value)] == x.Value })
	case store.Range:
		return some(func(v string) bool { return v >= x.Low && (x.High == "" || v < x.High) })
	case store.Exists:
		return len(r.values[x.Param]) > 0
	case store.Never:
	}
	return false
}

// compare orders two resources by one key.
func compare(a, b *modelled, key store.SortKey) int {
	va, vb := a.values[key.Param], b.values[key.Param]
	switch {
	case len(va) == 0 && len(vb) == 0:
		return 0
	case len(va) == 0:
		return 1
	case len(vb) == 0:
		return -1
	case key.Descending:
		return strings.Compare(vb[len(vb)-1], va[len(va)-1])
	}
	return strings.Compare(va[0], vb[0])
}

package search

import (
	"slices"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// rendered are parameters whose elements the gateway sets on output: what is
// stored says nothing about them, so they have no entries and plans leave them
// to Match.
var rendered = []string{"_security", "_source", "_tag"}

// Index returns the entries "param|value" under which a store finds r: sorted,
// each once. _id and _lastUpdated are the store's own.
//
// The forms: token "code|system"; string folded; date its start and, under
// "param:end", its end; reference "id/Type" or a URL, and its identifier under
// "param:identifier"; number and quantity order-preserving hex with an ":end".
func Index(r *resource.Resource) []string {
	t := table()
	var out []string
	for _, params := range []map[string]*Parameter{t["Resource"], t[r.Type()]} {
		for name, p := range params {
			if p.Kind == NotSupported || name == store.ParamID || name == store.ParamLastUpdated || slices.Contains(rendered, name) {
				continue
			}
			out = p.entries(r, name, out)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// entries appends p's entries under name.
func (p *Parameter) entries(r *resource.Resource, name string, out []string) []string {
	add := func(v string) { out = append(out, name+"|"+bound(v)) }
	addEnd := func(v string) { out = append(out, name+endSuffix+"|"+bound(v)) }
	p.values(r.Root(), func(n resource.Node, at *path) bool {
		switch p.Kind {
		case Token:
			token{}.entries(n, at, add)
		case String:
			textEntries(n, add)
		case Date:
			dateEntries(n, add, addEnd)
		case Reference:
			referenceEntries(n, add)
			if id := n.Get("identifier"); id.Exists() {
				token{}.entries(id, &path{}, func(v string) { out = append(out, name+identifierSuffix+"|"+bound(v)) })
			}
		case URI:
			if s := n.Text(); s != "" {
				add(s)
			}
		case Number, Quantity:
			numberEntries(n, add, addEnd)
		}
		return false
	})
	return out
}

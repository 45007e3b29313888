package answers

import (
	"fmt"
	"slices"
	"testing"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/storetest"
)

// A walk is a search whose pages are read while its type is written: what was on a
// page is changed, deleted or expunged before the next one is asked for, and so is what
// would have been on it.

// Every page of a walk is what comes after the end of the page before, as that was,
// of what is there now. Nothing that nobody has written is missed or comes twice.
func TestPagesAreTheSameAcrossWrites(t *testing.T) {
	n, records, w := *plans/60, corpus(t), newWorld(t)
	g := newGenerator(*seed+1, records)
	w.fill(t, g, records)
	pages, most := 0, 0
	for range n {
		p := g.plan()
		p.Limit = 1 + len(w.model.Search(p))/(3+g.IntN(5))
		got, err := w.walk(t, g, p)
		if err != nil {
			t.Fatalf("%+v: %v", p, err)
		}
		pages, most = pages+got, max(most, got)
	}
	t.Logf("%d walks over %d pages, %d at most", n, pages, most)
	if pages < n || most < 4 {
		t.Error("hardly a walk has a second page: that proves little")
	}
}

func (w *world) walk(t *testing.T, g *generator, p store.Plan) (pages int, err error) {
	t.Helper()
	var (
		place   storetest.Place
		before  = w.model.Search(p)
		seen    = map[string]int{}
		written = map[string]bool{}
	)
	for {
		want := w.model.SearchFrom(p, place)
		for _, name := range w.names() {
			total, err := w.stores[name].Count(t.Context(), p)
			if err != nil {
				return 0, fmt.Errorf("page %d: %s: %w", pages+1, name, err)
			}
			if want := len(w.model.Search(p)); total != want {
				return 0, fmt.Errorf("page %d: %s: total %d, want %d", pages+1, name, total, want)
			}
		}
		page := want[:min(len(want), p.Limit)]
		next, err := w.samePage(t, p, page, len(want) > p.Limit)
		if err != nil {
			return 0, fmt.Errorf("page %d: %w", pages+1, err)
		}
		pages++
		for _, id := range page {
			seen[id]++
		}
		if next == "" {
			break
		}
		p.After, place = next, w.model.Place(store.Key{Type: p.Type, ID: page[len(page)-1]})
		for _, id := range w.disturb(t, g, p.Type, page, want[len(page):]) {
			written[id] = true
		}
	}
	for _, id := range before {
		if !written[id] && seen[id] != 1 {
			return 0, fmt.Errorf("%s was not written and came %d times", id, seen[id])
		}
	}
	return pages, nil
}

// disturb writes what is around the end of a page and elsewhere in the type. It returns
// which ids of the type it has touched.
func (w *world) disturb(t *testing.T, g *generator, typ string, page, rest []string) (ids []string) {
	t.Helper()
	if g.IntN(3) == 0 {
		k := store.Key{Type: typ, ID: page[len(page)-1]}
		if g.IntN(2) == 0 {
			k.ID = rest[0]
		}
		w.expunge(t, k)
		ids = append(ids, k.ID)
	}
	var ws []store.Write
	for _, x := range g.changeOf(typ) {
		if g.IntN(2) == 0 {
			x.ID = slices.Concat(page, rest)[g.IntN(len(page)+len(rest))]
		}
		known := func(y store.Write) bool { return y.Key == x.Key }
		if x.Deleted && !w.model.Has(x.Key) || slices.ContainsFunc(ws, known) {
			continue // what never was, or is expunged, cannot be deleted
		}
		ws, ids = append(ws, x), append(ids, x.ID)
	}
	if len(ws) > 0 {
		w.write(t, g, ws)
	}
	return ids
}

package storetest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// A generator makes resources and plans over a small set of parameters and
// values, so that conditions meet.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) *generator {
	return &generator{rand.New(rand.NewPCG(seed, 1))} //nolint:gosec // test data
}

var generatedValues = map[string][]string{
	"family":    {"smith", "smithers", "jones", "jo", "é", "\xff", ""},
	"birthdate": {"1980-01-01", "1980-02-03", "1999-12-31", "2001-05-05"},
	"gender":    {"m", "f"},
	"rare":      {"a", "b", "c", "d", "e", "f"},
}

var generatedParams = []string{"family", "birthdate", "gender", "rare", "absent"}

func (g *generator) pick(of []string) string { return of[g.IntN(len(of))] }

func (g *generator) value(param string) string {
	switch param {
	case store.ParamID:
		return fmt.Sprintf("p%03d", g.IntN(220))
	case store.ParamLastUpdated:
		at := time.Date(2026, 3, 1, 8, 0, g.IntN(400), 0, time.UTC)
		return resource.FormatInstant(at)
	case "absent":
		return "x"
	}
	return g.pick(generatedValues[param])
}

// change writes or deletes one resource, in the store and in the model.
func (g *generator) change(t *testing.T, e *env, m *Model, n int) {
	t.Helper()
	id := g.value(store.ParamID)
	if g.IntN(4) > 0 {
		e.clock.advance(time.Second) // else two have the same LastUpdated
	}
	if m.Has(patient(id)) && g.IntN(5) == 0 {
		m.Put(e.write(t, deletion(patient(id), store.AnyVersion)))
		return
	}
	var index []string
	for _, param := range generatedParams[:4] {
		for range g.IntN(4) {
			if param != "rare" || g.IntN(10) == 0 {
				index = append(index, param+"|"+g.value(param))
			}
		}
	}
	rec := e.write(t, put(patient(id), store.AnyVersion, n, index...))
	rec.Index = index
	m.Put(rec)
}

func (g *generator) expr(depth int) store.Expr {
	param := g.pick(append(generatedParams, store.ParamID, store.ParamLastUpdated))
	if depth > 0 && g.IntN(2) == 0 {
		x := store.Expr{Op: []store.Op{store.And, store.Or, store.And, store.Or, store.Not}[g.IntN(5)]}
		n := 1
		if x.Op != store.Not {
			n = g.IntN(4)
		}
		for range n {
			x.Args = append(x.Args, g.expr(depth-1))
		}
		return x
	}
	switch g.IntN(12) {
	case 0:
		return store.Expr{Op: store.All}
	case 1:
		return store.Expr{}
	case 2:
		return store.Expr{Op: store.Exists, Param: param}
	case 3, 4, 5:
		x := within(param, g.value(param), g.value(param))
		if g.IntN(3) == 0 {
			x.Low = ""
		}
		if g.IntN(3) == 0 {
			x.High = ""
		}
		return x
	case 6, 7:
		v := g.value(param)
		return store.Expr{Op: store.Prefix, Param: param, Value: v[:g.IntN(len(v)+1)]}
	}
	return equal(param, g.value(param))
}

func (g *generator) plan() store.Plan {
	p := store.Plan{Type: "Patient", Where: g.expr(3), Limit: 1 + g.IntN(30)}
	for range max(0, g.IntN(store.MaxSort+2)-1) {
		p.Sort = append(p.Sort, store.SortKey{
			Param:      g.pick(append(generatedParams, store.ParamID, store.ParamLastUpdated)),
			Descending: g.IntN(2) == 0,
		})
	}
	return p
}

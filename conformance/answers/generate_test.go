package answers

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// A generator makes plans of what the corpus holds: its types, parameters and values.
type generator struct {
	*rand.Rand
	records []store.Record
	types   []string                       // one a record, so that large types are searched most
	params  map[string][]string            // by type
	values  map[string]map[string][]string // by type and parameter
	times   []string                       // of writes
	gone    map[string][]string            // ids that were deleted once, by type
}

func newGenerator(seed uint64, records []store.Record) *generator {
	g := &generator{
		Rand: rand.New(rand.NewPCG(seed, 6)), records: records, //nolint:gosec // test data
		params: map[string][]string{}, values: map[string]map[string][]string{}, gone: map[string][]string{},
	}
	for _, rec := range records {
		g.types = append(g.types, rec.Type)
		of := g.values[rec.Type]
		if of == nil {
			of = map[string][]string{}
			g.values[rec.Type] = of
		}
		for _, e := range rec.Index {
			param, value, _ := strings.Cut(e, "|")
			if of[param] == nil {
				g.params[rec.Type] = append(g.params[rec.Type], param)
			}
			of[param] = append(of[param], value)
		}
	}
	return g
}

func (g *generator) pick(of []string) string { return of[g.IntN(len(of))] }

// param is one that the type has entries of, a reserved one, or now and then one of
// another type, or nobody's.
func (g *generator) param(typ string) string {
	switch n := g.IntN(16); {
	case n == 0:
		if of := g.params[g.pick(g.types)]; len(of) > 0 {
			return g.pick(of)
		}
		return "nobodys"
	case n < 4 || len(g.params[typ]) == 0:
		return []string{store.ParamID, store.ParamLastUpdated}[n%2]
	}
	return g.pick(g.params[typ])
}

func (g *generator) value(typ, param string) string {
	switch param {
	case store.ParamID:
		if gone := g.gone[typ]; len(gone) > 0 && g.IntN(2) == 0 {
			return g.pick(gone)
		}
		return g.records[g.IntN(len(g.records))].ID
	case store.ParamLastUpdated:
		return g.instant()
	}
	if len(g.values[typ][param]) == 0 {
		return g.pick(g.times)
	}
	v := g.pick(g.values[typ][param])
	switch g.IntN(12) {
	case 0: // one that none has
		return v + "x"
	case 1:
		return v[:g.IntN(len(v)+1)] + string([]byte{0xff, 0, 0xc3}[g.IntN(3)])
	}
	return v
}

// instant is when something was written, a little before or after it, or one that is
// written in another way and so is none.
func (g *generator) instant() string {
	at := g.pick(g.times)
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		panic(err)
	}
	switch g.IntN(8) {
	case 0:
		return resource.FormatInstant(t.Add(time.Duration(g.IntN(3)-1) * time.Millisecond))
	case 1:
		return resource.FormatInstant(t.Add(time.Duration(g.IntN(7)-3) * time.Hour * 1000))
	case 2:
		return t.Format([]string{"2006", "2006-01-02", time.RFC3339, "2006-01-02T15:04:05.000+00:00", "0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"}[g.IntN(6)])
	}
	return at
}

// plan makes one whose Limit says in how many pages it is to be read.
func (g *generator) plan() store.Plan { return g.planOf(g.pick(g.types)) }

// planOf is plan of one type.
func (g *generator) planOf(typ string) store.Plan {
	p := store.Plan{Type: typ, Where: g.expr(typ, []int{2, 2, 2, 4}[g.IntN(4)]), Limit: 1 + g.IntN(3)}
	for range max(0, g.IntN(store.MaxSort+2)-1) {
		p.Sort = append(p.Sort, store.SortKey{Param: g.param(typ), Descending: g.IntN(2) == 0})
	}
	return p
}

// many is how many arguments an expression has, now and then none.
func (g *generator) many() int { return []int{1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 0}[g.IntN(12)] }

func (g *generator) expr(typ string, depth int) store.Expr {
	if depth > 0 && g.IntN(2) == 0 {
		x := store.Expr{Op: []store.Op{store.And, store.And, store.Or, store.Not}[g.IntN(4)]}
		n := g.many()
		if x.Op == store.Not {
			n = 1
		}
		for range n {
			x.Args = append(x.Args, g.expr(typ, depth-1))
		}
		if n > 1 && g.IntN(12) == 0 { // the same once more, or its contrary
			x.Args[1] = x.Args[0]
			if g.IntN(2) == 0 {
				x.Args[1] = not(x.Args[0])
			}
		}
		return x
	}
	param := g.param(typ)
	switch g.IntN(11) {
	case 0:
		return store.Expr{Op: []store.Op{store.All, store.All, store.All, store.Never}[g.IntN(4)]}
	case 10: // both bounds by conditions of their own: of one parameter, by values that may differ
		return and(within(param, g.value(typ, param), ""), within(param, "", g.value(typ, param)))
	case 1:
		return store.Expr{Op: store.Exists, Param: param}
	case 2, 3:
		low, high := g.value(typ, param), g.value(typ, param)
		if low > high && g.IntN(10) > 0 {
			low, high = high, low
		}
		return store.Expr{Op: store.Range, Param: param, Low: low, High: []string{high, high, ""}[g.IntN(3)]}
	case 4, 5:
		v := g.value(typ, param)
		return store.Expr{Op: store.Prefix, Param: param, Value: v[:g.IntN(len(v)+1)]}
	case 6: // several values of one parameter
		x := store.Expr{Op: store.Or}
		for range 2 + g.IntN(6) {
			x.Args = append(x.Args, store.Expr{Op: store.Equal, Param: param, Value: g.value(typ, param)})
		}
		return x
	}
	return store.Expr{Op: store.Equal, Param: param, Value: g.value(typ, param)}
}

// change is a unit of work on what is there: updates with the content of another
// resource of the type, deletions, and what was deleted coming back.
func (g *generator) change() []store.Write { return g.changeOf("") }

// changeOf is change of resources of a type, "" of any.
func (g *generator) changeOf(typ string) []store.Write {
	var out []store.Write
	for range 1 + g.IntN(4) {
		rec := g.record(typ)
		if slices.ContainsFunc(out, func(w store.Write) bool { return w.Key == rec.Key }) {
			continue
		}
		w := store.Write{Record: store.Record{Key: rec.Key}, Expect: store.AnyVersion}
		if g.IntN(4) == 0 {
			w.Deleted = true
		} else {
			like := g.record(rec.Type)
			w.Raw, w.Index = like.Raw, like.Index
		}
		out = append(out, w)
	}
	return out
}

// record is one of a type, "" of any.
func (g *generator) record(typ string) store.Record {
	for {
		if rec := g.records[g.IntN(len(g.records))]; typ == "" || rec.Type == typ {
			return rec
		}
	}
}

func (g *generator) wrote(rec *store.Record) {
	g.times = append(g.times, resource.FormatInstant(rec.LastUpdated))
	if rec.Deleted {
		g.gone[rec.Type] = append(g.gone[rec.Type], rec.ID)
	}
}

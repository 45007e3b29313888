package mongo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// oneOfEach are conditions that hold together, of so many stretches each, that differ.
func oneOfEach(conditions, stretches int) store.Expr {
	all := store.Expr{Op: store.And}
	for k := range conditions {
		any := store.Expr{Op: store.Or}
		for i := range stretches {
			any.Args = append(any.Args, store.Expr{Op: store.Prefix, Param: "f", Value: fmt.Sprintf("%02d", (i+k*7)%100)})
		}
		all.Args = append(all.Args, any)
	}
	return all
}

// However much a search asks for, a server finds little of it by its index; the rest is
// judged of what that finds.
func TestASearchOfVeryMuchIsDrivenByLittle(t *testing.T) {
	for _, x := range []struct {
		conditions, stretches int
		byIndex               int
	}{{3, 2, 3}, {8, 8, 8}, {64, 16, 4}, {64, 1, 8}, {4, 256, 1}, {500, 18, 3}} {
		p := store.Plan{Type: "Patient", Where: oneOfEach(x.conditions, x.stretches), Limit: 20}
		c, err := newCondition(p)
		if err != nil {
			t.Fatal(err)
		}
		arms, ok := c.driving(c.root)[0].Value.(bson.A)
		if !ok || len(arms) != x.conditions {
			t.Fatalf("%+v: %v", x, c.driving(c.root))
		}
		byIndex := 0
		for _, a := range arms {
			if text := fmt.Sprint(a); !strings.Contains(text, `"-1"`) {
				byIndex++
			}
		}
		if byIndex != x.byIndex {
			t.Errorf("%+v: %d conditions by index", x, byIndex)
		}
	}
}

// What is judged by the server and what by the gateway's memory is the same, however it
// is found.
func TestSearchesOfVeryMuchFindTheSame(t *testing.T) {
	w := newWorld(t)
	var hs []*headDoc
	rng := rand.New(rand.NewPCG(3, 5)) //nolint:gosec // test data
	for i := range 300 {
		h := headOf(store.Key{Type: "Patient", ID: fmt.Sprintf("p%04d", i)}, worldStart.Add(time.Duration(i)*time.Minute))
		for range 12 {
			h.Index = append(h.Index, entryOf("Patient", fmt.Sprintf("f|%02d", rng.IntN(100))))
		}
		slices.Sort(h.Index)
		h.Index = slices.Compact(h.Index)
		hs = append(hs, h)
	}
	if _, err := w.db.coll(heads).InsertMany(t.Context(), hs); err != nil {
		t.Fatal(err)
	}
	for _, x := range [][2]int{{12, 20}, {4, 12}, {20, 25}} {
		p := store.Plan{Type: "Patient", Where: oneOfEach(x[0], x[1]), Limit: 400, Sort: []store.SortKey{{Param: store.ParamID}}}
		s, err := w.db.searcher(p)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, h := range hs {
			if s.live(h.ID, &h.State) {
				want = append(want, h.ID)
			}
		}
		if len(want) == 0 || len(want) == len(hs) {
			t.Fatalf("%v: %d of %d are found: nothing is shown", x, len(want), len(hs))
		}
		for name, way := range s.ways() {
			rows, err := way(context.Background(), nil, 401)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, idsOf(rows)); diff != "" {
				t.Errorf("%v, %s (-want +got):\n%s", x, name, diff)
			}
		}
	}
}

// A search that lasts too long ends, and the server is told beforehand how long it may
// take: it goes on by itself otherwise.
func TestASearchHasAnEnd(t *testing.T) {
	db, take := listened(t)
	p := store.Plan{Type: "Patient", Where: store.Expr{Op: store.Equal, Param: "f", Value: "a"}, Limit: 5}
	for _, sort := range [][]store.SortKey{nil, {{Param: store.ParamID}}, {{Param: "f"}}} {
		p.Sort = sort
		take()
		if _, err := db.Search(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		asked := false
		for _, command := range take() {
			of, _ := command.Index(0).Value().StringValueOK()
			if of != heads.name {
				continue
			}
			asked = true
			if ms, ok := command.Lookup("maxTimeMS").AsInt64OK(); !ok || ms <= 0 || ms > searchFor.Milliseconds() {
				t.Errorf("sorted by %v: the server may take %d ms", sort, ms)
			}
		}
		if !asked {
			t.Errorf("sorted by %v: no query was seen", sort)
		}
	}
	db.searching = time.Nanosecond
	began := time.Now()
	if _, err := db.Search(t.Context(), p); err == nil || time.Since(began) > searchFor {
		t.Errorf("a search without any time: %v after %v", err, time.Since(began))
	}
}

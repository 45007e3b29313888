package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

var unitTests = []test{
	{"a unit is done as a whole or not at all", rollback},
	{"an empty unit does nothing", emptyUnit},
	{"a resource stands once in a unit", twiceInUnit},
	{"claims pass from one write of a unit to another", passClaims},
	{"no reader sees half of a unit", halfUnits},
	{"a unit is not kept from its end by writers of its members", overtakenUnit},
}

func rollback(t *testing.T, e *env) {
	a, b, c := patient("a"), patient("b"), patient("c")
	first := put(a, store.Absent, 1, "n|1")
	first.Claims = []string{"mine"}
	e.write(t, first)
	taken := put(c, store.Absent, 1, "n|9", "fresh|1")
	taken.Claims = []string{"new", "mine"}
	for name, last := range map[string]store.Write{
		"conflict": put(c, 7, 1, "n|9", "fresh|1"),
		"claim":    taken,
	} {
		_, err := e.Store.Apply(e.ctx, []store.Write{put(b, store.Absent, 1, "n|2", "other|1"), withClaims(put(a, 1, 2, "n|3"), "mine", "second"), last})
		var we *store.WriteError
		if !errors.As(err, &we) || we.Index != 2 || we.Key != c {
			t.Fatalf("%s: got %v, want an error of write 2", name, err)
		}
		if _, err := e.Store.Read(e.ctx, b); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: a write before the failed one stands: %v", name, err)
		}
		if rec := e.read(t, a); rec.Version != 1 || rec.Index[0] != "n|1" {
			t.Errorf("%s: the update before the failed one stands: %+v", name, rec)
		}
		for _, value := range []string{"2", "3", "9"} {
			if n, err := e.Store.Count(e.ctx, store.Plan{Type: "Patient", Where: equal("n", value)}); n != 0 || err != nil {
				t.Errorf("%s: entry %s is there: %d, %v", name, value, n, err)
			}
		}
	}
	// What the undone units would have made can be made, and is found.
	free := withClaims(put(b, store.Absent, 1, "other|1", "fresh|1"), "second", "new")
	e.write(t, free)
	for _, param := range []string{"other", "fresh"} {
		if n, err := e.Store.Count(e.ctx, store.Plan{Type: "Patient", Where: equal(param, "1")}); n != 1 || err != nil {
			t.Errorf("%s after a rollback: %d, %v", param, n, err)
		}
	}
}

func withClaims(w store.Write, claims ...string) store.Write { w.Claims = claims; return w }

func emptyUnit(t *testing.T, e *env) {
	if recs, err := e.Store.Apply(e.ctx, nil); err != nil || len(recs) != 0 {
		t.Errorf("got %v, %v", recs, err)
	}
}

func twiceInUnit(t *testing.T, e *env) {
	_, err := e.Store.Apply(e.ctx, []store.Write{put(patient("a"), store.Absent, 1), put(patient("a"), store.AnyVersion, 2)})
	wantError(t, err, store.ErrInvalid, "the same resource twice")
}

func passClaims(t *testing.T, e *env) {
	a, b := patient("a"), patient("b")
	e.write(t, withClaims(put(a, store.Absent, 1), "x"))
	e.write(t, withClaims(put(b, store.Absent, 1), "y"))
	recs, err := e.Store.Apply(e.ctx, []store.Write{withClaims(put(a, 1, 2), "y"), withClaims(put(b, 1, 2), "x")})
	if err != nil || len(recs) != 2 || recs[0].Key != a || recs[1].Version != 2 {
		t.Fatalf("got %v, %v", recs, err)
	}
	_, err = e.Store.Write(e.ctx, withClaims(put(patient("c"), store.Absent, 1), "x"))
	var ce *store.ClaimError
	if !errors.As(err, &ce) || ce.Holder != b {
		t.Errorf("got %v, want x held by b", err)
	}
}

// halfUnits has a writer move three resources together, and sometimes fail, and
// readers check that they always agree.
func halfUnits(t *testing.T, e *env) {
	keys := []store.Key{patient("a"), patient("b"), patient("c")}
	unit := func(n int) []store.Write {
		var ws []store.Write
		for _, k := range keys {
			ws = append(ws, put(k, store.AnyVersion, n, fmt.Sprintf("n|%d", n), "in|unit"))
		}
		return ws
	}
	if _, err := e.Store.Apply(e.ctx, unit(0)); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	var looks atomic.Int64
	until := time.Now().Add(time.Second)
	together(4, func(i int) {
		if i == 0 {
			defer stop.Store(true)
			for n := 1; n <= 6 || time.Now().Before(until); n++ {
				ws := unit(n)
				if n%3 == 0 { // one that must leave no trace
					ws = append(ws, put(patient("never"), 9, 0))
				}
				if _, err := e.Store.Apply(e.ctx, ws); (err != nil) != (n%3 == 0) {
					t.Errorf("unit %d: %v", n, err)
					return
				}
			}
			return
		}
		for !stop.Load() && !t.Failed() {
			looks.Add(1)
			lookAtUnit(t, e, keys, i)
		}
	})
	t.Logf("%d looks", looks.Load())
}

// overtakenUnit has writers change the members of units all the time, in no order, while
// units of many are written. None of what was acknowledged is lost.
func overtakenUnit(t *testing.T, e *env) {
	const members, units = 60, 3
	unit := func(n int) (ws []store.Write) {
		for i := range members {
			ws = append(ws, put(patient(fmt.Sprintf("m%02d", i)), store.AnyVersion, n, "in|unit"))
		}
		return ws
	}
	if _, err := e.Store.Apply(e.ctx, unit(0)); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	var single atomic.Int64
	begun := time.Now()
	together(5, func(w int) {
		if w == 0 {
			defer stop.Store(true)
			for n := range units {
				if _, err := e.Store.Apply(e.ctx, unit(n)); err != nil {
					t.Errorf("unit %d: %v", n, err)
				}
			}
			return
		}
		for !stop.Load() {
			if _, err := e.Store.Write(e.ctx, put(patient(fmt.Sprintf("m%02d", rand.N(members))), store.AnyVersion, 1000+w)); err != nil {
				t.Errorf("writer %d: %v", w, err)
				return
			}
			single.Add(1)
		}
	})
	t.Logf("%d units of %d in %v, among %d single writes", units, members, time.Since(begun).Round(time.Millisecond), single.Load())
	sum := int64(0)
	for i := range members {
		sum += e.read(t, patient(fmt.Sprintf("m%02d", i))).Version
	}
	if want := (1+units)*members + single.Load(); sum != want {
		t.Errorf("%d versions, want %d", sum, want)
	}
}

func lookAtUnit(t *testing.T, e *env, keys []store.Key, how int) {
	if how == 1 { // one search sees one state
		page, err := e.Store.Search(e.ctx, store.Plan{Type: "Patient", Where: equal("in", "unit"), Limit: 10})
		if err != nil || len(page.Records) != len(keys) {
			t.Errorf("search: %d records, %v", len(page.Records), err)
			return
		}
		for _, rec := range page.Records[1:] {
			if number(rec.Raw) != number(page.Records[0].Raw) {
				t.Errorf("a search sees %s beside %s", rec.Raw, page.Records[0].Raw)
			}
		}
		return
	}
	// What is read later is never older.
	first, last := rand.N(len(keys)), rand.N(len(keys))
	a, err := e.Store.Read(e.ctx, keys[first])
	if err != nil {
		t.Error(err)
		return
	}
	b, err := e.Store.Read(e.ctx, keys[last])
	if err != nil {
		t.Error(err)
		return
	}
	if b.Version < a.Version {
		t.Errorf("%s is at version %d after %s was at %d", b.Key, b.Version, a.Key, a.Version)
	}
	if a.Index[1] != "n|"+number(a.Raw) {
		t.Errorf("index %v does not belong to %s", a.Index, a.Raw)
	}
}

// number is the n of a body.
func number(raw []byte) string {
	_, n, _ := bytes.Cut(raw, []byte(`"n":`))
	return strings.TrimSuffix(string(n), "}")
}

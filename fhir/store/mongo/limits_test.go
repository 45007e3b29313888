package mongo

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// long are n different strings of a size.
func long(prefix string, n, size int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("%s%04d%s", prefix, i, strings.Repeat("x", size)))
	}
	return out
}

// What no document can hold is refused before anything is written of it.
func TestWhatDoesNotFitIsRefused(t *testing.T) {
	db := fresh(t)
	ok := func(id string) store.Write { return tripWrite(id, store.Absent) }
	for name, change := range map[string]func(*store.Write){
		"entries":             func(w *store.Write) { w.Index = long("f|", 8, 1<<20) },
		"entries of no ASCII": func(w *store.Write) { w.Index = long("f|"+strings.Repeat("é", 1<<20), 2, 0) },
		"many entries":        func(w *store.Write) { w.Index = long("f|", 300_000, 10) },
		"claims":              func(w *store.Write) { w.Claims = long("c", 8, 1<<20) },
		"labels":              func(w *store.Write) { w.Labels = long("l", 3, 1<<20) },
		"an origin":           func(w *store.Write) { w.Origin.System = strings.Repeat("o", 3<<20) },
	} {
		large := ok("large")
		change(&large)
		_, err := db.Apply(t.Context(), []store.Write{ok("small"), large})
		var we *store.WriteError
		if !errors.Is(err, store.ErrTooLarge) || !errors.Is(err, store.ErrInvalid) || !errors.As(err, &we) || we.Index != 1 || len(err.Error()) > 300 {
			t.Errorf("%s: %.300v", name, err)
		}
	}
	var many []store.Write
	for i := range 30 {
		w := ok(fmt.Sprint("unit", i))
		w.Claims = long(fmt.Sprint("c", i, "-"), 1000, 500)
		many = append(many, w)
	}
	if _, err := db.Apply(t.Context(), many); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("a unit: %.300v", err)
	}
	for _, c := range []collection{heads, versions, units, claims, chunks} {
		if n, err := db.coll(c).CountDocuments(t.Context(), bson.D{}); err != nil || n > 0 {
			t.Errorf("%s: %d documents, %v", c.name, n, err)
		}
	}
}

// What fits does so twice: a head holds what was and what is to be.
func TestWhatFitsCanBeReplacedInAUnit(t *testing.T) {
	db := fresh(t)
	for n, letter := range []string{"a", "b"} {
		w := tripWrite("large", int64(n))
		w.Index = long(letter+"|", 6, 1<<20)
		w.Raw, w.Labels = make([]byte, maxInline), long("l", 1, 1<<20)
		if _, err := db.Apply(t.Context(), []store.Write{w, tripWrite(letter, store.Absent)}); err != nil {
			t.Fatalf("%.300v", err)
		}
	}
	n, err := db.Count(t.Context(), store.Plan{Type: "Patient", Where: store.Expr{Op: store.Prefix, Param: "b", Value: "0003x"}})
	if err != nil || n != 1 {
		t.Errorf("%d are found, %v", n, err)
	}
}

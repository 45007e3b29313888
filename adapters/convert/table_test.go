package convert

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters/flow"
)

// A table is a map that is small.
func TestATableIsAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	one := func(vs ...string) string { return vs[rng.IntN(len(vs))] }
	digest := flow.Digest([]byte("x"))
	tab, model := newTable(&words{}), map[name]seen{}
	for range 20_000 {
		k := named(fmt.Sprint(rng.IntN(5000)))
		x := seen{version: one("", "7", "2025-06-02T12:00:00Z", "2025-06-02T12:00:00Z/000001", "a version of its own"), digest: short(one("", "A", digest, digest[:30], strings.ToUpper(digest), strings.Repeat("g", 40))),
			expunged: rng.IntN(9) == 0, mute: rng.IntN(9) == 0, out: rng.IntN(3) == 0, stub: rng.IntN(9) == 0, by: rng.Uint32N(3)}
		if rng.IntN(3) == 0 {
			x.restrictions, x.held = flow.Sealed, one(x.version, "~", "2026-01-01T00:00:00Z")
		}
		if rng.IntN(9) == 0 {
			x.lifted, x.liftedDigest = "2026", "A"
		}
		tab.put(k, &x)
		if x.restrictions != 0 && x.held == "" {
			x.held = x.version
		}
		model[k] = x
	}
	if tab.n != len(model) {
		t.Fatalf("%d rows of %d", tab.n, len(model))
	}
	hidden := map[name]bool{}
	for k, want := range model {
		if got, ok := tab.get(k); !ok || got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		if want.hidden() {
			hidden[k] = true
		}
		once := !want.expunged && !want.out
		if tab.once(k, "another") || tab.once(k, want.digest) != once || tab.once(k, want.digest) {
			t.Fatalf("once: %+v", want)
		}
	}
	if !maps.Equal(tab.hidden(), hidden) {
		t.Error("others are hidden")
	}
	if _, ok := tab.get(named("not here")); ok || tab.place(named("not here")) != 0 {
		t.Error("what was not put in is there")
	}
}

func TestGroupsAreInOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var g groups
	model := map[name][]uint32{}
	for i := range uint32(10_000) {
		k := named(fmt.Sprint(rng.IntN(3000)))
		g.join(k, i)
		model[k] = append(model[k], i)
		if k = named(fmt.Sprint(rng.IntN(3000))); !slices.Equal(g.of(k), model[k]) {
			t.Fatalf("after %d: got %v, want %v", i, g.of(k), model[k])
		}
	}
	if got := new(groups).of(named("x")); got != nil {
		t.Error(got)
	}
}

func TestVersionsStayAsTheyAre(t *testing.T) {
	var w words
	for i := range 9000 { // more than tails can be
		for _, v := range []string{fmt.Sprintf("2025-06-02T12:00:00.%04dZ", i), fmt.Sprint(i), fmt.Sprintf("no time %d", i), fmt.Sprintf("9999-99-99T99:99:%02dZ/000000", i%100)} {
			if got := w.version(w.stamp(v)); got != v {
				t.Fatalf("got %q, want %q", got, v)
			}
		}
	}
}

func FuzzVersionsStayAsTheyAre(f *testing.F) {
	for _, v := range []string{"", "~", "2025-06-02T12:00:00Z/000000", "2025-06-02T12:00:00", "2025-06-02T12:00:0", "1234567", "12345678", "\x00\x00"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		w := words{}
		w.stamp("2025-06-02T12:00:00 before")
		if got := w.version(w.stamp(v)); got != v {
			t.Fatalf("got %q, want %q", got, v)
		}
	})
}

package consent

import (
	"fmt"
	"testing"

	"github.com/handoff-health/handoff/fhir/label"
)

// alike compares what the index finds with what asking each Consent gives.
func alike(t testing.TB, s *Set, x *thing, d *Datum) Statement {
	t.Helper()
	fresh := x.datum()
	got, want := s.Strictest(d), s.walk(&fresh)
	if got != want {
		t.Fatalf("index: %s\nwalk:  %s\nof %s, labels %+v, patient %q, custodian %q", name(got), name(want), x.r.Raw(), x.labels, x.patient, x.custodian)
	}
	for _, need := range []Need{Part2, PsychotherapyNote, Part2 | PsychotherapyNote} {
		got, ok := s.Qualified(d, need)
		want, has := s.walkQualified(&fresh, need)
		if got != want || ok != has {
			t.Fatalf("need %d: index: %s\nwalk: %s\nof %s", need, name(got), name(want), x.r.Raw())
		}
	}
	if got, want := s.DeniesByName(d), s.walkByName(&fresh); got != want {
		t.Fatalf("denies by name: %v, want %v for %s", got, want, x.r.Raw())
	}
	return want
}

func name(s Statement) string {
	if s.consent == nil {
		return fmt.Sprintf("effect %d", s.Effect)
	}
	return fmt.Sprintf("effect %d of %s at %s", s.Effect, s.Consent(), s.Path())
}

// indexed compiles with an index however few the Consents are.
func indexed(cs []*Consent, q Question) *Set {
	s := Compile(cs, q)
	if len(s.bound) > 0 {
		s.index = s.build()
	}
	return s
}

// The index changes no answer: effect, Consent and rule are those of asking each
// Consent in turn, over Consents and resources of all kinds.
func TestIndexAnswersAsTheWalkDoes(t *testing.T) {
	w := newWorld(1)
	var pool []*Consent
	for range 4000 {
		pool = append(pool, w.consent(t))
	}
	var things []*thing
	for range 400 {
		things = append(things, w.thing(t))
	}
	effects, n := map[Effect]int{}, 0
	for range 1500 {
		var cs []*Consent
		for range pick(w, 1, 1, 2, 3, 5, 8, 40) {
			cs = append(cs, pick(w, pool...))
		}
		s := indexed(cs, w.question())
		if len(s.bound) == 0 {
			continue
		}
		for range 80 {
			x := pick(w, things...)
			d := x.datum()
			effects[alike(t, s, x, &d).Effect]++
			n++
		}
	}
	t.Logf("%d combinations: %v", n, effects)
	if n < 50_000 || effects[Deny] < 2000 || effects[Permit] < 2000 || effects[Residual] < 2000 || effects[None] < 2000 {
		t.Error("the test shows little")
	}
}

// A Datum that is used again, or judged under other labels, keeps nothing of
// what was known before.
func TestADatumUsedAgainIsAsNew(t *testing.T) {
	w := newWorld(2)
	var cs []*Consent
	for range 200 {
		cs = append(cs, w.consent(t))
	}
	a, b := indexed(cs[:120], w.question()), indexed(cs[120:], w.question())
	var d Datum
	for range 3000 {
		x := w.thing(t)
		d.Reset(x.r, &x.labels, x.patient, x.custodian, x.graph)
		d.PoliceToHealth = x.policeToHealth
		alike(t, b, x, &d)
		alike(t, a, x, &d)
		x.labels = w.thing(t).labels
		alike(t, a, x, &d)
	}
}

func FuzzIndex(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed, uint8(seed*5))
	}
	f.Fuzz(func(t *testing.T, seed uint64, count uint8) {
		w := newWorld(seed)
		var cs []*Consent
		for range 1 + int(count)%60 {
			cs = append(cs, w.consent(t))
		}
		s := indexed(cs, w.question())
		if len(s.bound) == 0 {
			return
		}
		for range 20 {
			x := w.thing(t)
			d := x.datum()
			alike(t, s, x, &d)
		}
	})
}

// Judging by an index allocates nothing once the Datum has seen such a resource.
func TestJudgingByTheIndexDoesNotAllocate(t *testing.T) {
	var cs []*Consent
	for _, p := range []string{
		rule("permit", aTask), rule("permit", `"dataPeriod":{"start":"2026-01-01"}`), rule("deny", `"dataPeriod":{"start":"2027-01-01T10:00:00+01:00"}`),
		rule("deny", `"data":[{"meaning":"dependents","reference":{"reference":"Encounter/e"}}]`), rule("deny", `"data":[{"meaning":"authoredby","reference":{"reference":"Practitioner/b"}}]`),
		rule("deny", `"code":[{"coding":[{"system":"http://x.example","code":"l"}]}]`), rule("deny", `"securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"SUD"}]`),
		rule("deny", `"class":[{"system":"urn:ietf:rfc:3986","code":"http://p.example/v"}]`),
	} {
		cs = append(cs, Parse(parse(t, head+`,"provision":`+p+`}`), Source{Entitled: true}))
	}
	s, r, l := Compile(cs, question()), parse(t, plan), &label.Labels{Level: label.R, Sensitivity: []string{"PSY"}}
	if s.index == nil {
		t.Fatal("no index was made")
	}
	var d Datum
	ask := func() {
		d.Reset(r, l, "Patient/p", "Organization/clinic", nil)
		if st := s.Strictest(&d); st.Effect != Permit {
			t.Fatal(name(st))
		}
	}
	ask()
	if n := testing.AllocsPerRun(200, ask); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

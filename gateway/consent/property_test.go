package consent

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
)

// numbered says whether a Consent may be a version of another: adding or
// removing one of those is another matter.
func numbered(raw string) bool {
	return strings.Contains(raw, `"identifier":[{"system":"http://n.example"`)
}

// Adding a deny or a condition to a permit, removing a Consent that only
// permits, and knowing less of the request or of the data never permit more.
func TestLessNeverPermitsMore(t *testing.T) {
	w, permitted, changed := newWorld(4), 0, 0
	for round := range 12_000 {
		var raws []string
		var sources []Source
		for range pick(w, 1, 1, 2, 4) {
			raw, source := w.raw()
			raws, sources = append(raws, raw), append(sources, source)
		}
		q, x := w.question(), w.thing(t)
		effect := func() Effect {
			var cs []*Consent
			for i, raw := range raws {
				cs = append(cs, Parse(parse(t, raw), sources[i]))
			}
			d := x.datum()
			return indexed(cs, q).Strictest(&d).Effect
		}
		before, what := effect(), ""
		last := len(raws) - 1
		switch w.IntN(6) {
		case 0:
			what = "one more Consent that denies"
			raws = append(raws, head+`,"provision":`+rule("deny", w.conditions()...)+`}`)
			sources = append(sources, w.source())
		case 1:
			what = "a deny more in a Consent with a type"
			end := strings.LastIndex(raws[last], `}}`)
			if strings.Count(raws[last], `"type":`) != 1 || !strings.HasSuffix(raws[last], `"type":"permit"}}`) {
				continue
			}
			raws[last] = raws[last][:end] + `,` + nested(rule("deny", w.conditions()...)) + `}}`
		case 2:
			what = "a condition more on a permit"
			if strings.Count(raws[last], `"type":`) != 1 || !strings.HasSuffix(raws[last], `"type":"permit"}}`) || strings.Contains(raws[last], `"code":[{`) {
				continue
			}
			raws[last] = strings.TrimSuffix(raws[last], `"type":"permit"}}`) + `"code":[` + w.code() + `],"type":"permit"}}`
		case 3:
			what = "one Consent less that only permits"
			c := Parse(parse(t, raws[last]), sources[last])
			if numbered(raws[last]) || slices.ContainsFunc(c.rules, func(p provision) bool { return p.stance != permits }) {
				continue
			}
			raws, sources = raws[:last], sources[:last]
		case 4:
			what = "nothing known of purpose and roles"
			q.Purpose.Code, q.Actor.Roles = "", nil
		case 5:
			what = "nothing known of the custodian, and of what refers to what"
			x.custodian, x.graph = "", nil
		}
		changed++
		if before == Permit {
			permitted++
		}
		if after := effect(); after == Permit && before != Permit {
			t.Fatalf("round %d: %s permits: before %d\n%s\nof %s", round, what, before, strings.Join(raws, "\n"), x.r.Raw())
		}
	}
	if changed < 5000 || permitted < 300 {
		t.Errorf("only %d of %d worlds permit anything: the test shows little", permitted, changed)
	}
}

// conditions are up to three elements of a rule.
func (w world) conditions() (out []string) {
	names := map[string]bool{}
	for range w.IntN(4) {
		if name, value := w.condition(); !names[name] {
			names[name] = true
			out = append(out, fmt.Sprintf("%q:%s", name, value))
		}
	}
	return out
}

// The order of Consents is irrelevant, a question asked twice has one answer,
// and judging changes nothing that is judged.
func TestOrderIsIrrelevantAndJudgingIsPure(t *testing.T) {
	w := newWorld(5)
	for round := range 4000 {
		var cs []*Consent
		for range 1 + w.IntN(12) {
			cs = append(cs, w.consent(t))
		}
		q, x := w.question(), w.thing(t)
		raw, labels := string(x.r.Raw()), fmt.Sprintf("%+v", x.labels)
		ask := func() [3]Statement {
			s := indexed(cs, q)
			d := x.datum()
			out := [3]Statement{s.Strictest(&d)}
			out[1], _ = s.Qualified(&d, Part2)
			out[2], _ = s.Qualified(&d, PsychotherapyNote)
			if again := s.Strictest(&d); again != out[0] {
				t.Fatalf("round %d: asked again: %s, first %s", round, name(again), name(out[0]))
			}
			return out
		}
		first, second := ask(), ask()
		if first != second {
			t.Fatalf("round %d: %v and %v", round, first, second)
		}
		slices.Reverse(cs)
		turned := ask()
		for i := range first {
			if turned[i].Effect != first[i].Effect {
				t.Fatalf("round %d: the order matters: %s and %s", round, name(first[i]), name(turned[i]))
			}
		}
		if string(x.r.Raw()) != raw || fmt.Sprintf("%+v", x.labels) != labels {
			t.Fatal("what was judged has changed")
		}
	}
}

// FuzzParseCompileJudge takes any Consent and any resource through the whole
// way, by the walk and by the index: nothing panics, both agree, and what grants
// is entitled, active and about privacy.
func FuzzParseCompileJudge(f *testing.F) {
	w := newWorld(6)
	for range 24 {
		raw, _ := w.raw()
		f.Add([]byte(raw), w.thing(f).r.Raw(), uint8(w.IntN(256)))
	}
	f.Fuzz(func(t *testing.T, rawConsent, rawResource []byte, facts uint8) {
		c, err := resource.Parse(rawConsent)
		if err != nil {
			return
		}
		r, err := resource.Parse(rawResource)
		if err != nil {
			return
		}
		w := newWorld(uint64(facts))
		x := w.thing(t)
		x.r = r
		source := Source{Entitled: facts&1 > 0, Foreign: facts&2 > 0}
		parsed := Parse(c, source)
		q := w.question()
		s := indexed([]*Consent{parsed, w.consent(t), parsed}, q)
		if s.index == nil {
			return
		}
		d := x.datum()
		st := alike(t, s, x, &d)
		if ok, why := parsed.Grants(); st.Effect == Permit && st.consent == parsed && (!ok || !source.Entitled) {
			t.Fatalf("granted though %v: %s", why, rawConsent)
		}
	})
}

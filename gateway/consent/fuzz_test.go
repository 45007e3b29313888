package consent

import (
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/resource/resourcetest"
)

var noon = time.Date(2026, 8, 5, 12, 0, 0, 0, time.FixedZone("", -5*3600))

func parse(t testing.TB, raw string) *resource.Resource {
	t.Helper()
	r, err := resource.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const head = `{"resourceType":"Consent","id":"c","status":"active","patient":{"reference":"Patient/p"},"dateTime":"2026-01-01",` +
	`"scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]}`

const plan = `{"resourceType":"CarePlan","id":"plan","status":"active","intent":"plan","subject":{"reference":"Patient/p"},"created":"2026-03-01","author":{"reference":"Practitioner/a"},"category":[{"coding":[{"system":"http://x.example","code":"k"}]}]}`

func question() Question {
	return Question{
		At: noon, Action: "access", Purpose: label.Code{System: "http://terminology.hl7.org/CodeSystem/v3-ActReason", Code: "TREAT"},
		Actor: &Actor{Reference: "Practitioner/dr", Organization: "Organization/clinic", TreatingProvider: true},
	}
}

func judge(t testing.TB, q Question, raws ...string) Effect {
	t.Helper()
	var cs []*Consent
	for _, raw := range raws {
		cs = append(cs, Parse(parse(t, raw), Source{Entitled: true}))
	}
	set := Compile(cs, q)
	d := NewDatum(parse(t, plan), &label.Labels{Version: "t"}, "Patient/p", "Organization/clinic", nil)
	out := None
	for i := range set.Len() {
		out = max(out, set.Judge(i, &d, 0).Effect)
	}
	return out
}

// FuzzNothingGrantsByAccident feeds what is not a well-formed Consent: it must
// not panic, and whatever lacks one of the things a grant needs must not grant. What it
// says does not depend on how its letters are written.
func FuzzNothingGrantsByAccident(f *testing.F) {
	for _, s := range []string{
		head + `,"provision":{"type":"permit"}}`,
		head + `,"provision":{"type":"deny","provision":[{"type":"permit","class":[{"system":"http://hl7.org/fhir/resource-types","code":"CarePlan"}]}]}}`,
		head + `,"provision":{"type":"permit","period":{"start":"2026-01-01","end":"2027"},"actor":[{"role":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"IRCP"}]},"reference":{"reference":"Organization/clinic"}}],"data":[{"meaning":"related","reference":{"reference":"Encounter/e"}}]}}`,
		head + `,"provision":[1,2]}`, head + `,"provision":{"type":7,"class":"x","code":{},"data":{},"actor":[],"purpose":[null]}}`,
		`{"resourceType":"Consent"}`, `{"resourceType":"Observation","status":"active","provision":{"type":"permit"}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := resource.Parse(raw)
		if err != nil {
			return
		}
		c := Parse(r, Source{Entitled: true})
		set := Compile([]*Consent{c}, question())
		d := NewDatum(parse(t, plan), &label.Labels{Version: "t"}, "Patient/p", "Organization/clinic", nil)
		spelled := Compile([]*Consent{Parse(parse(t, string(resourcetest.SpellOut(raw))), Source{Entitled: true})}, question())
		if spelled.Len() != set.Len() {
			t.Fatalf("%d statements, and %d where letters are written as escapes: %s", set.Len(), spelled.Len(), raw)
		}
		for i := range set.Len() {
			st := set.Judge(i, &d, 0)
			if other := spelled.Judge(i, &d, 0); name(other) != name(st) {
				t.Fatalf("%s, and %s where letters are written as escapes: %s", name(st), name(other), raw)
			}
			if st.Effect != Permit {
				continue
			}
			root := r.Root()
			ok, why := c.Grants()
			if !ok || r.Type() != "Consent" || !root.Get("status").Is("active") || root.Get("modifierExtension").Exists() ||
				!root.Path("patient", "reference").Exists() || st.Path() == "" {
				t.Fatalf("granted by %s: %v\n%s", st.Path(), why, raw)
			}
			unentitled := Compile([]*Consent{Parse(r, Source{})}, question())
			for k := range unentitled.Len() {
				if unentitled.Judge(k, &d, 0).Effect == Permit {
					t.Fatalf("granted without a right to: %s", raw)
				}
			}
		}
	})
}

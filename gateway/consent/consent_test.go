package consent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
)

// What the decision cases in conformance/cases cannot say: malformed Consents,
// sources that may not grant, and the cost.

func TestWhatIsNotUnderstoodMayDenyAndNeverGrants(t *testing.T) {
	permit, deny := `,"provision":{"type":"permit"}}`, `,"provision":{"type":"deny"}}`
	if got := judge(t, question(), head+permit); got != Permit {
		t.Fatalf("the plain Consent: got %v", got)
	}
	for name, change := range map[string][2]string{
		"no status":                    {`"status":"active",`, ``},
		"unknown status":               {`"active"`, `"valid"`},
		"status of another kind":       {`"active"`, `["active"]`},
		"no scope system":              {`"system":"http://terminology.hl7.org/CodeSystem/consentscope",`, ``},
		"unknown scope":                {`patient-privacy`, `privacy`},
		"modifier extension":           {`"id":"c"`, `"id":"c","modifierExtension":[{"url":"http://x.example/y"}]`},
		"implicit rules":               {`"id":"c"`, `"id":"c","implicitRules":"http://x.example/y"`},
		"an element of another FHIR":   {`"id":"c"`, `"id":"c","decision":"permit"`},
		"unverified":                   {`"id":"c"`, `"id":"c","verification":[{"verified":"true"}]`},
		"condition that is not known":  {`"type":"`, `"expression":{"language":"text/cql"},"type":"`},
		"rule with modifier extension": {`"type":"`, `"modifierExtension":[{"url":"http://x.example/y"}],"type":"`},
		"unknown data meaning":         {`"type":"`, `"data":[{"meaning":"everything","reference":{"reference":"CarePlan/plan"}}],"type":"`},
		"no patient":                   {`"patient":{"reference":"Patient/p"},`, ``},
		"class that cannot be read":    {`"type":"`, `"class":["CarePlan"],"type":"`},
		"empty list of purposes":       {`"type":"`, `"purpose":[],"type":"`},
		"purpose without a system":     {`"type":"`, `"purpose":[{"code":"TREAT"}],"type":"`},
		"actor without a role":         {`"type":"`, `"actor":[{"reference":{"reference":"Organization/clinic"}}],"type":"`},
		"period that cannot be read":   {`"type":"`, `"period":{"start":"yesterday"},"type":"`},
		"period of nothing":            {`"type":"`, `"period":{},"type":"`},
		"label that is no level":       {`"type":"`, `"securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"Q"}],"type":"`},
	} {
		t.Run(name, func(t *testing.T) {
			alter := func(s string) string { return strings.Replace(s, change[0], change[1], 1) }
			if got := judge(t, question(), alter(head+permit)); got == Permit {
				t.Error("it grants")
			}
			if got := judge(t, question(), alter(head+deny)); got != Deny {
				t.Errorf("it does not deny: %v", got)
			}
		})
	}
}

func TestAnUnknownTypeIsReadAsADeny(t *testing.T) {
	for _, typ := range []string{`"type":"allow",`, `"type":true,`} {
		if got := judge(t, question(), head+`,"provision":{`+typ+`"id":"r"}}`); got != Deny {
			t.Errorf("%s: %v", typ, got)
		}
	}
	if got := judge(t, question(), head+`,"provision":{"type":"permit","provision":[{"id":"x"}]}}`); got != Deny {
		t.Errorf("a nested rule without a type: %v", got)
	}
}

func TestWhoMayNotGrantDoesNotEndADeny(t *testing.T) {
	number := `,"identifier":[{"system":"http://x.example","value":"1"}]`
	old := strings.Replace(head, "2026-01-01", "2025-01-01", 1) + number + `,"provision":{"type":"deny"}}`
	newer := head + number + `,"provision":{"type":"permit"}}`
	effect := func(entitled bool) Effect {
		set := Compile([]*Consent{Parse(parse(t, old), Source{Entitled: true}), Parse(parse(t, newer), Source{Entitled: entitled})}, question())
		d := NewDatum(parse(t, plan), &label.Labels{}, "Patient/p", "", nil)
		out := None
		for i := range set.Len() {
			out = max(out, set.Judge(i, &d, 0).Effect)
		}
		return out
	}
	if got := effect(true); got != Permit {
		t.Errorf("from somebody entitled: %v", got)
	}
	if got := effect(false); got != Deny {
		t.Errorf("from anybody: %v", got)
	}
	revoked := strings.Replace(newer, `"active"`, `"inactive"`, 1)
	set := Compile([]*Consent{Parse(parse(t, strings.Replace(old, "deny", "permit", 1)), Source{Entitled: true}), Parse(parse(t, revoked), Source{})}, question())
	d := NewDatum(parse(t, plan), &label.Labels{}, "Patient/p", "", nil)
	for i := range set.Len() {
		if set.Judge(i, &d, 0).Effect == Permit {
			t.Error("a newer revocation from anybody must end an older permit")
		}
	}
}

func TestLinkedRecordsAreOnePerson(t *testing.T) {
	q := question()
	d := NewDatum(parse(t, strings.Replace(plan, "Patient/p", "Patient/q", 1)), &label.Labels{}, "Patient/q", "", nil)
	c := []*Consent{Parse(parse(t, head+`,"provision":{"type":"deny"}}`), Source{Entitled: true})}
	if st := Compile(c, q).Judge(0, &d, 0); st.Effect != None {
		t.Errorf("of another person: %v", st.Effect)
	}
	q.Person = []string{"Patient/q", "Patient/p"}
	if st := Compile(c, q).Judge(0, &d, 0); st.Effect != Deny {
		t.Errorf("of a linked record: %v", st.Effect)
	}
}

func TestAResourceAboutAnUnknownPersonIsNotPermittedAndIsDenied(t *testing.T) {
	for typ, want := range map[string]Effect{"permit": None, "deny": Deny} {
		set := Compile([]*Consent{Parse(parse(t, head+`,"provision":{"type":"`+typ+`"}}`), Source{Entitled: true})}, question())
		d := NewDatum(parse(t, plan), &label.Labels{}, "", "", nil)
		if st := set.Judge(0, &d, 0); st.Effect != want {
			t.Errorf("%s: got %v", typ, st.Effect)
		}
		o := NewDatum(parse(t, `{"resourceType":"Organization","id":"o"}`), &label.Labels{}, "", "", nil)
		if st := set.Judge(0, &o, 0); st.Effect != None {
			t.Errorf("%s: an Organization is about nobody, got %v", typ, st.Effect)
		}
	}
}

func TestReferencesAcrossServers(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want truth
	}{
		{"Patient/1", "Patient/1", yes},
		{"Patient/1/_history/3", "Patient/1", yes},
		{"https://a.example/fhir/Patient/1", "Patient/1", unknown},
		{"https://a.example/fhir/Patient/1", "https://b.example/fhir/Patient/1", no},
		{"Patient/1", "Patient/2", no}, {"Patient/1", "Practitioner/1", no},
		{"urn:uuid:1", "urn:uuid:1", yes}, {"", "", no}, {"/Patient/1", "Patient/1", yes},
		{"https://a.example/fhir/Patient/1/_history/2", "https://a.example/fhir/Patient/1", yes},
	} {
		if got := parseReference(c.a).same(parseReference(c.b)); got != c.want {
			t.Errorf("%s and %s: got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestMomentsAreReadInAnOffset(t *testing.T) {
	for _, c := range []struct {
		start, end, at string
		want           truth
	}{
		{"2026-08-05", "2026-08-05", "2026-08-05T00:00:00-05:00", yes},
		{"2026-08-05", "2026-08-05", "2026-08-05T23:59:59.999-05:00", yes},
		{"", "2026-08-05", "2026-08-06T04:59:59Z", no}, // in UTC it is the sixth
		{"2026", "", "2025-12-31T23:59:59+14:00", no},
		{"", "2024-02", "2024-02-29T23:59:59Z", yes},
		{"2026-08-05T10:00:00Z", "2026-08-05T12:00:00Z", "2026-08-05T12:00:00Z", yes},
		{"2026-08-05T10:00:00", "", "2026-08-05T12:00:00Z", unknown}, // no offset
		{"2027-01-01", "2026-01-01", "2026-06-01T00:00:00Z", no},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := resource.ParseDocument(fmt.Appendf(nil, `{"start":%q,"end":%q}`, c.start, c.end))
		if err != nil {
			t.Fatal(err)
		}
		raw := strings.NewReplacer(`"start":"",`, ``, `,"end":""`, ``).Replace(string(doc.Raw()))
		if doc, err = resource.ParseDocument([]byte(raw)); err != nil {
			t.Fatal(err)
		}
		s := parseSpan(doc.Root())
		if got := s.holds(at); got != c.want {
			t.Errorf("%s at %s: got %d, want %d", raw, c.at, got, c.want)
		}
	}
}

// What is FHIR is read as package time reads it; the rest is refused.
func TestMomentsAreReadAsFHIRWritesThem(t *testing.T) {
	for _, s := range []string{"2026-03-05T10:00:00Z", "2026-03-05T23:59:59.123456789+14:00", "2024-02-29T00:00:00.5-11:30", "0001-01-01T00:00:00-14:00", "2026-12-31T23:59:59.10000000001+00:00"} {
		want, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := parseMoment(s)
		_, a := got.at.Zone()
		if _, b := want.Zone(); !ok || !got.at.Equal(want) || a != b || !got.exact || got.at.Location() == time.Local {
			t.Errorf("%s: %v %v", s, got.at, ok)
		}
	}
	if got, ok := parseMoment("2016-12-31T23:59:60Z"); !ok || !got.at.Equal(time.Date(2017, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("a leap second: %v %v", got.at, ok)
	}
	for _, s := range []string{"", "20", "2026-", "2026-3", "2026-13", "2026-00", "2026-02-30", "2023-02-29", "0000", "2026-03-05T", "2026-03-05T10:00:00", "2026-03-05T10:00Z", "2026-03-05T24:00:00Z",
		"2026-03-05T10:60:00Z", "2026-03-05T10:00:61Z", "2026-03-05T10:00:00.Z", "2026-03-05T10:00:00,5Z", "2026-03-05T10:00:00+14:01", "2026-03-05T10:00:00+1:00", "2026-03-05T10:00:00z", "2026-03-05 10:00:00Z", "2026-03-05T10:00:00ZZ", "-026", "２０２６"} {
		if got, ok := parseMoment(s); ok {
			t.Errorf("%q was read as %v", s, got)
		}
	}
}

// A decision does not depend on the zone of the machine: a time that happens to
// have its offset does not get its rules for summer.
func TestTheMachinesZoneDoesNotCount(t *testing.T) {
	before := time.Local
	defer func() { time.Local = before }()
	answers := map[truth]bool{}
	for _, name := range []string{"UTC", "America/Chicago"} {
		loc, err := time.LoadLocation(name)
		if err != nil {
			t.Skip("no time zones on this machine: ", err)
		}
		time.Local = loc
		d, err := resource.ParseDocument([]byte(`{"start":"2026-01-05T10:00:00-06:00","end":"2026-07-31"}`)) // ends at 06:00Z by its own offset, at 05:00Z by that zone's summer
		if err != nil {
			t.Fatal(err)
		}
		when := interval(d.Root(), noon.Location())
		end, _ := parseMoment("2026-08-01T05:30:00Z")
		s := span{end: end, hasEnd: true}
		answers[s.inside(&when)] = true
	}
	if !answers[no] || len(answers) != 1 {
		t.Errorf("got %v", answers)
	}
}

func TestJudgingDoesNotAllocate(t *testing.T) {
	c := Parse(parse(t, head+`,"provision":{"type":"permit","securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}],`+
		`"class":[{"system":"http://hl7.org/fhir/resource-types","code":"CarePlan"}],"code":[{"coding":[{"system":"http://x.example","code":"k"}]}],`+
		`"provision":[{"type":"deny","securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"SUD"}]}]}}`), Source{Entitled: true})
	set := Compile([]*Consent{c}, question())
	d := NewDatum(parse(t, plan), &label.Labels{}, "Patient/p", "Organization/clinic", nil)
	if st := set.Judge(0, &d, 0); st.Effect != Permit {
		t.Fatalf("got %v", st.Effect)
	}
	if n := testing.AllocsPerRun(200, func() { set.Judge(0, &d, 0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

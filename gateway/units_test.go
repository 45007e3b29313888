package gateway_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
)

// mixed is the clinic's system as one that holds a Part 2 unit.
var mixed = strings.Replace(settings, `base: "UPSTREAM"}`, `base: "UPSTREAM",
     part2Units: [{element: serviceProvider, values: [Organization/otp]}, {element: performer, values: [Organization/otp], others: [Organization/lab]},
       {element: managingOrganization, values: [Organization/otp]}]}`, 1)

// In a system that holds a Part 2 unit a record is Part 2 if its unit is that
// one or does not show, however it is asked for; the treating provider, whom no
// Consent names, gets the rest.
func TestRecordsOfAPart2UnitAreWithheldByTheirUnit(t *testing.T) {
	const person = `"subject":{"reference":"Patient/e1"}`
	resources := []string{
		`{"resourceType":"Patient","id":"e1","managingOrganization":{"reference":"Organization/hospital"},"birthDate":"1980-03-14"}`,
		`{"resourceType":"Encounter","id":"ward","status":"finished","class":{"code":"IMP"},"serviceProvider":{"reference":"Organization/hospital"},` + person + `}`,
		`{"resourceType":"Encounter","id":"otp","status":"finished","class":{"code":"IMP"},"serviceProvider":{"reference":"Organization/otp"},` + person + `}`,
		`{"resourceType":"Encounter","id":"nowhere","status":"finished","class":{"code":"IMP"},` + person + `}`,
		`{"resourceType":"Observation","id":"lab","status":"final","code":{"text":"glucose"},"performer":[{"reference":"Organization/lab"}],` + person + `}`,
		`{"resourceType":"Observation","id":"dose","status":"final","code":{"text":"pulse"},"performer":[{"reference":"Organization/otp"}],` + person + `}`,
		`{"resourceType":"Observation","id":"other","status":"final","code":{"text":"pulse"},"performer":[{"reference":"Organization/new-lab"}],` + person + `}`,
		`{"resourceType":"Condition","id":"htn","code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"I10"}]},"encounter":{"reference":"Encounter/ward"},` + person + `}`,
	}
	for name, want := range map[string][]string{
		settings: {"Encounter 3", "Observation 3", "Condition 1"},
		mixed:    {"Encounter 1", "Observation 1", "Condition 0"},
	} {
		c := newCountyOf(t, time.Now, name, nil)
		c.put(`{"resourceType":"Patient","id":"p1","name":[{"family":"Example"}]}`)
		c.link("Patient/p1", "ehr", "e1")
		c.ehr.set(false, 0, resources...)
		// The custodian's clinician sees its own; another clinic's would do for the
		// unit. Here the treating provider is one of the police's partner clinics.
		c.login("partner", "program", false, "treating-clinician", "http://terminology.hl7.org/CodeSystem/v3-ActReason|TREAT", "system/*.rs")
		c.tokens["partner"].Requester.TreatingProvider = true
		var got []string
		for _, typ := range []string{"Encounter", "Observation", "Condition"} {
			ids := c.get("partner", typ+"?patient=Patient/p1").ids(t)
			got = append(got, typ+" "+string(rune('0'+len(ids))))
		}
		if !slices.Equal(got, want) {
			t.Errorf("part2Units %v: %v, want %v", name == mixed, got, want)
		}
	}
}

// What a system's resource says itself makes it Part 2 in any system: its label,
// or the notice in a note.
func TestALabelOrANoticeMakesPart2InAnySystem(t *testing.T) {
	c := newCounty(t)
	c.put(`{"resourceType":"Patient","id":"p1","name":[{"family":"Example"}]}`)
	c.link("Patient/p1", "ehr", "e1")
	const person = `"subject":{"reference":"Patient/e1"},"status":"final","code":{"text":"pulse"}`
	c.ehr.set(false, 0,
		`{"resourceType":"Patient","id":"e1"}`,
		`{"resourceType":"Observation","id":"plain",`+person+`}`,
		`{"resourceType":"Observation","id":"labelled","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActUSPrivacyLaw","code":"42CFRPart2"}]},`+person+`}`,
		`{"resourceType":"Observation","id":"noticed","note":[{"text":"42 CFR part 2 prohibits unauthorized disclosure of these records."}],`+person+`}`,
		`{"resourceType":"Observation","id":"in-html","text":{"status":"additional","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">protected by Federal confidentiality rules (42&#160;CFR <b>part</b> 2)</div>"},`+person+`}`,
	)
	c.login("partner", "program", false, "treating-clinician", "http://terminology.hl7.org/CodeSystem/v3-ActReason|TREAT", "system/*.rs")
	c.tokens["partner"].Requester.TreatingProvider = true
	if got := c.get("partner", "Observation?patient=Patient/p1").ids(t); len(got) != 1 {
		t.Errorf("%d of four are shown, want the one that says nothing", len(got))
	}
}

// What the store keeps as labels was computed once, with the label set of that
// day. A decision labels anew: stale labels neither open nor close anything.
func TestStaleLabelsAreRedoneOnRead(t *testing.T) {
	c := newCounty(t)
	c.put(`{"resourceType":"Patient","id":"p1","name":[{"family":"Example"}]}`)
	const about = `"status":"final","subject":{"reference":"Patient/p1"},"code":{"text":"pulse"}`
	write := func(id, rest string, labels ...string) {
		raw := `{"resourceType":"Observation","id":"` + id + `",` + rest + about + `}`
		r, err := resource.Parse([]byte(raw))
		c.must(err)
		_, err = c.store.Write(t.Context(), store.Write{Expect: store.Absent, Record: store.Record{
			Key: store.Key{Type: "Observation", ID: id}, Raw: []byte(raw), Origin: resource.Origin{System: "adt", Custodian: "Organization/clinic"},
			Labels: labels, LabelSet: "rules1/old", Index: search.Index(r),
		}})
		c.must(err)
	}
	write("too-little", `"note":[{"text":"42 CFR part 2 prohibits unauthorized disclosure of these records."}],`)
	write("too-much", ``, "http://terminology.hl7.org/CodeSystem/v3-ActCode|42CFRPart2")
	c.login("partner", "program", false, "treating-clinician", "http://terminology.hl7.org/CodeSystem/v3-ActReason|TREAT", "system/*.rs")
	c.tokens["partner"].Requester.TreatingProvider = true
	if got := c.get("partner", "Observation?patient=Patient/p1").ids(t); !slices.Equal(got, []string{"Observation/too-much"}) {
		t.Errorf("got %v, want the one without a notice", got)
	}
	const sud = "Observation?patient=Patient/p1&_security=http://terminology.hl7.org/CodeSystem/v3-ActCode|42CFRPart2"
	if got := c.get("partner", sud).ids(t); len(got) != 0 {
		t.Errorf("a search by label answers from stale labels: %v", got)
	}
}

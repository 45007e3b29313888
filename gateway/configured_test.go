package gateway_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/gateway"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/config"
)

// staffed is the county with people of the clinic, the police and the program.
var staffed = strings.NewReplacer(
	`{id: clinic, name: Clinic, kind: health}`,
	`{id: clinic, name: Clinic, kind: health, identifiers: [{system: "http://hl7.org/fhir/sid/us-npi", value: "1234567893"}], practitioners: [{id: ortiz, identifiers: [{system: "http://hl7.org/fhir/sid/us-npi", value: "1215955410"}]}]}`,
	`{id: pd, name: Police, kind: police}`, `{id: pd, name: Police, kind: police, practitioners: [{id: badge-12, identifiers: [{system: "urn:badge", value: "12"}]}]}`,
	`{id: program, name: Program, kind: health, part2: true}`, `{id: program, name: Program, kind: health, part2: true, practitioners: [{id: hale}]}`,
).Replace(settings)

func TestConfiguredOrganizationsAndPractitionersAreRead(t *testing.T) {
	c := newCountyOf(t, time.Now, staffed, nil)
	c.must(c.server.KeepConfigured(t.Context()))
	c.signIn("nurse", "", "user/*.rs")
	c.signIn("launched", "Patient/p1", "patient/*.rs")
	c.login("partner", "program", false, "treating-clinician", "http://terminology.hl7.org/CodeSystem/v3-ActReason|TREAT", "system/*.rs")
	c.put(person)
	for _, tt := range []struct {
		who, path string
		status    int
		has       string
	}{
		{"nurse", "Organization/clinic", 200, `"value":"1234567893"`},
		{"nurse", "Organization/pd", 200, `"name":"Police"`},
		{"nurse", "Organization/program", 200, `"name":"Program"`},
		{"nurse", "Practitioner/ortiz", 200, `"value":"1215955410"`}, // fhirUser of the app's own user
		{"launched", "Practitioner/ortiz", 200, `"value":"1215955410"`},
		{"launched", "Organization/clinic", 200, `"name":"Clinic"`},
		{"officer", "Practitioner/badge-12", 200, `"value":"12"`},
		{"nurse", "Practitioner/badge-12", 200, ""}, // by the agreement between the two
		{"partner", "Practitioner/badge-12", 404, ""},
		{"partner", "Practitioner/hale", 200, ""},
		{"nurse", "Practitioner/hale", 404, ""}, // who works for a Part 2 program is the program's to say
		{"nurse", "Practitioner/nobody", 404, ""},
		{"nurse", "Organization/clinic/_history/1", 200, `"name":"Clinic"`},
	} {
		a := c.get(tt.who, tt.path)
		if a.status != tt.status || !strings.Contains(a.body, tt.has) {
			t.Errorf("%s asks %s: %s", tt.who, tt.path, a)
		}
	}
	if got := c.get("nurse", "Organization?name=Clin").ids(t); !slices.Equal(got, []string{"Organization/clinic"}) {
		t.Errorf("found %v", got)
	}
	if a, b := c.get("partner", "Practitioner/badge-12"), c.get("partner", "Practitioner/nobody"); a.body != b.body {
		t.Errorf("hidden and absent differ: %s %s", a, b)
	}
	c.signIn("narrow", "", "user/Patient.rs")
	if a := c.get("narrow", "Practitioner/ortiz"); a.status != http.StatusForbidden {
		t.Errorf("without a scope for it: %s", a)
	}
}

func TestTheConfigurationIsFollowed(t *testing.T) {
	c := newCountyOf(t, time.Now, staffed, nil)
	c.putAs(`{"resourceType":"Organization","id":"exchange","name":"of a feed"}`, ofClinic)
	c.must(c.server.KeepConfigured(t.Context()))
	c.must(c.server.KeepConfigured(t.Context()))
	rec, err := c.store.Read(t.Context(), keyOf("Organization", "clinic"))
	if err != nil || rec.Version != 1 {
		t.Errorf("what has not changed was written again: %+v %v", rec, err)
	}
	if rec, err = c.store.Read(t.Context(), keyOf("Organization", "exchange")); err != nil || !strings.Contains(string(rec.Raw), "of a feed") {
		t.Errorf("a feed's resource was overwritten: %s %v", rec.Raw, err)
	}
	c.signIn("nurse", "", "user/*.rs")
	next := strings.NewReplacer("name: Clinic", "name: Clinic East", "practitioners: [{id: badge-12", "practitioners: [{id: badge-13",
		"UPSTREAM", c.ehr.URL+"/fhir", "PART2", c.program.URL+"/fhir").Replace(staffed)
	cfg, err := config.Parse("test.yaml", []byte(next))
	c.must(err)
	directory, err := attribute.NewDirectory(cfg)
	c.must(err)
	c.restart(func(o *gateway.Options) { o.Directory = directory })
	c.must(c.server.KeepConfigured(t.Context()))
	for path, want := range map[string]int{"Practitioner/badge-12": 404, "Practitioner/badge-13": 200} {
		if a := c.get("officer", path); a.status != want {
			t.Errorf("%s: %s", path, a)
		}
	}
	if a := c.get("nurse", "Organization/clinic"); !strings.Contains(a.body, "Clinic East") {
		t.Errorf("%s", a)
	}
}

package gateway_test

import (
	"net/http"
	"strings"
	"testing"
)

const named = `{"resourceType":"Parameters","parameter":[{"name":"family","valueString":"FAMILY"},{"name":"given","valueString":"GIVEN"},{"name":"birthDate","valueDate":"BIRTH"}]}`

// consented is the county with the release in force: the officer may see plans.
func consented(t *testing.T) *county {
	c := newCounty(t)
	c.populate()
	created(t, c.do("clinician", http.MethodPost, "Consent", release, asFHIR))
	return c
}

func TestCrisisSummaryShowsThePlanThatMayBeShown(t *testing.T) {
	c := consented(t)
	a := c.get("officer", "Patient/p1/$crisis-summary")
	if a.status != http.StatusOK || !strings.Contains(a.body, `{"name":"plan","valueBoolean":true}`) {
		t.Fatalf("%s", a)
	}
	if escaped := c.get("officer", "Patient/p1/%24crisis-summary"); escaped.body != a.body {
		t.Errorf("with the dollar escaped: %s", escaped)
	}
	if posted := c.do("officer", http.MethodPost, "Patient/p1/$crisis-summary", "", nil); posted.body != a.body {
		t.Errorf("posted: %s", posted)
	}
	e := c.trail.last()
	if e.Interaction != "$crisis-summary" || len(e.Resources) == 0 || len(e.Patients) == 0 {
		t.Errorf("event %+v", e)
	}
	for _, secret := range []string{"F31.81", "ipolar", "F11.20"} {
		if strings.Contains(a.body, secret) {
			t.Errorf("%s is in the summary: %s", secret, a.body)
		}
	}
}

func TestCrisisSummaryTellsNothingApartWhereNothingMayBeShown(t *testing.T) {
	c := newCounty(t)
	c.populate()
	stranger := c.get("deputy", "Patient/nobody/$crisis-summary")
	if stranger.status != http.StatusOK || len(stranger.body)%4096 != 0 {
		t.Fatalf("%s", stranger)
	}
	for _, path := range []string{"Patient/p1/$crisis-summary", "Patient/!/$crisis-summary"} {
		if a := c.get("deputy", path); a.body != stranger.body || a.status != stranger.status {
			t.Errorf("%s: %s", path, a)
		}
	}
	if len(c.ehr.requests())+len(c.program.requests()) > 0 {
		t.Errorf("systems were asked: %v %v", c.ehr.requests(), c.program.requests())
	}
}

func TestCrisisSummaryFindsWhoIsNamed(t *testing.T) {
	c := consented(t)
	c.put(`{"resourceType":"Patient","id":"p8","name":[{"family":"Twin","given":["Al"]}],"birthDate":"1990-02-03"}`)
	c.put(`{"resourceType":"Patient","id":"p9","name":[{"family":"Twin","given":["Al"]}],"birthDate":"1990-02-03"}`)
	c.put(`{"resourceType":"Patient","id":"p7","name":[{"family":"Solo","given":["Bo"]}],"birthDate":"1991-02-03"}`)
	c.link("Patient/p7", "ehr", "r1")
	ask := func(family, given, birth string) answer {
		body := strings.NewReplacer("FAMILY", family, "GIVEN", given, "BIRTH", birth).Replace(named)
		return c.do("officer", http.MethodPost, "Patient/$crisis-summary", body, asFHIR)
	}
	none := ask("Nobody", "No", "1950-01-02")
	if none.status != http.StatusOK {
		t.Fatalf("%s", none)
	}
	if twins := ask("Twin", "Al", "1990-02-03"); twins.body != none.body {
		t.Errorf("a name of two persons: %s", twins)
	}
	if solo := ask("Solo", "Bo", "1991-02-03"); !strings.Contains(solo.body, `{"name":"plan","valueBoolean":true}`) {
		t.Errorf("a name of one person: %s", solo)
	}
}

func TestCrisisSummaryRefusesWhatNamesNobody(t *testing.T) {
	c := consented(t)
	for name, body := range map[string]string{
		"no name":        `{"resourceType":"Parameters","parameter":[{"name":"given","valueString":"Bo"},{"name":"birthDate","valueDate":"1991-02-03"}]}`,
		"a year":         `{"resourceType":"Parameters","parameter":[{"name":"family","valueString":"S"},{"name":"given","valueString":"Bo"},{"name":"birthDate","valueDate":"1991"}]}`,
		"no system":      `{"resourceType":"Parameters","parameter":[{"name":"identifier","valueIdentifier":{"value":"1"}}]}`,
		"unknown":        `{"resourceType":"Parameters","parameter":[{"name":"breakGlass","valueBoolean":true}]}`,
		"no Parameters":  `{"resourceType":"Patient"}`,
		"two who differ": `{"resourceType":"Parameters","parameter":[{"name":"identifier","valueIdentifier":{"system":"urn:x","value":"1"}},{"name":"family","valueString":"S"}]}`,
		"nothing at all": ``,
	} {
		if a := c.do("officer", http.MethodPost, "Patient/$crisis-summary", body, asFHIR); a.status != http.StatusBadRequest {
			t.Errorf("%s: %s", name, a)
		}
	}
	if a := c.get("officer", "Patient/p1/$crisis-summary?patient=p2"); a.status != http.StatusBadRequest {
		t.Errorf("a parameter in the address: %s", a)
	}
	c.login("narrow", "pd", true, "law-enforcement-officer", "https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use|CRISIS", "system/Encounter.rs")
	if a := c.get("narrow", "Patient/p1/$crisis-summary"); a.status != http.StatusForbidden {
		t.Errorf("without a scope for Patient: %s", a)
	}
	for _, path := range []string{"CarePlan/p1/$crisis-summary", "Patient/p1/$everything"} {
		if a := c.get("officer", path); a.status != http.StatusNotFound {
			t.Errorf("%s: %s", path, a)
		}
	}
}

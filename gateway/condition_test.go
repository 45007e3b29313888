package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A condition finds what the token sees, and a Consent out of its sight cannot be
// felt through it: not another patient's, not one beyond the criteria of a scope.
func TestAConditionTellsOfNothingOutOfSight(t *testing.T) {
	c := ward(t)
	c.link("Patient/p2", "ehr", "r2")
	create := func(who, patient, id string) answer {
		body := strings.ReplaceAll(strings.Replace(release, `"value":"7"`, `"value":"`+id+`"`, 1), "Patient/p1", patient)
		return c.do(who, http.MethodPost, "Consent", body, with("If-None-Exist", "identifier=urn:forms|"+id))
	}
	c.signIn("other", "Patient/p2", "patient/*.cruds")
	c.signIn("app", "Patient/p1", "patient/*.cruds")
	c.signIn("inactive", "", "user/Consent.c user/Consent.rs?status=inactive user/Patient.r")
	c.signIn("active", "", "user/Consent.c user/Consent.rs?status=active user/Patient.r")
	c.signIn("blind", "", "user/Consent.cs user/Patient.r")
	for _, step := range []struct {
		note, who, patient, id string
		status                 int
	}{
		{"the first", "other", "Patient/p2", "1", 201},
		{"again", "other", "Patient/p2", "1", 200},
		{"another patient's identifier", "app", "Patient/p1", "1", 201},
		{"the same again", "app", "Patient/p1", "1", 200},
		{"an identifier of nobody's", "app", "Patient/p1", "2", 201},
		{"beyond the criteria", "inactive", "Patient/p1", "1", 201},
		{"within the criteria", "active", "Patient/p1", "2", 200},
		{"a token that reads no Consent", "blind", "Patient/p1", "1", 403},
		{"the same, of what is not there", "blind", "Patient/p1", "9", 403},
	} {
		if a := create(step.who, step.patient, step.id); a.status != step.status {
			t.Errorf("%s: %s; want %d", step.note, a, step.status)
		}
	}
}

// A condition that stands twice, or says nothing, is not dropped.
func TestConditionsThatCannotBeKeptTo(t *testing.T) {
	c := ward(t)
	for _, tt := range []struct {
		method, path, body, name string
		values                   []string
	}{
		{"POST", "Consent", release, "If-None-Exist", []string{""}},
		{"POST", "Consent", release, "If-None-Exist", []string{"identifier=urn:forms|7", "identifier=urn:forms|8"}},
		{"PUT", "Consent/1", strings.Replace(release, "{", `{"id":"1",`, 1), "If-Match", []string{`W/"1"`, `W/"2"`}},
		{"POST", "Consent/1/$revoke", `{"resourceType":"Parameters"}`, "If-Match", []string{`W/"1"`, `W/"2"`}},
	} {
		r := httptest.NewRequest(tt.method, "http://gateway.test/fhir/"+tt.path, strings.NewReader(tt.body))
		r.Header = http.Header{"Authorization": {"Bearer clinician"}, "Content-Type": {"application/fhir+json"}, tt.name: tt.values}
		w := httptest.NewRecorder()
		c.server.ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "http."+tt.name) {
			t.Errorf("%s %s with %s %q: %d %s", tt.method, tt.path, tt.name, tt.values, w.Code, w.Body)
		}
	}
}

// Who cannot see the Patient is told what the token lacks, whoever is named.
func TestATokenThatSeesNoPatientIsToldSo(t *testing.T) {
	c := newCounty(t)
	c.populate()
	c.login("unit", "pd", true, "law-enforcement-officer", "https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use|CRISIS", "system/Consent.c")
	there := c.do("unit", http.MethodPost, "Consent", release, asFHIR)
	nobody := c.do("unit", http.MethodPost, "Consent", strings.ReplaceAll(release, "Patient/p1", "Patient/p9"), asFHIR)
	if there.status != http.StatusUnprocessableEntity || !strings.Contains(there.body, "do not let it read a Patient") || there.body != nobody.body {
		t.Errorf("%s\n%s", there, nobody)
	}
}

// A capture under patient/ scopes does not find out that its identifier stands for
// what somebody else said.
func TestACaptureFeelsNobodyElses(t *testing.T) {
	c := newCounty(t)
	c.populate()
	c.put(strings.ReplaceAll(person, `"p1"`, `"p2"`))
	signIn := func(patient, scopes string) {
		c.login("unit", "pd", true, "law-enforcement-officer", "https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use|CRISIS", scopes)
		p := c.tokens["unit"]
		p.Authorization, p.User.Subject, p.Patient = "auth-unit", "sub-unit", patient
	}
	for _, step := range []struct {
		note, context, scopes, patient, id string
		status                             int
	}{
		{"the first", "Patient/p2", "patient/*.cruds", "Patient/p2", "1", 201},
		{"again", "Patient/p2", "patient/*.cruds", "Patient/p2", "1", 200},
		{"another patient, the same identifier", "Patient/p1", "patient/*.cruds", "Patient/p1", "1", 201},
		{"the same again", "Patient/p1", "patient/*.cruds", "Patient/p1", "1", 200},
		{"another patient, an identifier of nobody's", "Patient/p1", "patient/*.cruds", "Patient/p1", "2", 201},
		{"who sees both is told", "", "user/*.cruds", "Patient/p1", "1", 409},
	} {
		signIn(step.context, step.scopes)
		if a := c.do("unit", http.MethodPost, "Consent/$capture", sentBy(verbal(step.patient, step.id)), asFHIR); a.status != step.status {
			t.Errorf("%s: %s; want %d", step.note, a, step.status)
		}
	}
}

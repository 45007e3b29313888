package smart

import (
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
)

func parse(t testing.TB, raw string) *resource.Resource {
	t.Helper()
	r, err := resource.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const (
	labObservation = `{"resourceType":"Observation","id":"o1","status":"final",
 "meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"N"}]},
 "category":[{"text":"x"},{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"},{"code":"local"}]}],
 "code":{"coding":[{"system":"http://loinc.org","code":"2345-7"}]}}`
	patient = `{"resourceType":"Patient","id":"p1","gender":"female"}`
)

func TestCoversEachReturnedResource(t *testing.T) {
	tests := []struct {
		note, scopes, resource string
		read, match, found     bool
	}{
		{"its own type", "system/Patient.rs", patient, true, true, true},
		{"another type", "system/Encounter.rs", patient, false, false, false},
		{"wildcard", "user/*.rs", patient, true, true, true},
		{"v1 read", "user/Patient.read", patient, true, true, true},
		{"v1 all", "user/*.*", patient, true, true, true},
		{"v1 write covers nothing returned", "user/*.write", patient, false, false, false},
		{"c, u, d cover nothing returned", "system/*.cud", patient, false, false, false},
		{"r alone does not match a search", "system/Patient.r", patient, true, false, true},
		{"s alone is not read", "system/Patient.s", patient, false, true, true},
		{"no scope", "", patient, false, false, false},
		{"others are ignored", "openid launch/patient", patient, false, false, false},
		{"criterion holds", "system/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory", labObservation, true, true, true},
		{"criterion without system", "system/Observation.rs?category=laboratory", labObservation, true, true, true},
		{"criterion without a system in the data", "system/Observation.rs?category=|local", labObservation, true, true, true},
		{"empty system does not mean any", "system/Observation.rs?category=|laboratory", labObservation, false, false, false},
		{"criterion with any code of a system", "system/Observation.rs?code=http://loinc.org|", labObservation, true, true, true},
		{"criterion of another system", "system/Observation.rs?category=http://example.org|laboratory", labObservation, false, false, false},
		{"criterion of another code", "system/Observation.rs?category=vital-signs", labObservation, false, false, false},
		{"code is matched in its case", "system/Observation.rs?category=Laboratory", labObservation, false, false, false},
		{"a prefix is no match", "system/Observation.rs?category=lab", labObservation, false, false, false},
		{"text is no code", "system/Observation.rs?category=x", labObservation, false, false, false},
		{"any of several values", "system/Observation.rs?category=vital-signs,laboratory", labObservation, true, true, true},
		{"all criteria", "system/Observation.rs?category=laboratory&status=final", labObservation, true, true, true},
		{"one criterion fails", "system/Observation.rs?category=laboratory&status=amended", labObservation, false, false, false},
		{"status with its system", "system/Observation.rs?status=http://hl7.org/fhir/observation-status|final", labObservation, true, true, true},
		{"status with a wrong system", "system/Observation.rs?status=http://example.org|final", labObservation, false, false, false},
		{"a code says no system of its own, as in a search", "system/Observation.rs?status=|final", labObservation, true, true, true},
		{"label", "system/*.rs?_security=http://terminology.hl7.org/CodeSystem/v3-Confidentiality|N", labObservation, true, true, true},
		{"label absent from the returned form", "system/*.rs?_security=N", patient, false, false, false},
		{"criterion on a type that lacks the parameter", "system/*.rs?category=laboratory", patient, false, false, false},
		{"escaped comma is one value", `system/Observation.rs?category=vital-signs%5C,laboratory`, labObservation, false, false, false},
		{"several scopes add up", "system/Observation.rs?category=vital-signs system/Observation.rs?category=laboratory", labObservation, true, true, true},
		{"letters and criteria go together", "system/Observation.r?category=laboratory system/Observation.s?category=vital-signs", labObservation, true, false, true},
		{"unknown criterion is dropped whole", "system/Observation.rs?foo=bar", labObservation, false, false, false},
		{"modifier is dropped whole", "system/Observation.rs?category:not=vital-signs", labObservation, false, false, false},
		{"gender", "system/Patient.rs?gender=female", patient, true, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.note, func(t *testing.T) {
			ss, r := ParseGranted(tt.scopes), parse(t, tt.resource)
			if got := ss.Covers(r); got != tt.read {
				t.Errorf("Covers = %v, want %v", got, tt.read)
			}
			if got := ss.CoversMatch(r); got != tt.match {
				t.Errorf("CoversMatch = %v, want %v", got, tt.match)
			}
			if got := ss.CoversFound(r); got != tt.found {
				t.Errorf("CoversFound = %v, want %v", got, tt.found)
			}
		})
	}
	if (Scopes{{}}).CoversAny(parse(t, patient), everything) || Scopes(nil).Covers(nil) {
		t.Error("zero values cover something")
	}
}

func TestARedactedElementSatisfiesNoCriterion(t *testing.T) {
	ss := ParseGranted("system/Observation.rs?category=laboratory")
	if ss.Covers(parse(t, `{"resourceType":"Observation","status":"final"}`)) {
		t.Error("covered although the category is not in the returned form")
	}
	if ss.Covers(parse(t, `{"resourceType":"Observation","category":{"coding":"laboratory"}}`)) {
		t.Error("a malformed category satisfied the criterion")
	}
}

func TestAllowsInteractions(t *testing.T) {
	tests := []struct {
		note, scopes, typ string
		p                 Permission
		contexts          []string
		want              bool
	}{
		{"read with r", "system/Patient.r", "Patient", Read, nil, true},
		{"search with r only", "system/Patient.r", "Patient", Search, nil, false},
		{"search with s only", "system/Patient.s", "Patient", Search, nil, true},
		{"read with s only", "system/Patient.s", "Patient", Read, nil, false},
		{"v1 read is no delete", "system/Patient.read", "Patient", Delete, nil, false},
		{"v1 write is no read", "system/Patient.write", "Patient", Read, nil, false},
		{"two scopes of a context add up", "system/Patient.s system/*.u", "Patient", Search | Update, nil, true},
		{"contexts do not mix", "user/Patient.s system/Patient.u", "Patient", Search | Update, nil, false},
		{"only these contexts", "user/Patient.r", "Patient", Read, []string{ContextSystem}, false},
		{"another type", "system/Patient.cruds", "Consent", Search, nil, false},
		{"criteria allow up front", "system/Observation.s?category=laboratory", "Observation", Search, nil, true},
		{"no type", "system/*.cruds", "", Read, nil, false},
		{"nothing asked", "system/*.cruds", "Patient", 0, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.note, func(t *testing.T) {
			if got := ParseGranted(tt.scopes).Allows(tt.typ, tt.p, tt.contexts...); got != tt.want {
				t.Errorf("Allows = %v, want %v", got, tt.want)
			}
		})
	}
	if got := ParseGranted("user/Patient.r system/Patient.r").In("user"); got.String() != "user/Patient.r" {
		t.Errorf("In(user) = %v", got)
	}
}

func BenchmarkCovers(b *testing.B) {
	ss := ParseGranted("system/Patient.rs system/Encounter.rs system/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory")
	r := parse(b, labObservation)
	b.ReportAllocs()
	for b.Loop() {
		if !ss.Covers(r) {
			b.Fatal("not covered")
		}
	}
}

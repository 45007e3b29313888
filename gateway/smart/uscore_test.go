package smart

import (
	"fmt"
	"strings"
	"testing"
)

// Types that US Core 3.1.1 to 8 search by category: its SearchParameters
// us-core-*-category, with a category of each.
var byCategory = map[string]string{
	"CarePlan":          "http://hl7.org/fhir/us/core/CodeSystem/careplan-category|assess-plan",
	"Condition":         "http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item",
	"DiagnosticReport":  "http://terminology.hl7.org/CodeSystem/v2-0074|LAB",
	"DocumentReference": "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category|clinical-note",
	"Observation":       "http://terminology.hl7.org/CodeSystem/observation-category|vital-signs",
	"ServiceRequest":    "http://snomed.info/sct|387713003",
}

func TestEveryUSCoreCategoryNarrowsAScope(t *testing.T) {
	for typ, category := range byCategory {
		system, code, _ := strings.Cut(category, "|")
		has := parse(t, fmt.Sprintf(`{"resourceType":%q,"category":[{"text":"x"},{"coding":[{"code":"y"},{"system":%q,"code":%q}]}]}`, typ, system, code))
		other := parse(t, fmt.Sprintf(`{"resourceType":%q,"category":[{"coding":[{"system":%q,"code":"other"},{"system":"http://x","code":%q}]}]}`, typ, system, code))
		without := parse(t, fmt.Sprintf(`{"resourceType":%q,"code":{"coding":[{"system":%q,"code":%q}]}}`, typ, system, code))
		for _, level := range []string{ContextPatient, ContextUser, ContextSystem} {
			in := level + "/" + typ + ".rs?category=" + category
			s, err := ParseScope(in)
			if err != nil || s.String() != in {
				t.Fatalf("%s: %v, %v", in, s, err)
			}
			if ss := (Scopes{s}); !ss.Covers(has) || !ss.CoversMatch(has) || ss.Covers(other) || ss.Covers(without) {
				t.Errorf("%s covers the wrong resources", in)
			}
		}
	}
}

func TestUSCoreScopesCanBeAskedFor(t *testing.T) {
	got := USCoreScopes(ContextPatient, "Patient", "Observation", "Condition", "DocumentReference")
	if len(got) != 9 {
		t.Fatalf("%d scopes: %v", len(got), got)
	}
	asked, err := ParseRequested(strings.Join(got, " "))
	if err != nil || Normalize(asked).String() != strings.Join(got, " ") {
		t.Errorf("%v: %v", asked, err)
	}
}

// Criteria beyond category: one of each kind of token that R4 has.
func TestAnyTokenParameterNarrowsAScope(t *testing.T) {
	tests := []struct{ scope, yes, no string }{
		{"Patient.r?identifier=http://x|7", `"identifier":[{"value":"7"},{"system":"http://x","value":"7"}]`, `"identifier":[{"system":"http://y","value":"7"},{"system":"http://x","value":"8"}]`},
		{"Patient.r?active=true", `"active":true`, `"active":false`},
		{"Patient.r?active=true", `"active":true`, `"gender":"male"`},
		{"Patient.r?deceased=true", `"deceasedDateTime":"2020-01-01"`, `"deceasedBoolean":false`},
		{"Patient.r?deceased=false", `"gender":"male"`, `"deceasedBoolean":true`},
		{"Patient.r?phone=555-0100", `"telecom":[{"system":"phone","value":"555-0100"}]`, `"telecom":[{"system":"email","value":"555-0100"}]`},
		{"Patient.r?telecom=a@b.example", `"telecom":[{"system":"email","value":"a@b.example"}]`, `"telecom":[{"system":"email","value":"c@b.example"}]`},
		{"Patient.r?language=en", `"communication":[{"language":{"coding":[{"system":"urn:ietf:bcp:47","code":"en"}]}}]`, `"communication":[{"language":{"coding":[{"code":"fr"}]}}]`},
		{"Patient.r?gender=female,other", `"gender":"other"`, `"gender":"male"`},
		{"Patient.r?_id=p1,p2", `"id":"p2"`, `"id":"p3"`},
		{"Encounter.r?class=http://terminology.hl7.org/CodeSystem/v3-ActCode|AMB", `"class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"}`, `"class":{"code":"AMB"}`},
		{"MedicationRequest.r?code=http://www.nlm.nih.gov/research/umls/rxnorm|", `"medicationCodeableConcept":{"coding":[{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"1"}]}`, `"medicationCodeableConcept":{"coding":[{"system":"http://x","code":"1"}]}`},
		{"Observation.r?combo-code=8480-6", `"component":[{"code":{"coding":[{"code":"8480-6"}]}}]`, `"component":[{"valueCodeableConcept":{"coding":[{"code":"8480-6"}]}}]`},
		{"Observation.r?_tag=|t", `"meta":{"tag":[{"code":"t"}]}`, `"meta":{"tag":[{"system":"http://x","code":"t"}]}`},
	}
	for _, tt := range tests {
		s, err := ParseScope("system/" + tt.scope)
		if err != nil {
			t.Errorf("%s: %v", tt.scope, err)
			continue
		}
		for body, want := range map[string]bool{tt.yes: true, tt.no: false} {
			r := parse(t, `{"resourceType":"`+s.ResourceType+`",`+body+`}`)
			if got := (Scopes{s}).Covers(r); got != want {
				t.Errorf("%s covers %s: %v", tt.scope, r.Raw(), got)
			}
		}
	}
	for _, bad := range []string{"Patient.r?name=x", "Patient.r?birthdate=2000", "Patient.r?general-practitioner=x", "Patient.r?active=tr|ue|x", "Patient.r?_id=a/b", "Patient.r?deceased=maybe",
		"Patient.r?identifier:of-type=x", "Patient.r?gender:not=male", "Patient.r?gender:missing=true", "Patient.r?gender:text=male", "Patient.r?general-practitioner.identifier=x", "Patient.r?_has:Observation:patient:code=x",
		"Observation.r?code-value-concept=a$b", "Observation.r?_filter=code%20eq%20x", "Patient.r?_count=1", "Patient.r?_query=x", "Patient.r?_content=x", "Patient.r?gender=a%5Cb"} {
		if s, err := ParseScope("system/" + bad); err == nil {
			t.Errorf("%s is granted: %v", bad, s)
		}
		if ss := ParseGranted("system/" + bad); len(ss) > 0 {
			t.Errorf("%s counts: %v", bad, ss)
		}
	}
}

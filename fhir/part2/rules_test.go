package part2

import (
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
)

func TestUnitsOfAMessage(t *testing.T) {
	rules := New([]Rule{
		{Place: "PV1-10", Values: []string{"DTX", "sud unit"}},
		{Place: "PV1-3", Values: []string{"9W"}, Others: []string{"4W", "ED"}},
		{Place: "MSH-4", Values: []string{"HARBOR-OTP"}, Others: []string{"HARBOR"}},
	})
	for _, c := range []struct {
		name string
		at   map[string][]Value
		want bool
	}{
		{"hospital service of the unit", map[string][]Value{"PV1-10": {{"DTX"}}, "PV1-3": {{"4W", "401"}}}, true},
		{"in another case, with blanks", map[string][]Value{"PV1-10": {{" Sud  Unit "}}}, true},
		{"location of the unit", map[string][]Value{"PV1-10": {{"MED"}}, "PV1-3": {{"9W", "901", "A"}}}, true},
		{"facility of the unit", map[string][]Value{"MSH-4": {{"HARBOR-OTP"}}, "PV1-10": {{"MED"}}}, true},
		{"one of two repetitions", map[string][]Value{"PV1-10": {{"MED"}, {"DTX"}}}, true},
		{"known to be another", map[string][]Value{"PV1-10": {{"MED"}}}, false},
		{"known by the location", map[string][]Value{"PV1-3": {{"4W", "401"}}}, false},
		{"all places agree", map[string][]Value{"PV1-10": {{"MED"}}, "PV1-3": {{"ED"}}, "MSH-4": {{"HARBOR"}}}, false},
		{"a location in neither list", map[string][]Value{"PV1-3": {{"7N"}}}, true},
		{"a location in neither list beside a known service", map[string][]Value{"PV1-10": {{"MED"}}, "PV1-3": {{"7N"}}}, true},
		{"nothing", nil, true},
		{"empty values", map[string][]Value{"PV1-10": {{"", " "}}, "PV1-3": {{}}}, true},
	} {
		if got := rules.Of(func(p string) []Value { return c.at[p] }); got != c.want {
			t.Errorf("%s: Part 2 is %v, want %v", c.name, got, c.want)
		}
	}
	if new(Rules).Of(nil) || (*Rules)(nil).Of(nil) {
		t.Error("without rules nothing is Part 2 by its unit")
	}
}

func TestUnitsOfAResource(t *testing.T) {
	rules := New([]Rule{
		{Place: "serviceProvider", Values: []string{"Organization/otp", "http://npi|111"}},
		{Place: "location.location", Values: []string{"Location/9w"}},
		{Place: "performer", Values: []string{"Organization/otp"}, Others: []string{"Organization/lab"}},
		{Place: "Condition.recorder", Values: []string{"PractitionerRole/sud"}},
		{Place: "serviceType", Values: []string{"http://hs|DTX", "Detox"}},
		{Place: "meta.tag", Values: []string{"urn:dept|otp"}},
		{Place: "managingOrganization", Values: []string{"Organization/otp"}, Others: []string{"Organization/hospital"}},
	})
	enc := func(s string) string { return `{"resourceType":"Encounter",` + s + `"status":"finished"}` }
	for in, want := range map[string]bool{
		enc(`"serviceProvider":{"reference":"Organization/otp"},`):                                                                                                    true,
		enc(`"serviceProvider":{"reference":"https://ehr.example/fhir/Organization/otp"},`):                                                                           true,
		enc(`"serviceProvider":{"identifier":{"system":"http://npi","value":"111"}},`):                                                                                true,
		enc(`"serviceProvider":{"reference":"Organization/hospital"},`):                                                                                               false,
		enc(`"serviceProvider":{"reference":"Organization/hospital"},"location":[{"location":{"reference":"Location/1"}},{"location":{"reference":"Location/9W"}}],`): true,
		enc(`"contained":[{"resourceType":"Location","id":"l","identifier":[{"value":"x"}],"name":"Ward"}],"location":[{"location":{"reference":"#l"}}],`):            false,
		enc(`"serviceType":{"coding":[{"system":"http://hs","code":"DTX"}]},`):                                                                                        true,
		enc(`"serviceType":{"text":"detox"},`):                                                                                                                        true,
		enc(`"serviceType":{"text":"surgery"},`):                                                                                                                      false,
		enc(`"meta":{"tag":[{"system":"urn:dept","code":"otp"}]},`):                                                                                                   true,
		enc(``): true,
		`{"resourceType":"Observation","status":"final","performer":[{"reference":"Organization/lab"}]}`:                                                                                          false,
		`{"resourceType":"Observation","status":"final","performer":[{"reference":"Practitioner/p"}]}`:                                                                                            true,
		`{"resourceType":"Observation","status":"final","encounter":{"reference":"Encounter/e"}}`:                                                                                                 true,
		`{"resourceType":"Observation","status":"final","encounter":{"reference":"#e"},"contained":[{"resourceType":"Encounter","id":"e","serviceProvider":{"reference":"Organization/h"}}]}`:     false,
		`{"resourceType":"Observation","status":"final","encounter":{"reference":"#e"},"contained":[{"resourceType":"Encounter","id":"e","serviceProvider":{"reference":"Organization/otp"}}]}`:   true,
		`{"resourceType":"DocumentReference","status":"current","context":{"encounter":[{"reference":"#e"}]},"contained":[{"resourceType":"Encounter","id":"e","serviceType":{"text":"Detox"}}]}`: true,
		`{"resourceType":"Condition","recorder":{"reference":"PractitionerRole/sud"}}`:                                                                                                            true,
		`{"resourceType":"Condition","recorder":{"reference":"PractitionerRole/med"}}`:                                                                                                            false,
		`{"resourceType":"Procedure","status":"completed","recorder":{"reference":"PractitionerRole/med"}}`:                                                                                       true,
		`{"resourceType":"Patient","managingOrganization":{"reference":"Organization/hospital"}}`:                                                                                                 false,
		`{"resourceType":"Patient"}`:                                                                                   true,
		`{"resourceType":"Organization","id":"otp"}`:                                                                   false,
		`{"resourceType":"PractitionerRole","organization":{"reference":"Organization/otp"}}`:                          false,
		`{"resourceType":"Condition","code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"I10"}]}}`: true,
	} {
		r, err := resource.Parse([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if got := rules.OfResource(r); got != want {
			t.Errorf("%s: Part 2 is %v, want %v", in, got, want)
		}
		if new(Rules).OfResource(r) {
			t.Errorf("%s: Part 2 without rules", in)
		}
	}
}

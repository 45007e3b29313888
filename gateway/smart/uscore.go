package smart

import "slices"

// Granular scopes that US Core asks of a server. Any token parameter of R4 can
// stand in a scope here; these are the ones that clients are told to expect.
// Source: HL7/US-Core, input/data/profile_metadata.csv (docs/SOURCES.md).

const (
	conditionCategory   = "http://terminology.hl7.org/CodeSystem/condition-category|"
	observationCategory = "http://terminology.hl7.org/CodeSystem/observation-category|"
	usCoreCategory      = "http://hl7.org/fhir/us/core/CodeSystem/us-core-category|"
)

// usCore are the categories by type: those that US Core says a server SHALL or
// SHOULD support as scopes.
var usCore = map[string][]string{
	"Condition": {
		conditionCategory + "encounter-diagnosis", conditionCategory + "problem-list-item",
		"http://hl7.org/fhir/us/core/CodeSystem/condition-category|health-concern",
	},
	"DocumentReference": {"http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category|clinical-note"},
	"Observation": {
		observationCategory + "laboratory", observationCategory + "social-history", observationCategory + "survey",
		observationCategory + "vital-signs", usCoreCategory + "sdoh",
	},
}

// USCoreScopes lists US Core's granular scopes of one level on these types, for
// scopes_supported: "patient/Observation.rs?category=…".
func USCoreScopes(level string, types ...string) []string {
	var out []string
	for _, typ := range slices.Sorted(slices.Values(types)) {
		for _, category := range usCore[typ] {
			s := Scope{Context: level, ResourceType: typ, Permissions: v1Read, Criteria: []Criterion{{"category", category}}}
			out = append(out, s.String())
		}
	}
	return out
}

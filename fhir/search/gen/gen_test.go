package main

import (
	"bytes"
	"os"
	"testing"
)

func TestTheCommittedParametersAreTheOfficialOnes(t *testing.T) {
	raw, err := os.ReadFile("../../../../shared/data/fhir/r4-definitions/search-parameters.json")
	if err != nil {
		t.Skip("../shared is absent: the table was not compared with the official SearchParameters")
	}
	want, err := Parameters(raw)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../parameters.tsv")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("parameters.tsv is not what the official file gives; run go generate ./fhir/search")
	}
}

func TestPositions(t *testing.T) {
	for _, c := range []struct{ base, expression, want string }{
		{"Patient", "Patient.name | Person.name", "name"},
		{"Observation", "(Observation.value as Quantity) | (Observation.value as SampledData)", "valueQuantity"},
		{"Condition", "Condition.onset.as(Age) | Condition.onset.as(Range)", "onsetAge|onsetRange"},
		{"Patient", "Patient.telecom.where(system='phone')", "telecom[system=phone]"},
		{"Encounter", "Encounter.subject.where(resolve() is Patient)", "subject{Patient}"},
		{"Bundle", "Bundle.entry[0].resource", ""},
		{"Patient", "Person.name", ""},
	} {
		got, ok := positions(c.base, c.expression)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s: %q, want %q", c.expression, got, c.want)
		}
	}
}

package main

import (
	"bytes"
	"os"
	"testing"
)

func TestTheCommittedTableIsTheOfficialOne(t *testing.T) {
	const dir = "../../../../shared/data/fhir/r4-definitions/"
	want, err := Table(dir+"compartmentdefinition-patient.json", dir+"search-parameters.json")
	if os.IsNotExist(err) {
		t.Skip("../shared is absent: the table was not compared with the official compartment")
	}
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../patient.tsv")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("patient.tsv is not what the official files give; run go generate ./fhir/compartment")
	}
}

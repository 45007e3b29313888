package validate

import (
	"compress/bzip2"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/handoff-health/handoff/fhir/outcome"
)

// wrong are official examples that are not R4: qs1 has items without linkId.
var wrong = map[string]bool{"Questionnaire-qs1.json": true}

func TestOfficialExamplesPass(t *testing.T) {
	files, _ := filepath.Glob("../../../shared/data/fhir/r4-examples/*.json")
	if len(files) == 0 {
		t.Skip("../shared is absent: the official R4 examples were not validated")
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, is := range Bytes(raw) {
			if is.Severity == outcome.Warning || wrong[filepath.Base(f)] {
				continue
			}
			t.Errorf("%s: %s", filepath.Base(f), is)
		}
	}
}

func TestSyntheticTransactionsPass(t *testing.T) {
	files, _ := filepath.Glob("../../../shared/data/fhir/synthea/*.json.bz2")
	if len(files) == 0 {
		t.Skip("../shared is absent: the Synthea transactions were not validated")
	}
	for _, f := range files {
		in, err := os.Open(f)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(bzip2.NewReader(in))
		in.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, is := range Bytes(raw) {
			if is.Severity != outcome.Warning {
				t.Errorf("%s: %s", filepath.Base(f), is)
			}
		}
	}
}

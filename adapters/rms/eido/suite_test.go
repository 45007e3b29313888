package eido_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/adaptertest"
	"github.com/handoff-health/handoff/adapters/rms/eido"
	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/validate"
	"github.com/handoff-health/handoff/mappings"
)

func suite(t testing.TB) adaptertest.Suite {
	return adaptertest.BuiltIn(t, "rms/eido", "testdata")
}

func TestSuite(t *testing.T) {
	s := suite(t)
	s.Good, s.Bad = adaptertest.Input(t, "testdata/incidents.golden"), adaptertest.Input(t, "testdata/refused.golden")
	s.Run(t)
}

func TestHearsayAndCallersStayOut(t *testing.T) {
	out, _, _, _, err := suite(t).Convert(false, false, adaptertest.Input(t, "testdata/incidents.golden"))
	if err != nil {
		t.Fatal(err)
	}
	for _, never := range []string{"schizophrenia", "PTSD", `"Caller"]`, `"family":"Caller"`, "Condition"} {
		if strings.Contains(out, never) {
			t.Errorf("%s comes out", never)
		}
	}
}

func TestSamplesConvert(t *testing.T) {
	files, _ := filepath.Glob("../../../../shared/data/police/*/*eido*.json")
	if len(files) == 0 {
		t.Skip("../shared is absent: the EIDO samples were not tried")
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out, rejects, _, _, err := suite(t).Convert(false, false, raw)
		if err != nil || rejects != "" || !strings.Contains(out, `"resourceType":"Encounter"`) {
			t.Errorf("%s: %v %s", f, err, rejects)
		}
		for _, l := range strings.Split(strings.TrimSpace(out), "\n") {
			r, err := resource.Parse([]byte(l))
			if err != nil {
				t.Fatal(err)
			}
			for _, is := range validate.Resource(r) {
				if is.Severity == outcome.Failure || is.Severity == outcome.Fatal {
					t.Errorf("%s: %s %s", f, is.Expression, is.Diagnostics)
				}
			}
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(string(adaptertest.Input(f, "testdata/incidents.golden")))
	f.Add(string(adaptertest.Input(f, "testdata/refused.golden")))
	s := suite(f)
	f.Fuzz(func(t *testing.T, in string) {
		src, err := eido.Open(context.Background(), adapters.Input{Name: "f", Reader: strings.NewReader(in)}, s.Options)
		if err != nil {
			return
		}
		for {
			it, err := src.Next(context.Background())
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if it.Record == nil {
				continue
			}
			if _, err := s.Mapper.Apply(it.Record, mappings.Options{}); err != nil && !errors.Is(err, mappings.ErrLimit) {
				t.Fatal(err)
			}
		}
	})
}

package csv_test

import (
	"os"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/adaptertest"
	"github.com/handoff-health/handoff/adapters/all"
	"github.com/handoff-health/handoff/mappings"
)

const rivertonMapping = "rms/riverton/contact.map.yaml"

func suite(t testing.TB) adaptertest.Suite {
	m, err := mappings.Load(mappings.Files(), rivertonMapping, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := all.Find("rms/csv")
	if err != nil {
		t.Fatal(err)
	}
	return adaptertest.Suite{Format: f, Mapper: m, Goldens: "testdata",
		Options: adapters.Options{Profile: m.Profile(), Fields: m.Fields(), Kinds: m.Kinds()}}
}

func TestSuite(t *testing.T) {
	s := suite(t)
	for name, to := range map[string]*[]byte{"testdata/good.csv": &s.Good, "testdata/bad.csv": &s.Bad} {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		*to = raw
	}
	s.Run(t)
}

func TestRivertonExportConverts(t *testing.T) {
	raw, err := os.ReadFile("../../../../shared/data/police/synthetic/rms_contacts_cit_riverton_cp1252.csv")
	if err != nil {
		t.Skip("../shared is absent: the Riverton export was not tried")
	}
	s := suite(t)
	out, rejects, _, reports, err := s.Convert(false, false, raw)
	if err != nil {
		t.Fatal(err)
	}
	r := reports[0]
	if r.Records != 121 || !r.AddsUp() || strings.Count(rejects, "\n") != r.Rejects {
		t.Errorf("%+v with %d lines of rejects", r, strings.Count(rejects, "\n"))
	}
	var text strings.Builder
	_, _ = r.WriteTo(&text)
	t.Log(text.String())
	t.Log(rejects)
	if strings.Contains(out, `"resourceType":"Condition"`) {
		t.Error("a police record became a Condition")
	}
}

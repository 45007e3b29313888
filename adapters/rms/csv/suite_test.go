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

func suite(t testing.TB) adaptertest.Suite {
	return adaptertest.BuiltIn(t, "rms/csv", "testdata")
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

// The view of another system, by its mapping and profile alone.
func TestCedarView(t *testing.T) {
	p, err := mappings.LoadProfile(mappings.Files(), "rms/cedar/cedar.profile.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := mappings.Load(mappings.Files(), p.Mapping, p)
	if err != nil {
		t.Fatal(err)
	}
	f, err := all.Find(p.Adapter)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("testdata/cedar/contacts.golden")
	if err != nil {
		t.Fatal(err)
	}
	good, _, _ := strings.Cut(strings.TrimPrefix(string(raw), "<EF><BB><BF>"), adaptertest.Separator)
	adaptertest.Suite{Format: f, Mapper: m, Goldens: "testdata/cedar", Good: []byte(good), Bad: []byte(good + "a|b\n" + good[strings.IndexByte(good, '\n')+1:]),
		Options: adapters.Options{Profile: p, Fields: m.Fields(), Kinds: m.Kinds()}}.Run(t)
}

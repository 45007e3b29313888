package ndex_test

import (
	"os"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/adaptertest"
	"github.com/handoff-health/handoff/adapters/all"
	"github.com/handoff-health/handoff/mappings"
)

func suite(t testing.TB) adaptertest.Suite {
	f, err := all.Find("rms/ndex")
	if err != nil {
		t.Fatal(err)
	}
	m, err := mappings.Load(mappings.Files(), f.Mapping, nil)
	if err != nil {
		t.Fatal(err)
	}
	return adaptertest.Suite{Format: f, Mapper: m, Goldens: "testdata/golden", Options: adapters.Options{Profile: m.Profile(), Kinds: m.Kinds()}}
}

func TestSuite(t *testing.T) {
	s := suite(t)
	for name, to := range map[string]*[]byte{"testdata/good.xml": &s.Good, "testdata/bad.xml": &s.Bad} {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		*to = raw
	}
	s.Run(t)
}

package ndex_test

import (
	"os"
	"testing"

	"github.com/handoff-health/handoff/adapters/adaptertest"
)

func suite(t testing.TB) adaptertest.Suite {
	return adaptertest.BuiltIn(t, "rms/ndex", "testdata/golden")
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

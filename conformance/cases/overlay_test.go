package cases

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/gateway/policy/casefile"
)

// TestOverlaysOnlyRestrict runs every case of federal law alone again with each
// state's overlay in force at an unknown place, where it applies: nothing that
// was withheld may come out, and nothing that was cut may come back.
func TestOverlaysOnlyRestrict(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("data", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	runner := casefile.NewRunner()
	compared, narrowed := 0, 0
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all, _ := casefile.Read(raw)
		for _, c := range all {
			if len(c.Facts.Packs) > 0 || c.Request.Jurisdiction != "" {
				continue
			}
			before := runner.Run(c)
			for _, state := range []string{"us-ca", "us-fl", "us-il", "us-ny", "us-tx"} {
				with := *c
				with.Facts.Packs = []string{"us-federal", state}
				after := runner.Run(&with)
				for i, j := range after.Resources {
					compared++
					was := before.Resources[i]
					switch {
					case j.Resource == nil:
						if was.Resource != nil {
							narrowed++
						}
					case was.Resource == nil:
						t.Errorf("%s: %s lets %s out, which federal law withholds", c.ID, state, j.Reference)
					case len(j.Resource.Raw()) > len(was.Resource.Raw()):
						t.Errorf("%s: %s lets more of %s out than federal law does: %s", c.ID, state, j.Reference, j.Resource.Raw())
					}
				}
				if after.Problem != "" && !strings.HasPrefix(after.Problem, "query") {
					t.Errorf("%s: %s: %s", c.ID, state, after.Problem)
				}
			}
		}
	}
	if compared < 1000 || narrowed < 20 {
		t.Errorf("%d decisions compared, of which %d were narrowed", compared, narrowed)
	}
}

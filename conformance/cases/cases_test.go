package cases

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/handoff-health/handoff/gateway/policy/casefile"
)

var update = flag.Bool("update", false, "write the case files from the tables")

// tables are the families of cases; each is a file.
func tables() map[string][]row {
	out := map[string][]row{
		"actor": actorRows(), "purpose": purposeRows(), "period": periodRows(), "status": statusRows(),
		"label": labelRows(), "data": dataRows(), "nesting": nestingRows(), "combining": combiningRows(),
		"baseline": baselineRows(), "basis": basisRows(), "emergency": emergencyRows(),
		"corner-consent": consentCorners(), "corner-actor": actorCorners(), "corner-purpose": purposeCorners(),
		"corner-part2": part2Corners(), "corner-basis": basisCorners(), "corner-emergency": emergencyCorners(),
		"corner-redact": redactCorners(), "corner-search": searchCorners(), "corner-request": requestCorners(),
		"corner-label": labelCorners(), "corner-date": dateCorners(), "corner-select": selectCorners(),
		"part2": part2Rows(), "psychotherapy": psychotherapyRows(), "cji": cjiRows(), "scope": scopeRows(), "leak": leakRows(), "agreement": agreementRows(),
	}
	maps.Copy(out, sceneRows())
	return out
}

func TestFilesAreThoseOfTheTables(t *testing.T) {
	seen, count := map[string]bool{}, 0
	for family, rows := range tables() {
		var all []any
		for _, r := range rows {
			c := r.render(family)
			id, _ := c["id"].(string)
			if seen[id] {
				t.Errorf("two cases are called %s", id)
			}
			seen[id] = true
			all = append(all, c)
		}
		count += len(all)
		path, want := filepath.Join("data", family+".json"), marshal(all)
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the table says (%v); run go test ./conformance/cases -update and read the difference", path, err)
		}
	}
	if count < 100 {
		t.Errorf("only %d cases", count)
	}
}

func TestCasesComeOutAsExpected(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("data", "*.json"))
	if err != nil || len(files) != len(tables()) {
		t.Fatalf("%d case files for %d tables: %v", len(files), len(tables()), err)
	}
	runner := casefile.NewRunner()
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		cases, errs := casefile.Read(raw)
		for _, err := range errs {
			t.Errorf("%s: %v", f, err)
		}
		for _, c := range cases {
			t.Run(c.ID, func(t *testing.T) {
				if c.Expected == nil {
					t.Fatal("the case expects nothing")
				}
				for _, d := range runner.Run(c).Check(c) {
					t.Error(d)
				}
			})
		}
	}
}

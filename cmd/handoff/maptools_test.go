package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheBuiltInMappingsPassTheirTests(t *testing.T) {
	out, stderr, code := runLine("", "map", "test")
	if code != 0 {
		t.Fatalf("exit %d: %s%s", code, out, stderr)
	}
}

const vendorMapping = `mapping: ours/contact
version: 1.0.0
profile: our.profile.yaml
kinds: [contact]
columns: [Case, Name ID, Last, Born, Seen]
key: '"ours|" + text("Case")'
record-version: text("Seen")
resources:
  - id: patient
    type: Patient
    system: '"urn:ours"'
    key: text("Name ID")
    rows:
      - to: name
        rows:
          - {to: family, from: Last}
      - {to: birthDate, from: Born, as: date}
`

const vendorProfile = `profile: ours
adapter: rms/csv
timezone: America/Chicago
`

const vendorTests = `mapping: contact.map.yaml
tests:
  - name: a person
    record: {Case: "1", Name ID: N1, Last: Ruiz, Born: 1980-02-03, Seen: "2026-01-01 10:00"}
    expect: {Patient.name.family: Ruiz, Patient.birthDate: "1980-02-03"}
    count: {Patient: 1}
`

// vendor writes a vendor's own mapping with profile and tests into a directory.
func vendor(t *testing.T, tests string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"contact.map.yaml": vendorMapping, "our.profile.yaml": vendorProfile, "contact.test.yaml": tests} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestMapTestSaysWhatDoesNotHold(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		code     int
		want     []string
	}{
		"holds":            {"", "", 0, []string{"1 cases in 1 files: 1 hold, 0 do not"}},
		"another value":    {"Patient.name.family: Ruiz", "Patient.name.family: Ruis", 1, []string{"contact.test.yaml:5: Patient.name.family is \"Ruiz\", not \"Ruis\"; set by ", "contact.map.yaml:16 from Last"}},
		"no such element":  {"Patient.birthDate", "Patient.birthdate", 1, []string{"Patient has no element birthdate"}},
		"no such type":     {"Patient.birthDate", "Persona.birthDate", 1, []string{"there is no resource type Persona"}},
		"bad expression":   {"Patient.birthDate", "Patient..birthDate", 1, []string{"cannot be read"}},
		"count":            {"{Patient: 1}", "{Patient: 2}", 1, []string{"there are 1 of Patient, not \"2\""}},
		"reject expected":  {"count: {Patient: 1}", "rejects: [x]", 1, []string{`rejected with nothing, not "x"`}},
		"nothing expected": {"    expect: {Patient.name.family: Ruiz, Patient.birthDate: \"1980-02-03\"}\n    count: {Patient: 1}\n", "", 1, []string{"contact.test.yaml:3:5: the test expects nothing"}},
		"unknown key":      {"count:", "counts:", 1, []string{"unknown key \"counts\" in a test; did you mean \"count\"?"}},
		"no mapping":       {"mapping: contact.map.yaml", "mapping: contct.map.yaml", 1, []string{"contact.test.yaml:1: ", "contct.map.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := vendor(t, strings.Replace(vendorTests, c.old, c.new, 1))
			out, stderr, code := runLine("", "map", "test", filepath.Join(dir, "contact.test.yaml"))
			if code != c.code {
				t.Errorf("exit %d, want %d", code, c.code)
			}
			for _, w := range c.want {
				if !strings.Contains(out+stderr, w) {
					t.Errorf("want %q in\n%s%s", w, out, stderr)
				}
			}
		})
	}
}

func TestMapTestFindsTheTestsOfAMapping(t *testing.T) {
	dir := vendor(t, vendorTests)
	for _, arg := range []string{dir, filepath.Join(dir, "contact.map.yaml")} {
		if out, stderr, code := runLine("", "map", "test", arg); code != 0 || !strings.Contains(out, "1 hold") {
			t.Errorf("%s: exit %d: %s%s", arg, code, out, stderr)
		}
	}
	for _, arg := range []string{filepath.Join(dir, "our.profile.yaml"), t.TempDir(), filepath.Join(dir, "none.map.yaml")} {
		if _, stderr, code := runLine("", "map", "test", arg); code != 1 || stderr == "" {
			t.Errorf("%s: exit %d: %s", arg, code, stderr)
		}
	}
}

func TestMapDiffTellsWhatAChangeChanges(t *testing.T) {
	old, changed := vendor(t, vendorTests), vendor(t, vendorTests)
	text := strings.NewReplacer("{to: birthDate, from: Born, as: date}", "{to: gender, value: unknown}", "from: Last", "expr: 'upper(text(\"Last\"))'").Replace(vendorMapping)
	if err := os.WriteFile(filepath.Join(changed, "contact.map.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	corpus := filepath.Join(t.TempDir(), "a.csv")
	if err := os.WriteFile(corpus, []byte("Case,Name ID,Last,Born,Seen\n1,N1,Ruiz,1980-02-03,2026-01-01 10:00\n2,N2,LEE,1990-02-03,2026-01-01 10:00\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, stderr, code := runLine("", "map", "diff", filepath.Join(old, "contact.map.yaml"), filepath.Join(changed, "contact.map.yaml"), corpus)
	if code != 1 || !strings.Contains(stderr, "2 of 2 records differ") {
		t.Errorf("exit %d: %s%s", code, out, stderr)
	}
	for _, w := range []string{"added Patient.gender", "removed Patient.birthDate", "changed Patient.name.family", "now unmapped Born", "a.csv:2", "contact.map.yaml:16"} {
		if !strings.Contains(out, w) {
			t.Errorf("want %q in\n%s", w, out)
		}
	}
	if strings.Contains(out, "Ruiz") {
		t.Errorf("a value of a record is printed unasked:\n%s", out)
	}
	if out, _, _ := runLine("", "map", "diff", "--records", "--values", filepath.Join(old, "contact.map.yaml"), filepath.Join(changed, "contact.map.yaml"), corpus); !strings.Contains(out, `"Ruiz" → "RUIZ"`) {
		t.Errorf("no values in\n%s", out)
	}
	if out, stderr, code := runLine("", "map", "diff", filepath.Join(old, "contact.map.yaml"), filepath.Join(old, "contact.map.yaml"), filepath.Dir(corpus)); code != 0 || !strings.Contains(out, "2 records in 1 files: 0 differ") {
		t.Errorf("exit %d: %s%s", code, out, stderr)
	}
}

func TestMapExplainShowsRowsAndPlaces(t *testing.T) {
	dir := vendor(t, vendorTests)
	in := "Case,Name ID,Last,Born,Seen\n1,N1,Ruiz,1980-02-03,2026-01-01 10:00\n"
	out, stderr, code := runLine(in, "map", "explain", "--mapping", filepath.Join(dir, "contact.map.yaml"), "-")
	if code != 0 || !strings.Contains(out, "name[0].family") || !strings.Contains(out, "Last (2:3)") || strings.Contains(out, "Ruiz") {
		t.Errorf("exit %d: %s%s", code, out, stderr)
	}
	out, _, _ = runLine(in, "map", "explain", "--json", "--values", "--element", "Patient.birthDate", "--mapping", filepath.Join(dir, "contact.map.yaml"), "-")
	if !strings.Contains(out, `"element":"birthDate"`) || !strings.Contains(out, `"value":"\"1980-02-03\""`) || strings.Contains(out, "family") {
		t.Errorf("got %s", out)
	}
	if _, stderr, code := runLine(in, "map", "explain", "-"); code != 2 || !strings.Contains(stderr, "--adapter") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

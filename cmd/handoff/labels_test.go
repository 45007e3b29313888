package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// labelsRun runs a labels command and returns what it printed and its error.
func labelsRun(args ...string) (string, error) {
	var out bytes.Buffer
	root := newRootCommand()
	root.SetArgs(append([]string{"labels"}, args...))
	root.SetOut(&out)
	root.SetErr(&out)
	err := root.Execute()
	return out.String(), err
}

func TestLabelsExplain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "encounter.json")
	if err := os.WriteFile(file, []byte(`{"resourceType":"Encounter","id":"e","reasonCode":[{"coding":[{"system":"urn:oid:2.16.840.1.113883.6.90","code":"T360X2A"}],"text":"heroin use"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := labelsRun("explain", "--part2", file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"42CFRPart2  of the resource, by origin\n",
		"PSY         of Encounter.reasonCode[0].coding[0], by code http://hl7.org/fhir/sid/icd-10-cm|T360X2A at Encounter.reasonCode[0].coding[0]\n",
		"handoff:icd10cm-suicide (", "version FY2026.2 sha256:", "from National Health Statistics Reports 108",
		`SUD         of Encounter.reasonCode[0], by text "heroin" at Encounter.reasonCode[0].text`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	text, err = labelsRun("explain", "--json", file)
	if err != nil {
		t.Fatal(err)
	}
	var x explained
	if err := json.Unmarshal([]byte(text), &x); err != nil || x.Resource != "Encounter/e" || len(x.Labels) != 0 || len(x.Causes) != 4 || x.Causes[0].Label != "PSY" || x.Causes[0].Source == "" {
		t.Errorf("%v: %s", err, text)
	}
}

func TestLabelsExplainSaysWhatIsWrong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.json")
	if err := os.WriteFile(file, []byte("{\n \"resourceType\": 7}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{"x.json:": {"explain", file}, "needs a file": {"explain"}, "no such file": {"explain", file + "x"}, "--config": {"sweep"}, "unknown command": {"lst"}} {
		if _, err := labelsRun(args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}

func TestLabelsList(t *testing.T) {
	text, err := labelsRun("list", "--json")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) < 60 {
		t.Errorf("%d sets", len(lines))
	}
	for _, l := range lines {
		var s listedSet
		if err := json.Unmarshal([]byte(l), &s); err != nil || s.Source == "" || s.Licence == "" || s.Version == "" || s.Hash == "" || s.Codes == 0 || (s.System == "") != s.Words {
			t.Errorf("%v: %s", err, l)
		}
	}
	if text, err = labelsRun("list"); err != nil || !strings.Contains(text, "label set rules") {
		t.Errorf("%v: %s", err, text)
	}
}

package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestMapCheckListsTheGapsOfSamples(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		"m.map.yaml":     "mapping: x\nversion: 1.0.0\nkinds: [contact]\ncolumns: [No, Sex, Beat]\nvocabularies: {sex: /codes/sex.csv}\nkey: No\nrecord-version: '\"\"'\nresources:\n  - {id: p, type: Patient, system: '\"s\"', key: No, rows: [{to: gender, from: Sex, vocab: sex}]}\n",
		"a.profile.yaml": "profile: a\nadapter: rms/csv\nmapping: m.map.yaml\ntimezone: UTC\n",
		"s.csv":          "No,Sex,Beat,Colour\n1,F,4,red\n2,Zebra,4,\n3,Zebra,,blue\n",
	})
	stdout, stderr, code := runLine("", "map", "check", "--profile", filepath.Join(dir, "a.profile.yaml"), "--sample", filepath.Join(dir, "s.csv"))
	for _, want := range []string{"unread: Beat", "samples: 3 records", `2  no entry in sex for the code "Zebra" of Sex, first at`, "2  no row for the field Beat", "2  no row for the field Colour"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("lacks %q: %s%s", want, stdout, stderr)
		}
	}
	if code != 0 {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if _, _, code := runLine("", "map", "check", "--fail-unmapped", "--profile", filepath.Join(dir, "a.profile.yaml"), "--sample", filepath.Join(dir, "s.csv")); code != 1 {
		t.Errorf("with --fail-unmapped: exit %d", code)
	}
}

// The guide is followed in one's own folder, with bare file names.
func TestMapCheckInTheWorkingDirectory(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		"m.map.yaml":     "mapping: x\nversion: 1.0.0\nkinds: [contact]\ncolumns: [No]\nkey: No\nrecord-version: '\"\"'\nresources:\n  - {id: p, type: Patient, system: '\"s\"', key: No, rows: [{to: gender, value: male}]}\n",
		"a.profile.yaml": "profile: a\nadapter: rms/csv\nmapping: m.map.yaml\ntimezone: UTC\n",
		"b.profile.yaml": "profile: b\nadapter: rms/csv\nmapping: n.map.yaml\ntimezone: UTC\n",
		"c.profile.yaml": "profile: c\nadapter: rms/csv\nmapping: rms/riverton/contact.map.yaml\ntimezone: UTC\n",
		"e.profile.yaml": "profile: e\nadapter: rms/cvs\nmapping: m.map.yaml\ntimezone: UTC\n",
		"d.profile.yaml": "profile: d\ninherit: a.profile.yaml\naliases:\n  Nr: No\n  Nm: Name\n",
	})
	t.Chdir(dir)
	for name, want := range map[string]string{
		"a.profile.yaml": "", "./a.profile.yaml": "", "c.profile.yaml": "",
		"e.profile.yaml": "e.profile.yaml:2:10: unknown adapter \"rms/cvs\"",
		"b.profile.yaml": "b.profile.yaml:3:10: unknown mapping \"n.map.yaml\"",
		"d.profile.yaml": "d.profile.yaml:5:7: alias \"Nm\": the mapping has no column \"Name\"\n      Nm: Name\n",
	} {
		if _, stderr, code := runLine("", "map", "check", "--profile", name); (code == 0) != (want == "") || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d: %s", name, code, stderr)
		}
	}
}

// A record with which the mapping breaks off is told, and the others go on.
func TestMapToolsGoOnAfterARecordThatBreaksTheMapping(t *testing.T) {
	lets := "let:\n  - {name: v0, expr: 'No == \"2\" ? No : \"\"'}\n"
	for i := range 40 {
		lets += fmt.Sprintf("  - {name: v%d, expr: v%d + v%d}\n", i+1, i, i)
	}
	dir := writeFiles(t, map[string]string{
		"m.map.yaml":     "mapping: x\nversion: 1.0.0\nkinds: [contact]\ncolumns: [No]\n" + lets + "key: No\nrecord-version: '\"\"'\nresources:\n  - {id: p, type: Patient, system: '\"s\"', key: No, rows: [{to: gender, value: male}]}\n",
		"a.profile.yaml": "profile: a\nadapter: rms/csv\nmapping: m.map.yaml\ntimezone: UTC\n",
		"s.csv":          "No\n1\n2\n3\n",
	})
	t.Chdir(dir)
	stdout, stderr, code := runLine("", "map", "check", "--profile", "a.profile.yaml", "--sample", "s.csv")
	if code != 1 || !strings.Contains(stdout, "samples: 3 records") || !strings.Contains(stdout, "1  rejected: mapping-failed, first at") || !strings.Contains(stderr, "m.map.yaml:") {
		t.Errorf("check: exit %d: %s%s", code, stdout, stderr)
	}
	stdout, stderr, code = runLine("", "map", "explain", "--profile", "a.profile.yaml", "s.csv")
	if code != 0 || strings.Count(stdout, "Patient/") != 2 || !strings.Contains(stdout, "mapping-failed") {
		t.Errorf("explain: exit %d: %s%s", code, stdout, stderr)
	}
}

func TestMapCheckTellsWhyARecordCouldNotBeRead(t *testing.T) {
	stdout, stderr, code := runLine("", "map", "check", "rms/riverton/contact.map.yaml", "--sample", feedFile(t, "bad.csv"))
	if code != 0 || !strings.Contains(stdout, "rejected: ") || strings.Contains(stdout, "rejected: rejected") {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
}

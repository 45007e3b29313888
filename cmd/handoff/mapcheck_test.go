package main

import (
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

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMapCheckLoadsTheBuiltInMappings(t *testing.T) {
	stdout, stderr, code := runLine("", "map", "check")
	if code != 0 || !strings.Contains(stdout, "ok  rms/riverton/contact.map.yaml") || !strings.Contains(stdout, "ok  ehr/hl7v2/adt.map.yaml") || strings.Contains(stdout, "unread:") {
		t.Errorf("code %d\n%s\n%s", code, stdout, stderr)
	}
}

func TestMapCheckNamesThePlaceOfAFault(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.map.yaml")
	text := "mapping: x\nversion: \"1\"\nkinds: [row]\nsegments: {PID: 40}\nkey: text(\"PIX-3\")\nrecord-version: text(\"PID-1\")\nresources: []\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := runLine("", "map", "check", file)
	if code != exitFailed || !strings.Contains(stderr, filepath.ToSlash(file)+":5:11: ") || !strings.Contains(stderr, `unknown segment "PIX"`) {
		t.Errorf("code %d\n%s", code, stderr)
	}
	if _, stderr, code := runLine("", "map", "check", file+".none"); code != exitFailed || !strings.Contains(stderr, "x.map.yaml.none") {
		t.Errorf("a missing file: code %d\n%s", code, stderr)
	}
}

func TestMapExplainTellsRowAndColumn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "adt.hl7")
	text := "MSH|^~\\&|A|B|C|D|20260419101500-0400||ADT^A01|M1|P|2.5.1\rPID|1||M1^^^B^MR||Rivera^Ana||19800317|F\r"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := runLine("", "map", "explain", "--adapter", "ehr/hl7v2", file)
	if code != 0 || !strings.Contains(stdout, "birthDate") || !strings.Contains(stdout, "ehr/hl7v2/adt.map.yaml:") || !strings.Contains(stdout, "PID-7") {
		t.Errorf("code %d\n%s\n%s", code, stdout, stderr)
	}
	if strings.Contains(stdout, "Rivera") || strings.Contains(strings.ReplaceAll(stdout, file, ""), "1980") {
		t.Error("values of the record are printed")
	}
	for _, args := range [][]string{{"map", "explain", file}, {"map", "explain", "--adapter", "none", file}, {"map", "explain", "--adapter", "ehr/hl7v2"}, {"map", "nonsense"}} {
		if _, _, code := runLine("", args...); code != exitUsage {
			t.Errorf("%v: code %d", args, code)
		}
	}
	if _, stderr, code := runLine("", "map", "explain", "--adapter", "ehr/hl7v2", "--line", "99", file); code != exitFailed || !strings.Contains(stderr, "line 99") {
		t.Errorf("a line without record: code %d %s", code, stderr)
	}
}

func TestMapFunctionsAreDocumented(t *testing.T) {
	stdout, _, code := runLine("", "map", "functions")
	if code != 0 || !strings.Contains(stdout, "birth(string, field.Moment) field.Birth") {
		t.Errorf("code %d\n%s", code, stdout)
	}
}

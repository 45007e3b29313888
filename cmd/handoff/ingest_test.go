package main

import (
	"path/filepath"
	"strings"
	"testing"
)

const ingestConfig = `site:
  key: 0123456789abcdef0123456789abcdef
organizations:
  - {id: pd, name: Police, kind: police}
  - {id: clinic, name: Clinic, kind: health}
systems:
  - {key: pd-rms, kind: feed, organization: pd, adapter: rms/csv}
  - {key: clinic-adt, kind: feed, organization: clinic, adapter: ehr/hl7v2}
  - {key: ward-adt, kind: feed, organization: clinic, adapter: ehr/hl7v2}
`

func TestIngestIsRepeatable(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "handoff.yaml")
	writeConfig(t, config, ingestConfig)
	good := feedFile(t, "good.csv")
	out, errs, code := runLine("", "ingest", "--config", config, "--adapter", "rms/csv", good)
	if code != 0 || !strings.Contains(out, "10 records = 4 created + 2 updated + 2 duplicates + 0 rejects + 2 non-records") {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	out, errs, code = runLine("", "ingest", "--config", config, "--adapter", "rms/csv", good)
	if code != 0 || !strings.Contains(out, "10 records = 0 created + 0 updated + 8 duplicates + 0 rejects + 2 non-records") {
		t.Fatalf("again: exit %d: %s%s", code, out, errs)
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no config", []string{"--adapter", "rms/csv", good}, exitUsage, "--config"},
		{"no adapter", []string{"--config", config, good}, exitUsage, "--adapter"},
		{"no feed", []string{"--config", config, "--adapter", "rms/other", good}, exitUsage, "no feed with the adapter rms/other"},
		{"two feeds", []string{"--config", config, "--adapter", "ehr/hl7v2", good}, exitUsage, "--system"},
		{"wrong feed", []string{"--config", config, "--adapter", "rms/csv", "--system", "clinic-adt", good}, exitUsage, "clinic-adt"},
		{"missing file", []string{"--config", config, "--adapter", "rms/csv", filepath.Join(dir, "gone.csv")}, exitFailed, "gone.csv: no such file"},
		{"rejects", []string{"--config", config, "--adapter", "rms/csv", feedFile(t, "bad.csv")}, exitRejected, ""},
	} {
		_, errs, code := runLine("", append([]string{"ingest"}, c.args...)...)
		if code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit %d, %q; want %d and %q", c.name, code, errs, c.code, c.want)
		}
	}
}

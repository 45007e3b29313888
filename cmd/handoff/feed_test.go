package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An export that nobody has seen, with a mapping and a profile of its own.
const (
	ownMapping = `mapping: our/stops
version: 0.1.0
kinds: [stop]
columns:
  - {name: ORI, required: true, aliases: [Agency Code]}
  - {name: Number, required: true, aliases: [Stop No]}
  - {name: Given, aliases: [First]}
  - Family
  - {name: Born, aliases: [Date Of Birth]}
  - {name: Changed, required: true}
vocabularies: {own: own.csv, sex: /codes/sex.csv}
key: '"stop|" + ORI + "|" + Number'
record-version: moment(Changed).Version()
let:
  - {name: dob, expr: 'birth(Born, moment(Changed))', field: Born}
resources:
  - id: patient
    type: Patient
    system: 'sid(ORI, "stop")'
    key: Number
    rows:
      - {to: name, rows: [{to: family, from: Family}, {to: given, from: Given}]}
      - {to: birthDate, expr: dob.Value, as: date}
`
	ownCodes = "A,,,Condition (IF True),,,HL7 FHIR,,,,,Comments\nCode,Text,Code System,Computable ANTLR,Computable FHIRPath,Narrative,Code,,Display,Code System,,\n"
)

func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if name == "handoff.yaml" {
			text = onTestStore(t, text)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestAnUnseenExportNeedsAMappingAndAProfileAlone(t *testing.T) {
	const row = "ZZ0010900%07%Ana%Muñoz%07/03/1979%2026-01-02T03:04:05Z\n"
	for name, c := range map[string]struct{ profile, file, want, fault string }{
		"aliases of mapping and profile, a delimiter of its own": {
			"profile: ours\nmapping: stops.map.yaml\nadapter: rms/csv\ndelimiter: '%'\ntimezone: UTC\ndates: day-first\naliases: {last nm: Family, upd: Changed}\n",
			"AGENCY_CODE%stop no.%First%Last-Nm%date of birth%UPD\n" + row, `"birthDate":"1979-03-07"`, ""},
		"a delimiter of several characters": {
			"profile: ours\nmapping: ./stops.map.yaml\ndelimiter: '~|~'\ntimezone: UTC\ndates: day-first\n",
			strings.ReplaceAll("ORI%Number%Given%Family%Born%Changed\n"+row, "%", "~|~"), `"family":"Muñoz"`, ""},
		"a delimiter beyond ASCII": {
			"profile: ours\nmapping: ./stops.map.yaml\ndelimiter: '¦'\ntimezone: UTC\n",
			strings.ReplaceAll("ORI%Number%Given%Family%Born%Changed\n"+row, "%", "¦"), `"given":["Ana"]`, ""},
		"a required column is missing": {
			"profile: ours\nmapping: stops.map.yaml\ndelimiter: '%'\ntimezone: UTC\n",
			"ORI%Number%Given%Family%Born%Upd\n" + row, "", "export.txt:1: the header lacks required columns: Changed; it has: ORI, Number, Given, Family, Born, Upd"},
		"the mapping is not there": {
			"profile: ours\nmapping: steps.map.yaml\ntimezone: UTC\n", row, "", `unknown mapping "steps.map.yaml"`},
		"the delimiter does not fit": {
			"profile: ours\nmapping: stops.map.yaml\ndelimiter: '%'\ntimezone: UTC\n",
			"ORI|Number|Given|Family|Born|Changed\n", "", `divided by "|": the profile's delimiter does not fit the file`},
		"a name that no column has is a finding of the profile": {
			"profile: ours\nmapping: stops.map.yaml\ndelimiter: '%'\ntimezone: UTC\naliases: {last nm: Familly}\n",
			row, "", `the mapping has no column "Familly"; did you mean "Family"?`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := writeFiles(t, map[string]string{"stops.map.yaml": ownMapping, "own.csv": ownCodes, "our.profile.yaml": c.profile, "export.txt": c.file})
			out, errs, code := runLine("", "convert", "--adapter", "rms/csv", "--profile", filepath.Join(dir, "our.profile.yaml"), filepath.Join(dir, "export.txt"))
			switch {
			case c.fault != "" && (code != 1 || !strings.Contains(errs, c.fault)):
				t.Errorf("exit %d, want the fault %s in:\n%s", code, c.fault, errs)
			case c.fault == "" && (code != 0 || !strings.Contains(out, c.want)):
				t.Errorf("exit %d, want %s in:\n%s%s", code, c.want, out, errs)
			}
		})
	}
}

package mappings

import (
	"strings"
	"testing"
	"testing/fstest"
)

const baseMapping = `
mapping: test/base
version: 1.0.0
kinds: [ADT_A01]
segments: {MSH: 25, PID: 30}
vocabularies: {sex: sex.csv}
datatypes: [types.yaml]
ignore: {MSH: decoder}
let:
  - {name: site, expr: '"urn:site"'}
key: 'text("PID-3.1")'
record-version: '""'
checks:
  - {when: 'not has("PID-8")', code: sex-missing, message: no sex, field: PID-8}
rowsets:
  marks:
    - {to: active, value: true}
resources:
  - id: patient
    type: Patient
    system: site
    key: 'text("PID-3.1")'
    include: [marks]
    rows:
      - {to: identifier, from: PID-3, use: cx}
      - to: name
        rows:
          - {to: family, from: PID-5.1}
          - {to: given, from: PID-5.2}
      - {to: gender, from: PID-8, vocab: sex}
      - {to: telecom, rows: [{to: value, from: PID-13}]}
      - {to: telecom, rows: [{to: value, from: PID-14}]}
`

const baseTypes = `
datatypes:
  cx:
    type: Identifier
    rows: [{to: value, from: .1}, {to: assigner.display, from: .4}]
`

const sexCSV = "HL7 v2,,,,,,HL7 FHIR,,,\nCode,Text,Code System,,,,Code,,Display,Code System\nF,,,,,,female,,,\nM,,,,,,male,,,\n"

// loadOverlay loads the base for a profile that stands elsewhere.
func loadOverlay(t *testing.T, files map[string]string) (*Map, error) {
	t.Helper()
	fsys := fstest.MapFS{"base/m.yaml": {Data: []byte(baseMapping)}, "base/types.yaml": {Data: []byte(baseTypes)}, "base/sex.csv": {Data: []byte(sexCSV)}}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	p, err := LoadProfile(fsys, "sites/north.yaml")
	if err != nil {
		return nil, err
	}
	file, beside := p.MappingFile()
	if !beside {
		t.Fatalf("the mapping %q was not found: %q", p.Mapping, file)
	}
	return Load(fsys, file, p)
}

const north = `
profile: north
inherit: common/all.yaml
timezone: America/Chicago
charset: iso-8859-1
systems: {NORTH: "urn:oid:1.2.3"}
segments: {ZPD: 12, PID: 39}
kinds: [ADT_A04]
vocabularies: {sex: sex.csv, colour: colour.csv}
ignore: {ZPD-1: set id}
override:
  let:
    - {replace: site, with: {name: site, expr: '"urn:north"'}}
    - {add: {name: colour, expr: 'code("colour", text("ZPD-2"))', field: ZPD-2}}
  checks:
    - {remove: sex-missing}
    - {add: {when: 'colour == ""', code: colour-missing, message: no colour, field: ZPD-2}}
  rowsets:
    marks:
      - {remove: active}
  datatypes:
    cx:
      - {replace: assigner.display, with: {to: use, value: usual}}
  resources:
    - change: patient
      rows:
        - change: name
          rows:
            - {replace: given, with: [{to: given, from: ZPD-3}, {to: text, from: PID-31}]}
        - {remove: "telecom[1]"}
        - {add: {to: maritalStatus, rows: [{to: text, expr: colour, required: true}]}, after: gender}
    - add: {id: place, type: Location, system: site, key: '"x"', rows: [{to: status, value: active}]}
`

const common = `
profile: all
mapping: ../../base/m.yaml
timezone: America/New_York
systems: {ALL: "urn:oid:9"}
vocabularies: {sex: more.csv}
`

func TestASenderOverlaysTheBase(t *testing.T) {
	m, err := loadOverlay(t, map[string]string{
		"sites/north.yaml": north, "sites/common/all.yaml": common, "sites/common/more.csv": strings.ReplaceAll(sexCSV, "M,,,,,,male", "X,,,,,,other"),
		"sites/sex.csv":    "HL7 v2,,,,,,HL7 FHIR,,,\nCode,Text,Code System,,,,Code,,Display,Code System\nf,,,,,,unknown,,,\n",
		"sites/colour.csv": strings.ReplaceAll(sexCSV, "F,,,,,,female", "R,,,,,,red"),
	})
	if err != nil {
		t.Fatal(err)
	}
	p := m.Profile()
	if p.Name != "north" || p.TimeZone != "America/Chicago" || p.Charset != "iso-8859-1" || p.Systems["ALL"] == "" || p.Systems["NORTH"] == "" {
		t.Errorf("profile %+v", p)
	}
	rec := er7("ADT_A04", "MSH|x", "PID|1||A1^^^H||Ruiz^Ana|||F"+strings.Repeat("|", 5)+"111|222"+strings.Repeat("|", 17)+"Ana R.", "ZPD|1|R|Anita")
	res, out := made(t, m, rec)
	want := `{"resourceType":"Patient","id":"A1","identifier":[{"use":"usual","value":"A1"}],"name":[{"text":"Ana R.","family":"Ruiz","given":["Anita"]}],` +
		`"telecom":[{"value":"222"}],"gender":"unknown","maritalStatus":{"text":"red"}}`
	if out["Patient/A1"] != want {
		t.Errorf("got  %s\nwant %s", out["Patient/A1"], want)
	}
	if out["Location/x"] == "" || res.Resources[0].Key != "urn:north|A1" || len(res.Issues) > 0 || len(res.Unmapped) != 2 {
		t.Errorf("%+v", res)
	}
	_, out = made(t, m, er7("ADT_A01", "PID|1||A1|||||X", "ZPD|1"))
	wantIn(t, out, "Patient/A1", `"gender":"other"`)
}

func TestFaultsOfAnOverlayAreNamedInIt(t *testing.T) {
	for name, c := range map[string][2]string{
		"row":        {"override:\n  resources:\n    - change: patient\n      rows:\n        - {remove: gendr}\n", `sites/north.yaml:7:20: the mapping, patient has no row "gendr"; did you mean "gender"?`},
		"resource":   {"override:\n  resources:\n    - {remove: patent}\n", `sites/north.yaml:5:16: the mapping has no resource "patent"; did you mean "patient"?`},
		"several":    {"override:\n  resources:\n    - change: patient\n      rows:\n        - {remove: telecom}\n", `has 2 of the row "telecom" (base/m.yaml:31, base/m.yaml:32): say which, as telecom[2]`},
		"index":      {"override:\n  resources:\n    - change: patient\n      rows:\n        - {remove: 'telecom[3]'}\n", `has 2 of the row "telecom"`},
		"let":        {"override:\n  let: [{replace: sit, with: {name: x, expr: '1'}}]\n", `has no let "sit"; did you mean "site"?`},
		"check":      {"override:\n  checks: [{remove: sex-mising}]\n", `did you mean "sex-missing"?`},
		"rowset":     {"override:\n  rowsets: {marcs: [{remove: active}]}\n", `has no rowset "marcs"; did you mean "marks"?`},
		"datatype":   {"override:\n  datatypes: {cy: [{remove: value}]}\n", `has no datatype "cy"; did you mean "cx"?`},
		"operation":  {"override:\n  let: [{remove: site, add: {}}]\n", "this one has 2"},
		"extra":      {"override:\n  let: [{remove: site, with: {}}]\n", "with does not go with remove"},
		"with":       {"override:\n  let: [{replace: site}]\n", `the key "with" is missing`},
		"key":        {"override:\n  rows: []\n", `unknown key "rows" in override`},
		"target":     {"override:\n  resources:\n    - change: patient\n      rows: [{add: {to: nam, from: PID-5}}]\n", `sites/north.yaml:6:25: Patient has no element "nam"`},
		"path":       {"segments: {ZPD: 2}\noverride:\n  resources:\n    - change: patient\n      rows: [{add: {to: name, rows: [{to: text, from: ZPD-3}]}}]\n", "the segment ZPD has no field 3"},
		"narrower":   {"segments: {PID: 10}\n", "the base has 30 fields"},
		"columns":    {"columns: [A]\n", "the mapping has no columns"},
		"vocabulary": {"vocabularies: {sex: nowhere.csv}\n", `sites/north.yaml:3:21: the vocabulary file "sites/nowhere.csv" does not exist`},
		"binding":    {"vocabularies: {sex: bad.csv}\n", `maps "F" to "lady"`},
		"inherit":    {"inherit: none.yaml\n", `sites/north.yaml:3:10: the profile "none.yaml" does not exist`},
		"itself":     {"inherit: north.yaml\n", "inherits itself"},
		"unset":      {"override:\n  resources: [{change: patient, unset: [wen]}]\n", `has no key "wen"`},
	} {
		text := "profile: north\nmapping: ../base/m.yaml\n" + c[0]
		_, err := loadOverlay(t, map[string]string{"sites/north.yaml": text, "sites/bad.csv": strings.ReplaceAll(sexCSV, "female", "lady")})
		if err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: got %v\nwant %s", name, err, c[1])
		}
	}
}

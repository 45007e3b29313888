package mappings_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/handoff-health/handoff/mappings"
)

const small = `mapping: t
version: "1"
kinds: [row]
profile: p.yaml
columns: [A, B, Sex]
vocabularies: {sex: sex.csv}
datatypes: [dt.yaml]
let:
  - {name: a, expr: fold(A), field: A}
key: a
record-version: B
outcomes:
  - {when: a == "X", action: reject, code: bad-a, field: A, message: A is X}
checks:
  - {when: blank(B), code: no-b, field: B, message: B is blank}
ignore: {B: not needed}
rowsets:
  tags:
    - {to: meta.tag, value: {system: 'http://x', code: t}}
resources:
  - id: p
    type: Patient
    system: '"http://x"'
    key: a
    include: [tags]
    rows:
      - {to: gender, from: Sex, vocab: sex, else: unknown}
      - to: name
        when: a != ""
        rows:
          - {to: family, from: A, required: true}
      - {to: active, value: true}
`

func files(mapping string) fstest.MapFS {
	return fstest.MapFS{
		"m.map.yaml": {Data: []byte(mapping)},
		"p.yaml":     {Data: []byte("profile: p\ntimezone: America/New_York\n")},
		"dt.yaml":    {Data: []byte("datatypes:\n  cx:\n    type: Identifier\n    rows:\n      - {to: value, from: .1, required: true}\n")},
		"sex.csv":    {Data: []byte("# source\nX,,,,,,HL7 FHIR\nCode,Text,Code System,,,,Code,,Display,Code System\nM,,,,,,male,,Male,http://hl7.org/fhir/administrative-gender\nF,,,,,,female,,,\n")},
		"bad.csv":    {Data: []byte("Code,Text\nM,Male\n")},
		"worse.csv":  {Data: []byte("X\nCode,Text,Code System,,,,Code,,Display,Code System\nM,,,,,,manly,,,\n")},
		"quote.csv":  {Data: []byte("X\nCode,Text,Code System,,,,Code,,Display,Code System\nM,\"x\"y,,,,,male,,,\n")},
	}
}

func TestASmallMappingLoads(t *testing.T) {
	if _, err := mappings.Load(files(small), "m.map.yaml", nil); err != nil {
		t.Fatal(err)
	}
}

// Each fault is found at load time and named with its place.
func TestEveryErrorHasItsPlace(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{ // § marks the place
		{"unknown key in mapping", "kinds: [row]", "kinds: [row]\n§kindz: x", `unknown key "kindz" in a mapping; did you mean "kinds"?`},
		{"missing key", "version: \"1\"\n", "", `m.map.yaml:1:1: the key "version" is missing`},
		{"duplicate key", "kinds: [row]", "kinds: [row]\n§kinds: [row]", `mapping key "kinds" already defined`},
		{"bad YAML", "kinds: [row]", "kinds: [row", "must be specified"},
		{"unknown key in row", "vocab: sex, else", "§vocabulary: sex, else", `unknown key "vocabulary" in a row`},
		{"unknown column", "from: Sex", "from: §Sexx", `unknown column "Sexx"; did you mean "Sex"?`},
		{"unknown column in an expression", `when: a != ""`, `when: §Aa != ""`, `in the expression: unknown name Aa`},
		{"unknown function", `when: a != ""`, `when: §upperr(a) != ""`, `in the expression: unknown name upperr`},
		{"type error", `when: a != ""`, `when: a §+ 1 > 2`, `in the expression: invalid operation`},
		{"not a condition", `when: a != ""`, `when: §a`, `in the expression: expected bool, but got string`},
		{"wrong argument", `expr: fold(A)`, `expr: fold(§1)`, `in the expression: cannot use int as argument`},
		{"the clock", `expr: fold(A)`, `expr: §now()`, `in the expression: unknown name now`},
		{"syntax of an expression", `when: a != ""`, `when: a != §(`, `in the expression: unexpected token EOF`},
		{"quoted expression", `when: a != ""`, `when: 'a == "1" and §Q'`, `in the expression: unknown name Q`},
		{"expression in a block", `when: a != ""`, "when: |\n          a != \"\" and\n            §Q == \"\"", `in the expression: unknown name Q`},
		{"unknown vocabulary", "vocab: sex", "vocab: §sax", `unknown vocabulary "sax"; did you mean "sex"?`},
		{"unknown vocabulary in a call", `expr: fold(A)`, `expr: 'code(§"sax", A)'`, `in the expression: unknown vocabulary "sax"`},
		{"vocabulary not literal", `expr: fold(A)`, `expr: 'code(§A, A)'`, `in the expression: code needs a quoted name`},
		{"no vocabulary file", "sex: sex.csv", "sex: §none.csv", `the vocabulary file "none.csv" does not exist`},
		{"vocabulary without header", "sex: sex.csv", "sex: bad.csv", `bad.csv:1:1: the vocabulary has no header row`},
		{"vocabulary not CSV", "sex: sex.csv", "sex: quote.csv", `quote.csv:3:5: the vocabulary is not CSV`},
		{"vocabulary with a code that is not allowed", "sex: sex.csv", "sex: worse.csv", `the vocabulary worse.csv maps "M" to "manly", which gender does not allow (male, female, other, unknown)`},
		{"bad target", "to: gender", "to: §gendre", `Patient has no element "gendre"; did you mean "gender"?`},
		{"bad target below", "to: family", "to: §familie", `HumanName has no element "familie"`},
		{"target through a list", "to: gender", "to: §name.family", `"name" repeats or has no elements`},
		{"target id", "to: gender", "to: §id", `the id comes from system and key`},
		{"constant not allowed", "else: unknown", "else: §unknownn", `gender: "unknownn" is not one of`},
		{"constant of wrong kind", "value: true", "value: §maybe", `active: "maybe" is not a boolean`},
		{"constant with unknown element", "code: t}", "§codes: t}", `Coding has no element "codes"`},
		{"constant with a required element missing", "{to: active, value: true}", "{to: extension, value: {§valueCode: x}}", `the constant lacks the required element Extension.url`},
		{"two sources", "{to: active, value: true}", "{§to: active, value: true, from: A}", `a row has one of from, expr, value, ref or rows; this one has 2`},
		{"no source", "{to: active, value: true}", "{§to: active}", `a row has one of from, expr, value, ref or rows; this one has 0`},
		{"expression of wrong type", "{to: active, value: true}", "{to: active, expr: §A}", `the expression gives string, but active is of kind boolean`},
		{"text for an object", "{to: active, value: true}", "{§to: contact, from: A}", `contact is a PatientContact: set it by`},
		{"ref to nothing", "{to: active, value: true}", "{to: managingOrganization, ref: §pp}", `unknown resource "pp"`},
		{"ref on no reference", "{to: active, value: true}", "{to: active, ref: §p}", `active is not a Reference`},
		{"duplicate id", "resources:", "resources:\n  - {id: p, type: Patient, system: A, key: A, rows: []}", `the id "p" is there twice`},
		{"a Condition", "type: Patient", "type: §Condition", `"Condition" is not a resource type that mappings make`},
		{"no key", "    key: a\n", "", `the key "key" is missing`},
		{"unknown rowset", "include: [tags]", "include: [§tag]", `unknown rowset "tag"`},
		{"unknown datatype", "from: Sex, vocab: sex, else: unknown", "from: Sex, use: §cz", `unknown datatype "cz"`},
		{"datatype of another type", "{to: active, value: true}", "{to: name, from: A, use: §cx}", `the datatype "cx" makes a Identifier, which name is not`},
		{"unknown form", "{to: active, value: true}", "{to: birthDate, from: A, as: §dat}", `unknown form "dat"`},
		{"absent on an object", "{to: active, value: true}", "{to: maritalStatus, from: A, absent: §A}", `absent is for primitive elements`},
		{"foreach on one", "        when: a != \"\"\n", "        foreach: §a\n", `foreach needs a list`},
		{"relative path outside", "from: Sex", "from: §.1", `the path ".1" is relative`},
		{"unknown action", "action: reject", "action: §drop", `unknown action "drop"`},
		{"unknown field of a check", "code: no-b, field: B", "code: no-b, field: §C", `unknown column "C"`},
		{"code not a code", "code: no-b", "code: §No B", `a code is lower case`},
		{"ignored column unknown", "ignore: {B:", "ignore: {§D:", `unknown column "D"`},
		{"name taken", "{name: a,", "{§name: Sex,", `the name "Sex" is taken`},
		{"no profile", "profile: p.yaml", "profile: §q.yaml", `the profile "q.yaml" does not exist`},
		{"alias", "ignore: {B: not needed}", "ignore: §&x {B: not needed}", `anchors, aliases`},
		{"two documents", "key: a\nrecord", "key: a\n---\nrecord", `m.map.yaml:1:1: the file must hold one YAML document`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(small, c.old) {
				t.Fatalf("%q is not in the mapping", c.old)
			}
			text := strings.Replace(small, c.old, c.new, 1)
			want := c.want
			if before, after, marked := strings.Cut(text, "§"); marked {
				text = before + after
				want = fmt.Sprintf("m.map.yaml:%d:%d: %s", 1+strings.Count(before, "\n"), len(before)-strings.LastIndex(before, "\n"), c.want)
			}
			_, err := mappings.Load(files(text), "m.map.yaml", nil)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("got  %v\nwant %s", err, want)
			}
			var le *mappings.LoadError
			if !errors.As(err, &le) || le.Line < 1 || le.Column < 1 || !strings.Contains(err.Error(), le.Source) {
				t.Errorf("not a LoadError with a place: %v", err)
			}
		})
	}
}

func TestHL7PathsAreCheckedAtLoad(t *testing.T) {
	const m = `mapping: t
version: "1"
kinds: [ADT_A01]
segments: {MSH: 25, PID: 40}
key: text("PID-3.1")
record-version: text("MSH-7")
resources:
  - id: p
    type: Patient
    system: '"http://x"'
    key: text("PID-3.1")
    rows: [{to: gender, from: PID-8, else: unknown}]
`
	if _, err := mappings.Load(fstest.MapFS{"m": {Data: []byte(m)}}, "m", nil); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"PID-41": "m:12:31: the segment PID has no field 41 (its last is 40)", "PIX-1": `m:12:31: unknown segment "PIX"`,
		"PID-8.1x": `m:12:31: the path "PID-8.1x" is not of the form`, "PID.8": `m:12:31: the path "PID.8"`, "PID-8.0": "count from 1",
	} {
		_, err := mappings.Load(fstest.MapFS{"m": {Data: []byte(strings.Replace(m, "PID-8", path, 1))}}, "m", nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
	_, err := mappings.Load(fstest.MapFS{"m": {Data: []byte(strings.Replace(m, `key: text("PID-3.1")`, `key: text("PIX-3.1")`, 1))}}, "m", nil)
	if err == nil || !strings.Contains(err.Error(), `m:5:11: in the expression: unknown segment "PIX"`) {
		t.Errorf("a path in an expression: %v", err)
	}
}

func TestProfilesAreStrict(t *testing.T) {
	for in, want := range map[string]string{
		"profile: x\ntimezone: Mars/Olympus\n":      "p.yaml:2:11: unknown time zone",
		"profile: x\ntimezone: Local\n":             "p.yaml:2:11: time zone",
		"profile: x\ntime-zone: UTC\n":              `p.yaml:2:1: unknown key "time-zone" in a profile; did you mean "timezone"?`,
		"profile: x\ndates: us\n":                   "p.yaml:2:8: dates must be",
		"profile: x\ndelimiter: abcde\n":            "p.yaml:2:12: the delimiter must be one to four characters",
		"profile: x\nrace-list: fbi\n":              "p.yaml:2:12: race-list must be",
		"profile: x\nconsent: {default-hours: 0}\n": "p.yaml:2:26: default-hours must be",
		"profile: x\nconsent: {hours: 1}\n":         `p.yaml:2:11: unknown key "hours"`,
		"profile: x\nagencies: [a]\n":               `"agencies" must be a map`,
		"timezone: UTC\n":                           `p.yaml:1:1: the key "profile" is missing`,
		"":                                          "p.yaml:1:1: the file must hold one YAML document",
		"- a\n":                                     "p.yaml:1:1: a profile must be a map",
	} {
		if _, err := mappings.ParseProfile("p.yaml", []byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", in, err, want)
		}
	}
	p, err := mappings.ParseProfile("p.yaml", []byte("profile: x\ndelimiter: '\\t'\naliases: {Last Name: LastName}\n"))
	if err != nil || p.Delimiter != "\t" || p.Aliases["Last Name"] != "LastName" || p.ConsentHours != 72 {
		t.Errorf("got %+v, %v", p, err)
	}
	p.TimeZone = ""
	if _, err := mappings.Load(mappings.Files(), riverton, p); err == nil || !strings.Contains(err.Error(), "names no timezone") {
		t.Errorf("a delimited format without a zone must not load: %v", err)
	}
}

func TestAMissingMappingIsSaid(t *testing.T) {
	if _, err := mappings.Load(mappings.Files(), "rms/none.map.yaml", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestEveryBuiltInFileLoads(t *testing.T) {
	names := mappings.Names(mappings.Files())
	if len(names) < 2 {
		t.Fatalf("got %v", names)
	}
	for _, n := range names {
		load(t, n)
	}
	for _, n := range mappings.Profiles(mappings.Files()) {
		if _, err := mappings.LoadProfile(mappings.Files(), n); err != nil {
			t.Error(err)
		}
	}
}

// Whatever the bytes are: an error with a place, or a map that can be applied.
func FuzzLoad(f *testing.F) {
	f.Add(small)
	f.Add(strings.Replace(small, "from: Sex", "from: .1", 1))
	f.Add("mapping: x\n? [a]\n: b\n")
	f.Add("a: &a [*a]\n")
	f.Add("mapping: x\noutcomes:\n  - {code: x}\n")
	f.Add("mapping: x\noutcomes:\n  - {action: [a], code: {}, message: 1}\n")
	f.Fuzz(func(t *testing.T, in string) {
		m, err := mappings.Load(files(in), "m.map.yaml", nil)
		if err != nil {
			return
		}
		if len(m.Columns()) > 0 {
			_, _ = m.Apply(contact(t, m, ""), mappings.Options{}) // an error is allowed, a panic is not
		}
	})
}

func TestOutcomeWithoutResourcesIsASeal(t *testing.T) {
	for action, want := range map[string]string{"seal, resources: none": "", "seal, resources: some": "resources can be none", "test, resources: none": "resources can be none"} {
		text := "mapping: x\nversion: \"1\"\nkinds: [row]\nsegments: {PID: 40}\nkey: text(\"PID-3\")\nrecord-version: text(\"PID-1\")\nrecord-groups: ['text(\"PID-2\")']\nrecord-scope: text(\"PID-4\")\noutcomes:\n  - {when: 'has(\"PID-5\")', action: " + action + ", code: x, message: x}\nresources:\n  - {id: p, type: Patient, system: text(\"PID-1\"), key: text(\"PID-3\"), rows: [{to: active, value: true}]}\n"
		_, err := mappings.Load(fstest.MapFS{"x.yaml": {Data: []byte(text)}}, "x.yaml", nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "x.yaml:10:")) {
			t.Errorf("%s: %v", action, err)
		}
	}
}

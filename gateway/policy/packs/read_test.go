package packs

import (
	"reflect"
	"strings"
	"testing"
)

const small = `id: us-zz
version: "2026.11"
title: A test
kind: state
jurisdiction: US-ZZ
combining: deny-overrides
sources:
  - {id: text, title: The text, url: "https://example.org/text"}
rules:
  - id: deny/1
    citation: Z.Z. 1
    verified: {where: text, on: 2026-11-27}
    effect: deny
    when:
      - {id: police, police: true}
      - {id: mental-health, label: [MH]}
`

func TestASmallPackIsRead(t *testing.T) {
	p, err := Read("zz.yaml", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	if p.Versioned() != "us-zz@2026.11" || len(p.Hash()) != 71 || *p.Rules[0].When[0].Police != true || p.Source("text") != "The text https://example.org/text" {
		t.Errorf("got %+v", p)
	}
	q, err := Read("other.yaml", []byte(strings.Replace(small, "A test", "A test.", 1)))
	if err != nil || q.Hash() == p.Hash() {
		t.Errorf("another text, the same hash: %v", err)
	}
}

// Every fault names its place: file, line, column.
func TestFaultsNameTheirPlace(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown key", "    effect: deny", "    efect: deny", "zz.yaml:13:5: rules[0].efect: unknown key"},
		{"missing key", "    citation: Z.Z. 1\n", "", "zz.yaml:10:5: rules[0].citation: is missing"},
		{"key twice", "title: A test", "title: A test\ntitle: B", `zz.yaml:4:1: mapping key "title" already defined`},
		{"wrong type", "police: true", "police: 7", "zz.yaml:15:30: rules[0].when[0].police: wrong kind of value: a number, expected true or false"},
		{"text for a list", "label: [MH]", "label: MH", "zz.yaml:16:36: rules[0].when[1].label: wrong kind of value: a text, expected a list"},
		{"list for a text", "effect: deny", "effect: [deny]", "zz.yaml:13:13: rules[0].effect: wrong kind of value: a list, expected a text"},
		{"empty list", "label: [MH]", "label: []", "is an empty list"},
		{"blank", "title: A test", `title: " "`, "zz.yaml:3:8: title: is blank"},
		{"version without quotes", `"2026.11"`, "2026.11", "zz.yaml:2:10: version: wrong kind of value: a number, expected a text; put it in quotes"},
		{"version of another form", `"2026.11"`, `"1.0"`, `zz.yaml:2:10: version: "1.0" does not have the form`},
		{"month", `"2026.11"`, `"2026.13"`, "zz.yaml:2:10: version:"},
		{"unknown effect", "effect: deny", "effect: forbid", `zz.yaml:13:13: rules[0].effect: "forbid" is none of permit`},
		{"effect of another kind of pack", "effect: deny", "effect: emergency", "zz.yaml:13:13: rules[0].effect: a pack of kind state has no rule that is a emergency"},
		{"unknown kind of condition", "police: true", "sheriff: true", "zz.yaml:15:22: rules[0].when[0].sheriff: unknown key"},
		{"two kinds in one condition", "police: true", "police: true, treating: true", "has police and treating; a condition has exactly one"},
		{"condition without a kind", ", police: true", "", "zz.yaml:15:9: rules[0].when[0]: has no key that says what it tests"},
		{"negated flag", "police: true", "police: true, not: true", "rules[0].when[0].not: write police: false instead"},
		{"condition twice", "id: mental-health", "id: police", `rules[0].when[1].id: "police" stands twice in the rule`},
		{"unknown label", "[MH]", "[MENTAL]", `zz.yaml:16:37: rules[0].when[1].label[0]: "MENTAL" is no label`},
		{"unknown role", "police: true", "role: [sherif]", `rules[0].when[0].role[0]: "sherif" is no role`},
		{"unknown purpose", "police: true", "purpose: {within: [TREET]}", `rules[0].when[0].purpose.within[0]: "TREET" is no purpose`},
		{"unknown type", "police: true", "type: [Condision]", `rules[0].when[0].type[0]: "Condision" is no resource type`},
		{"attribute without a test", "police: true", "attribute: {name: x}", "has no key that says how it is tested"},
		{"extent for a deny", "    effect: deny", "    effect: deny\n    extent: {covers: true}", "rules[0].extent: means nothing for a rule that is a deny"},
		{"obligations of a gate that no Consent opens", "    effect: deny", "    effect: gate\n    obligations: [NOREUSE]", "zz.yaml:14:18: rules[0].obligations: go with a Consent that opens the gate"},
		{"neither verified nor not", "    verified: {where: text, on: 2026-11-27}\n", "", "rules[0]: exactly one of verified and unverified: true is needed"},
		{"both", "    effect: deny", "    unverified: true\n    effect: deny", "exactly one of verified and unverified"},
		{"unknown source", "where: text", "where: book", `zz.yaml:12:23: rules[0].verified.where: "book" is neither a source of this pack nor an address`},
		{"no day", "on: 2026-11-27", "on: 2026-11-31", `"2026-11-31" is no date`},
		{"row", "    effect: deny", "    rows: [44]\n    effect: deny", "zz.yaml:13:12: rules[0].rows[0]: the decision table has rows 1 to 43"},
		{"combining", "deny-overrides", "first-applicable", "zz.yaml:6:12: combining: a pack of kind state combines its rules by deny-overrides"},
		{"jurisdiction", "US-ZZ", "US", "zz.yaml:5:15: jurisdiction:"},
		{"a state's basis on nothing", "effect: deny\n    when:\n      - {id: police, police: true}\n      - {id: mental-health, label: [MH]}", "effect: basis\n    type: own\n    extent: {covers: true}", "a state's basis needs within"},
		{"an agreement that does not expire", "kind: state", "kind: agreement", "period: is missing: agreements expire"},
		{"a federal pack with within", "kind: state\njurisdiction: US-ZZ\ncombining: deny-overrides", "kind: federal\njurisdiction: US\ncombining: first-applicable\nperiod: {end: 2030-01-01}", "period: is for agreements"},
		{"anchor", "title: A test", "title: &x A test", "zz.yaml:3:8: title: anchors, aliases and tags"},
		{"tag", "title: A test", "title: !!str A test", "anchors, aliases and tags"},
		{"second document", "sources:", "---\nsources:", "a second YAML document"},
		{"broken", "rules:\n", "rules: [\n", "zz.yaml:"},
		{"rule twice", "rules:\n", "rules:\n  - {id: deny/1, citation: c, unverified: true, effect: deny}\n", `rules[1].id: "deny/1" stands twice`},
	} {
		text := strings.Replace(small, c.old, c.new, 1)
		if text == small {
			t.Fatalf("%s: nothing was replaced", c.name)
		}
		_, err := Read("zz.yaml", []byte(text))
		if err == nil {
			t.Errorf("%s: read", c.name)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q is missing in: %v", c.name, c.want, err)
		}
	}
	for name, raw := range map[string]string{"empty": "", "a comment": "# nothing\n", "no mapping": "[1]", "not UTF-8": "id: \xff", "too deep": strings.Repeat("[", 500), "too large": strings.Repeat("#", MaxBytes+1)} {
		if _, err := Read("zz.yaml", []byte(raw)); err == nil || !strings.HasPrefix(err.Error(), "zz.yaml") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAllFaultsOfAPackAreTold(t *testing.T) {
	_, err := Read("zz.yaml", []byte(strings.NewReplacer("[MH]", "[MENTAL]", "police: true", "role: [sherif]").Replace(small)))
	if n := len(Faults(err)); n != 2 {
		t.Errorf("%d faults: %v", n, err)
	}
	for _, f := range Faults(err) {
		if f.File != "zz.yaml" || f.Line == 0 || f.Column == 0 || f.At == "" {
			t.Errorf("without place: %+v", f)
		}
	}
}

// What the parser would take seconds for is refused before it sees it.
func TestWhatWouldTakeLongIsNotParsed(t *testing.T) {
	for _, piece := range []string{"- ", "-\n", "a: 1\n", "a: ", "a,", "a: b,", "\"", "- *a\n", "- !!str x\n", "<<: *a\n", "{}", "]"} {
		text := "a: [" + strings.Repeat(piece, maxMarks)
		if len(text) > MaxBytes {
			t.Fatalf("%q: the size alone refuses it", piece)
		}
		if _, err := Read("f.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), "divide the pack") {
			t.Errorf("%q: %v", piece, err)
		}
	}
	for _, id := range []string{"us-federal", "us-tx"} {
		if raw, err := SourceOf(id); err != nil || 2*marks(raw) > maxMarks {
			t.Errorf("%s has %d, which is near the bound: %v", id, marks(raw), err)
		}
	}
}

// FuzzRead: any bytes are read or refused with a place, and what is read is
// read the same again.
func FuzzRead(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte("{id: x, rules: [{id: a, when: [{id: b, not: true, attribute: {name: c, oneOf: [d]}}]}]}"))
	f.Add([]byte("id: |\n  x\nrules:\n- id: &a b\n- *a\n- !!str c\n- <<: *a\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := Read("f.yaml", raw)
		if err != nil {
			if len(Faults(err)) == 0 || !strings.HasPrefix(err.Error(), "f.yaml") {
				t.Fatalf("an error without place: %v", err)
			}
			return
		}
		again, err := Read("f.yaml", raw)
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("read otherwise: %v", err)
		}
	})
}

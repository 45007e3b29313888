package mappings

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

const lexMapping = "mapping: a/b\nversion: 1.0.0\nkinds: [r]\ncolumns: [No, Sex]\nvocabularies: {sex: sex.csv}\nkey: No\nrecord-version: '\"\"'\n" +
	"resources:\n  - id: p\n    type: Patient\n    system: '\"s\"'\n    key: No\n    rows:\n      - {to: gender, from: Sex, vocab: sex}\n"

const (
	lexProfile = "profile: ours\ntimezone: UTC\n"
	lexCodes   = "HL7 v2,,,Condition (IF True),,,HL7 FHIR,,,,,Comments\nCode,Text,Code System,Computable ANTLR,Computable FHIRPath,Narrative,Code,,Display,Code System,,\nF,,,,,,female,,,,,\n"
)

func lexLoad(mapping, profile, codes string) (*Map, error) {
	p, err := ParseProfile("ours.profile.yaml", []byte(profile))
	if err != nil {
		return nil, err
	}
	return Load(fstest.MapFS{"m.yaml": {Data: []byte(mapping)}, "sex.csv": {Data: []byte(codes)}}, "m.yaml", p)
}

func TestFilesOfOtherEditorsLoad(t *testing.T) {
	windows := func(s string) string { return byteOrderMark + strings.ReplaceAll(s, "\n", "\r\n") }
	if _, err := lexLoad(windows(lexMapping), windows(lexProfile), windows(lexCodes)); err != nil {
		t.Error(err)
	}
	_, err := lexLoad(windows(strings.Replace(lexMapping, "from: Sex", "from: Sx", 1)), windows(lexProfile), windows(lexCodes))
	if want := "m.yaml:14:28: unknown column \"Sx\"; did you mean \"Sex\"?\n          - {to: gender, from: Sx, vocab: sex}\n                               ^"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestFaultsOfTheTextHaveAPlace(t *testing.T) {
	for name, c := range map[string]struct{ from, to, want string }{
		"not UTF-8":      {"a/b", "s\xfc\xdf", "m.yaml:1:11: the file is not UTF-8"},
		"a NUL":          {"a/b", "a\x00", "m.yaml:1:11: the file has a NUL byte"},
		"after umlauts":  {"columns:", "ignore: {Sex: \"süß über\", Beat: x}\ncolumns:", "    ignore: {Sex: \"süß über\", Beat: x}\n    " + strings.Repeat(" ", 26) + "^"},
		"a long line":    {"a/b", "a\nnote: " + strings.Repeat("x", 2000) + "\nverzion: 1", "m.yaml:3:1: unknown key \"verzion\""},
		"key and row":    {"kinds:", "knids: [r]\nkinds:", "unknown key \"knids\""},
		"row and key":    {"kinds: [r]", "kinds: [r]\nknids: [r]\nlet: [{name: x, expr: nothing}]", "unknown name nothing"},
		"codes and rows": {"sex: sex.csv}", "sex: six.csv}\nlet: [{name: x, expr: nothing}]", "unknown name nothing"},
	} {
		_, err := lexLoad(strings.Replace(lexMapping, c.from, c.to, 1), lexProfile, lexCodes)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "unknown vocabulary") {
			t.Errorf("%s: what is said of the file is said again: %v", name, err)
		}
	}
	_, err := lexLoad("note: "+strings.Repeat("x", 5000)+" {a: *b}\nnote: "+strings.Repeat("ü", 5000)+"\n", lexProfile, lexCodes)
	if err == nil || len(err.Error()) > 2000 {
		t.Errorf("an error shows %d bytes", len(fmt.Sprint(err)))
	}
}

// What makes the YAML parser slow or large is refused before it.
func TestTextThatTheParserCannotBearIsRefused(t *testing.T) {
	var keys, steps strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&keys, "k%d: 1\n", i)
	}
	for i := range 1200 {
		steps.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	for name, c := range map[string]struct{ text, want string }{
		"open brackets": {"a: " + strings.Repeat("[", 200_000), "too"},
		"open braces":   {"a: " + strings.Repeat("{a: ", 30_000), "too"},
		"brackets":      {"a: " + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), "nested too deeply"},
		"keys":          {keys.String(), "too large"},
		"items":         {"a: [" + strings.Repeat("x,", 400_000) + "]", "too large"},
		"steps":         {steps.String(), "nested too deeply"},
		"dashes":        {strings.Repeat("- ", 20_000) + "a", "nested too deeply"},
	} {
		began := time.Now()
		_, err := lexLoad(c.text, lexProfile, lexCodes)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Count(err.Error(), "nested too deeply") > 1 {
			t.Errorf("%s: %.300v", name, err)
		}
		if took := time.Since(began); took > time.Minute { // only what is refused too late takes so long, however busy the machine
			t.Errorf("%s took %v", name, took)
		}
	}
}

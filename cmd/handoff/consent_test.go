package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func lint(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return lintPlainly(t, stdin, append([]string{"--at", "2026-06-01T12:00:00Z"}, args...)...)
}

func lintPlainly(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := newConsentCommand()
	var out, errs bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetArgs(append([]string{"lint"}, args...))
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	if err := cmd.Execute(); err != nil {
		code = exitFailed
		var ee *exitError
		if errors.As(err, &ee) {
			code = ee.code
		}
		errs.WriteString(err.Error())
	}
	return out.String(), errs.String(), code
}

var update = flag.Bool("update", false, "write the goldens anew")

// golden compares with a file, or writes it.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update writes it anew)", path)
	}
}

var opensPart = regexp.MustCompile(`(?m),"opens":.*$`)

func TestConsentLintGolden(t *testing.T) {
	for name, want := range map[string]int{"complete.json": 0, "wrong.json": 1, "several.ndjson": 1} {
		for _, format := range []string{"text", "json"} {
			args := []string{filepath.Join("testdata", "consent", name)}
			if format == "json" {
				args = append(args, "--json")
			}
			out, stderr, code := lint(t, "", args...)
			if code != want {
				t.Errorf("%s as %s: exit %d: %s", name, format, code, stderr)
			}
			if format == "json" { // the text shows what it opens; the words of the law's rules are the packs'
				out = opensPart.ReplaceAllString(out, "}")
			}
			golden(t, filepath.Join("testdata", "consent", name+"."+format+".golden"), []byte(out))
		}
	}
}

func TestConsentLintReadsEveryForm(t *testing.T) {
	one, err := os.ReadFile(filepath.Join("testdata", "consent", "complete.json"))
	if err != nil {
		t.Fatal(err)
	}
	var flat bytes.Buffer
	if err := json.Compact(&flat, one); err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]struct {
		text string
		n    int
	}{
		"one":    {string(one), 1},
		"array":  {"[" + string(one) + "," + string(one) + "]", 2},
		"ndjson": {flat.String() + "\n\n" + flat.String() + "\n", 2},
		"bundle": {`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient"}},{"resource":` + string(one) + `}]}`, 1},
		"BOM":    {"\xEF\xBB\xBF" + string(one), 1},
	} {
		out, stderr, code := lint(t, in.text, "--json", "-")
		if code != 0 || strings.Count(out, "\n") != in.n {
			t.Errorf("%s: exit %d, %d lines, %s", name, code, strings.Count(out, "\n"), stderr)
		}
	}
}

func TestConsentLintSaysWhatCannotBeRead(t *testing.T) {
	for name, in := range map[string]struct {
		stdin string
		args  []string
		code  int
		want  string
	}{
		"not JSON":                {"{\n  \"a\": }", []string{"-"}, 1, "-:2:"},
		"a damaged line":          {`{"resourceType":"Consent"}` + "\n{", []string{"-"}, 1, "-:2:"},
		"no Consent":              {`{"resourceType":"Patient"}`, []string{"-"}, 1, "no Consent"},
		"no file":                 {"", []string{"none.json"}, 1, "none.json"},
		"no argument":             {"", nil, 2, "needs a file"},
		"a recorder alone":        {"", []string{"--recorder", "x", "-"}, 2, "--config"},
		"a configuration of none": {"", []string{"--config", "none.yaml", "-"}, 2, "none.yaml"},
		"an instant of none":      {"", []string{"--at", "today", "-"}, 2, "--at"},
	} {
		_, stderr, code := lintPlainly(t, in.stdin, in.args...)
		if code != in.code || !strings.Contains(stderr, in.want) {
			t.Errorf("%s: exit %d, %s", name, code, stderr)
		}
	}
}

// With a configuration the recorder's rights count: a Consent that nobody may
// record for the program opens nothing.
func TestConsentLintKnowsWhoMayRecord(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "handoff.yaml")
	text := `
site: {key: 0123456789abcdef0123456789abcdef, timeZone: UTC}
organizations:
  - {id: pd, name: Police, kind: police}
  - {id: clinic, name: Clinic, kind: health}
  - {id: program, name: Program, kind: health, part2: true}
clients:
  - {id: desk, organization: program, roles: [case-manager], purposes: [TREAT], scopes: "system/*.rs", jwksUrl: "https://x.example/jwks", recordsConsentFor: [program]}
`
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for recorder, opens := range map[string]bool{"program": true, "clinic": false} {
		out, stderr, code := lint(t, "", "--config", conf, "--recorder", recorder, filepath.Join("testdata", "consent", "complete.json"))
		if code != 0 || strings.Contains(out, "opens") != opens {
			t.Errorf("%s: exit %d %s\n%s", recorder, code, stderr, out)
		}
		if strings.Contains(out, "treating provider (Organization/pd)") {
			t.Error("a police agency is tried as a provider")
		}
	}
	if _, stderr, code := lint(t, "", "--config", conf, "--recorder", "none", "-"); code != 2 || !strings.Contains(stderr, "none") {
		t.Errorf("unknown recorder: %d %s", code, stderr)
	}
}

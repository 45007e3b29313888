package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

const decideCase = `{"id":"one","description":"an officer without a Consent","semantics":"regulation","consents":[],
 "resources":[{"resourceType":"Patient","id":"p","name":[{"family":"Holm"}]}],
 "request":{"at":"2026-08-05T12:00:00-05:00","actor":{"reference":"Practitioner/o","organization":"Organization/pd"},"role":[],"purpose":[],"scopes":["user/*.rs"]},
 "expected":{"resources":{"Patient/p":{"decision":"deny"}},"obligations":[]}}`

// decide runs the command on files made of contents and returns what it wrote.
func decide(t *testing.T, contents map[string]string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range contents {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i, a := range args {
		args[i] = strings.ReplaceAll(a, "DIR", dir)
	}
	return decideArgs(t, strings.NewReader(decideCase), args...)
}

func decideArgs(t *testing.T, stdin io.Reader, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := newDecideCommand()
	var out, errs bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetIn(stdin)
	cmd.SetArgs(append([]string{}, args...)) // nil would be this process's own
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

func TestDecideWritesALineACase(t *testing.T) {
	out, errs, code := decide(t, map[string]string{"a.json": decideCase, "b.json": "[" + decideCase + "," + strings.Replace(decideCase, `"one"`, `"two"`, 1) + "]"}, "DIR", "-")
	if code != 0 || errs != "" {
		t.Fatalf("code %d: %s", code, errs)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines:\n%s", len(lines), out)
	}
	var got struct {
		ID        string
		Resources map[string]struct {
			Decision string
			Reasons  []struct{ Rule string }
			Resource json.RawMessage
		}
		Obligations []string
		Bundle      struct{ Total int }
	}
	if err := json.Unmarshal([]byte(lines[2]), &got); err != nil {
		t.Fatal(err)
	}
	p := got.Resources["Patient/p"]
	if got.ID != "two" || p.Decision != "deny" || p.Resource != nil || len(p.Reasons) == 0 || len(got.Obligations) != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestDecideNamesFileAndPlaceAndRunsTheRest(t *testing.T) {
	for name, bad := range map[string]struct{ text, says string }{
		"truncated":       {decideCase[:200], "ends in the middle"},
		"no object":       {`"case"`, "a case file holds"},
		"empty":           {``, "empty"},
		"empty array":     {`[]`, "no case"},
		"no instant":      {strings.Replace(decideCase, "2026-08-05T12:00:00-05:00", "soon", 1), "request.at"},
		"no request":      {`{"id":"x","resources":[]}`, "request"},
		"bad resource":    {strings.Replace(decideCase, `"Patient"`, `"patient"`, 1), "resources[0]"},
		"no Consent":      {strings.Replace(decideCase, `"consents":[]`, `"consents":[{"resourceType":"Patient","id":"x"}]`, 1), "consents[0]"},
		"duplicate names": {strings.Replace(decideCase, `"id":"one"`, `"id":"one","id":"two"`, 1), "duplicate"},
		"wrong kind":      {strings.Replace(decideCase, `"scopes":["user/*.rs"]`, `"scopes":"user/*.rs"`, 1), "request.scopes"},
		"bad direction":   {strings.Replace(decideCase, `"role":[]`, `"role":[],"direction":"sideways"`, 1), "sideways"},
	} {
		t.Run(name, func(t *testing.T) {
			out, errs, code := decide(t, map[string]string{"bad.json": bad.text, "good.json": decideCase}, "DIR/bad.json", "DIR/good.json")
			if code != exitRejected || !strings.Contains(errs, "bad.json:") || !strings.Contains(errs, bad.says) || strings.Count(out, "\n") != 1 {
				t.Errorf("code %d, stderr %q, stdout %q", code, errs, out)
			}
			if _, _, code := decide(t, map[string]string{"bad.json": bad.text}, "DIR/bad.json"); code != exitFailed {
				t.Errorf("alone: code %d", code)
			}
		})
	}
	if _, errs, code := decide(t, nil, "DIR/absent.json"); code != exitFailed || !strings.Contains(errs, "absent.json") {
		t.Errorf("absent: %d %q", code, errs)
	}
	if _, errs, code := decide(t, nil, "DIR"); code != exitFailed || !strings.Contains(errs, "no .json file") {
		t.Errorf("an empty directory: %d %q", code, errs)
	}
	if _, _, code := decide(t, nil); code != exitUsage {
		t.Errorf("no argument: %d", code)
	}
}

func TestDecideCheckShowsTheDifference(t *testing.T) {
	wrong := strings.Replace(decideCase, `"decision":"deny"`, `"decision":"permit"`, 1)
	_, errs, code := decide(t, map[string]string{"w.json": wrong}, "--check", "DIR/w.json")
	if code != exitFailed || !strings.Contains(errs, "Patient/p: want permit, got deny") || !strings.Contains(errs, "case one") {
		t.Errorf("code %d: %s", code, errs)
	}
	if _, errs, code := decide(t, map[string]string{"a.json": decideCase}, "--check", "DIR/a.json"); code != 0 || !strings.Contains(errs, "1 as expected") {
		t.Errorf("code %d: %s", code, errs)
	}
	if _, _, code := decide(t, map[string]string{"a.json": decideCase}, "--semantics", "R5", "DIR/a.json"); code != exitUsage {
		t.Errorf("an unknown strength: %d", code)
	}
}

func TestDecideExplainsForPeople(t *testing.T) {
	out, _, code := decide(t, map[string]string{"a.json": decideCase}, "--explain", "DIR/a.json")
	for _, want := range []string{"an officer without a Consent", "Patient/p: not returned (deny)", "45 CFR 164.502(a)", "more would be returned if"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if code != 0 {
		t.Errorf("code %d", code)
	}
	out, _, code = decide(t, map[string]string{"a.json": decideCase}, "--explain", "--json", "DIR/a.json")
	if code != 0 || strings.Count(out, "\n") != 1 || !json.Valid([]byte(out)) || !strings.Contains(out, `"remedies":[{"opens":true`) {
		t.Errorf("as JSON: code %d\n%s", code, out)
	}
	if _, _, code := decide(t, map[string]string{"a.json": decideCase}, "--json", "DIR/a.json"); code != exitUsage {
		t.Errorf("--json alone: code %d", code)
	}
}

func TestDecideAgreesWithTheProjectsCases(t *testing.T) {
	if _, errs, code := decideArgs(t, nil, "--check", filepath.Join("..", "..", "conformance", "cases", "data")); code != 0 {
		t.Errorf("code %d: %s", code, errs)
	}
	shared := filepath.Join("..", "..", "..", "shared", "cases", "consent")
	if _, err := os.Stat(shared); err != nil {
		t.Skip("the shared decision cases are not beside the repository: they were not tried")
	}
	if _, errs, code := decideArgs(t, nil, "--check", shared); code != 0 {
		t.Errorf("code %d: %s", code, errs)
	}
}

// README says that each --help has an example; the folders of the tree that
// examples name are there.
func TestEveryCommandHasAnExample(t *testing.T) {
	folders := 0
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.HasParent() && c.Example == "" {
			t.Errorf("%s has no example", c.CommandPath())
		}
		if c.HasSubCommands() && c.HasParent() {
			line := append(strings.Fields(c.CommandPath())[1:], "no-such-command")
			if _, stderr, code := runLine("", line...); code != exitUsage || !strings.Contains(stderr, "no-such-command") {
				t.Errorf("%v: exit %d, %s", line, code, stderr)
			}
		}
		for _, word := range strings.Fields(c.Example) {
			if strings.HasPrefix(word, "conformance/") {
				folders++
				if _, err := os.Stat(filepath.Join("..", "..", word)); err != nil {
					t.Errorf("%s: %v", c.CommandPath(), err)
				}
			}
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newRootCommand())
	if folders == 0 {
		t.Error("no example names a folder of the tree")
	}
}

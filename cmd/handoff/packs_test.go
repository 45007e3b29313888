package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPacksCommands(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("id: x\nversion: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	plus := filepath.Join(t.TempDir(), "a+b", "site+1.yaml")
	copyOf(t, "../../gateway/policy/packs/us-ny.yaml", plus)
	raw, err := os.ReadFile("../../gateway/policy/packs/us-tx.yaml")
	if err != nil {
		t.Fatal(err)
	}
	strange := filepath.Join(t.TempDir(), "strange.yaml")
	if err := os.WriteFile(strange, []byte(strings.Replace(string(raw), "[NOREUSE]", "[NOREUSED]", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	agreement := filepath.Join(t.TempDir(), "agreement.yaml")
	if err := os.WriteFile(agreement, []byte(onOverlay), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		exit int
		want string
	}{
		{[]string{"packs", "list"}, 0, "us-federal"},
		{[]string{"packs", "show", "us-tx"}, 0, "us-tx@2026.11  sha256:"},
		{[]string{"packs", "show", "us-xx"}, 1, `no built-in pack "us-xx"`},
		{[]string{"packs", "show", "us-ny"}, 0, "NOTE: compared with a summary of (c)"},
		{[]string{"packs", "check", agreement}, 0, "agreement.yaml: ok"},
		{[]string{"packs", "check", plus}, 0, "site+1.yaml: ok"},
		{[]string{"packs", "check", strange}, 0, `strange.yaml: obligation "NOREUSED" cannot be carried out here`},
		{[]string{"decide", "--pack", "us-federal", "--pack", plus, row}, 0, `"resources"`},
		{[]string{"decide", "--pack", "us-federal", "--pack", plus + "+basis/33.13(c)(6)", row}, 0, `"resources"`},
		{[]string{"decide", "--pack", "us-federal", "--pack", plus + "+basis/none", row}, 1, `no rule "basis/none" to enable`},
		{[]string{"decide", "--pack", "us-federal", "--pack", "us-ny+basis/33.13(c)(6)", row}, 0, `"resources"`},
		{[]string{"decide", "--pack", "us-federal", "--pack", "us-ny+basis/none", row}, 1, `no rule "basis/none" to enable`},
		{[]string{"packs", "schema"}, 0, "https://json-schema.org/draft/2020-12/schema"},
		{[]string{"packs", "check", "../../gateway/policy/packs/us-federal.yaml", "../../gateway/policy/packs/us-ny.yaml"}, 0, "us-ny.yaml: ok"},
		{[]string{"packs", "check", bad}, 1, bad + ":2:10: version: wrong kind of value"},
		{[]string{"packs", "check"}, 2, "at least one file"},
		{[]string{"decide", "--pack", "no-such", "x.json"}, 1, "no built-in pack"},
	} {
		stdout, stderr, exit := runLine("", c.args...)
		if all := stdout + stderr; exit != c.exit || !strings.Contains(all, c.want) {
			t.Errorf("%v: exit %d, %q is missing in %s", c.args, exit, c.want, all)
		}
	}
}

// row is a file of cases.
const row = "../../conformance/cases/data/status.json"

// onOverlay accepts a basis that only a state's overlay has.
const onOverlay = `id: northfield
version: "2026.11"
title: An agreement
kind: agreement
jurisdiction: US-TX
combining: deny-overrides
period: {end: 2030-01-01}
sources:
  - {id: text, title: The text}
rules:
  - id: accept/1
    citation: the agreement
    verified: {where: text, on: 2026-11-27}
    effect: accept
    basis: [tx-614.017-special-needs-offender]
`

func copyOf(t *testing.T, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

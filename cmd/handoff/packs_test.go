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
	for _, c := range []struct {
		args []string
		exit int
		want string
	}{
		{[]string{"packs", "list"}, 0, "us-federal"},
		{[]string{"packs", "show", "us-tx"}, 0, "us-tx@2026.11  sha256:"},
		{[]string{"packs", "show", "us-xx"}, 1, `no built-in pack "us-xx"`},
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

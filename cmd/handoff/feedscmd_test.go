package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Who is told that a mapping is broken looks at the reports and rejects of its
// feed, and pauses it: that must not need the mapping.
func TestAFeedWithABrokenMappingCanBeLookedAt(t *testing.T) {
	dir := t.TempDir()
	settings := "server: {listen: \"127.0.0.1:0\"}\nsite: {key: 0123456789abcdef0123456789abcdef}\n" +
		"organizations:\n  - {id: pd, name: Police, kind: police}\n" +
		"systems:\n  - {key: drop, kind: feed, organization: pd, adapter: rms/csv, profile: p.yaml}\n"
	path := filepath.Join(dir, "handoff.yaml")
	writeConfig(t, path, settings)
	if err := os.WriteFile(filepath.Join(dir, "p.yaml"), []byte("profile: p\nmapping: [\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	db := storeOf(t, dir)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
	}{
		{"feeds list", 0}, {"feeds report", 0}, {"rejects list", 0}, {"feeds pause --reason x", 0}, {"feeds resume", 0},
		{"rejects replay --all", exitFailed}, {"config check " + path, exitFailed},
	} {
		var out bytes.Buffer
		root := newRootCommand()
		args := strings.Fields(c.args)
		if args[0] != "config" {
			args = append(args, "--config", path)
		}
		root.SetArgs(args)
		root.SetOut(&out)
		root.SetErr(&out)
		if code := run(t.Context(), root, &out); code != c.code {
			t.Errorf("%s: exit %d\n%s", c.args, code, out.String())
		}
	}
}

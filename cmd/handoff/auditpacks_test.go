package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/gateway/policy/packs"
	"github.com/handoff-health/handoff/gateway/replay"
)

// Past decisions go by the packs that are kept beside the trail, by their hash,
// and by others only if asked to.
func TestAuditReplayGoesByThePacksOfThen(t *testing.T) {
	dir, config := demoTrail(t)
	federal, err := packs.SourceOf("us-federal")
	if err != nil {
		t.Fatal(err)
	}
	// A federal pack under which an agency's data do not go to health.
	closed := filepath.Join(t.TempDir(), "closed.yaml")
	text := strings.Replace(string(federal), "{id: to-health, direction: police-to-health}", "{id: to-health, not: true, direction: police-to-health}", 1)
	if text == string(federal) {
		t.Fatal("the federal pack has no such condition any more: choose another")
	}
	if err := os.WriteFile(closed, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, results, _ := replayed(t, "--config", config, "--what-if", "pack="+closed)
	different := 0
	for _, r := range results {
		if r.Verdict == replay.Different {
			different++
			if !strings.HasPrefix(r.Reference, "Encounter/") && !strings.HasPrefix(r.Reference, "Patient/") || r.Now.Effect != "deny" {
				t.Errorf("%+v", r)
			}
		}
	}
	if code != exitFailed || different == 0 {
		t.Errorf("exit %d, %d different", code, different)
	}
	// A pack that is built in has no file.
	if code, results, errs := replayed(t, "--config", config, "--what-if", "us-tx"); code == exitUsage || len(results) == 0 {
		t.Errorf("by a name: exit %d, %s", code, errs)
	}
	if code, results, errs := replayed(t, "--config", config, "--what-if", "us-xx"); code == 0 || len(results) > 0 || !strings.Contains(errs, `pack us-xx: `) {
		t.Errorf("by no name: exit %d, %s", code, errs)
	}
	if code, _, errs := replayed(t, "--config", config, "--since", "2026-03-02", "--until", "2026-03-01"); code != exitUsage || !strings.Contains(errs, "--since must be before --until") {
		t.Errorf("a span with nothing in it: exit %d, %s", code, errs)
	}
	kept, err := filepath.Glob(filepath.Join(dir, "audit", "packs", "*"))
	if err != nil || len(kept) == 0 {
		t.Fatalf("%v, %v", kept, err)
	}
	for _, path := range kept {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func() error{
			"changed": func() error { return os.WriteFile(path, append(raw, '\n'), 0o600) },
			"removed": func() error { return os.Remove(path) },
		} {
			if err := change(); err != nil {
				t.Fatal(err)
			}
			code, results, _ := replayed(t, "--config", config)
			if code != exitRejected || results[0].Verdict != replay.NotReplayable || !strings.Contains(results[0].Why, "the rules of that moment") {
				t.Errorf("%s, %s: exit %d, %+v", filepath.Base(path), name, code, results[0])
			}
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

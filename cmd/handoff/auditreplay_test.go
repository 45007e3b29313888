package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/replay"
)

// demoTrail runs the demo and leaves its folder: a real store, a real trail.
func demoTrail(t *testing.T) (dir, config string) {
	t.Helper()
	dir = t.TempDir()
	if err := runDemo(t.Context(), demoOnTestStore(t, demoOptions{addr: "127.0.0.1:0", once: true, data: dir}), io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	return dir, filepath.Join(dir, "handoff.yaml")
}

// replayed runs the command and reads its results.
func replayed(t *testing.T, args ...string) (code int, out []replay.Result, errs string) {
	t.Helper()
	code, text, errs := runAudit(append([]string{"replay", "--json"}, args...)...)
	for line := range strings.Lines(text) {
		var r replay.Result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		out = append(out, r)
	}
	return code, out, errs
}

func TestAuditReplay(t *testing.T) {
	dir, config := demoTrail(t)
	code, all, errs := replayed(t, "--config", config)
	count := map[replay.Verdict]int{}
	var own, foreign string
	for _, r := range all {
		count[r.Verdict]++
		if r.Verdict == replay.NotReplayable && !strings.Contains(r.Why, "--resource-file") || r.Verdict == replay.Different {
			t.Errorf("%+v", r)
		}
		switch {
		case strings.HasPrefix(r.Reference, "CarePlan/") && r.Then.Effect == "permit":
			foreign = r.Reference
		case strings.HasPrefix(r.Reference, "Encounter/") && r.Verdict == replay.Same:
			own = r.Reference
		}
	}
	if code != exitRejected || count[replay.Same] < 5 || count[replay.NotReplayable] == 0 || own == "" || foreign == "" || !strings.Contains(errs, "could not be made again") {
		t.Fatalf("exit %d, %v, %s", code, count, errs)
	}
	name, _, _ := strings.Cut(own, "/_history/")
	judged := 0 // the summaries of the tour look at it too
	for _, r := range all {
		if r.Reference == own {
			judged++
		}
	}
	if code, one, _ := replayed(t, "--config", config, "--resource", name); code != 0 || len(one) != judged || one[0].Verdict != replay.Same {
		t.Errorf("one resource: exit %d, %+v", code, one)
	}
	if code, one, _ := replayed(t, "--config", config, "--resource", name, "--at", "2020-01-01"); code != exitFailed || len(one) != 0 {
		t.Errorf("before its time: exit %d, %+v", code, one)
	}
	if code, _, errs := replayed(t, "--config", config, "--at", "2020-01-01"); code != exitUsage || !strings.Contains(errs, "--resource") {
		t.Errorf("--at alone: exit %d, %s", code, errs)
	}
	t.Run("a connected system's resource from a file", func(t *testing.T) { replaysFromFile(t, dir, config, foreign) })
	t.Run("an expunged one", func(t *testing.T) {
		db := storeOf(t, dir)
		typ, id, _ := strings.Cut(name, "/")
		if err := db.Expunge(t.Context(), store.Key{Type: typ, ID: id}); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		code, one, _ := replayed(t, "--config", config, "--resource", name)
		if code != exitRejected || len(one) != judged || !strings.Contains(one[0].Why, "expunged") {
			t.Errorf("exit %d, %+v", code, one)
		}
	})
	t.Run("a trail that was changed", func(t *testing.T) { replaysNothingUnverified(t, dir, config) })
}

// replaysFromFile gives the bytes that the demo's system has, with other white
// space, and then other bytes.
func replaysFromFile(t *testing.T, dir, config, reference string) {
	files, err := filepath.Glob(filepath.Join("demodata", "*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, raw, "", "    "); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), filepath.Base(f))
		if err := os.WriteFile(path, indented.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(indented.String(), `"CarePlan"`) {
			found = append(found, "--resource-file", path)
		}
	}
	args := append([]string{"--config", config, "--resource", reference}, found...)
	if code, one, _ := replayed(t, args...); code != 0 || len(one) == 0 || one[0].Verdict != replay.Same {
		t.Errorf("exit %d, %+v (%d files)", code, one, len(found)/2)
	}
	other := filepath.Join(dir, "other.json")
	if err := os.WriteFile(other, []byte(`{"resourceType":"CarePlan","id":"x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, one, _ := replayed(t, "--config", config, "--resource", reference, "--resource-file", other); code != exitRejected || !strings.Contains(one[0].Why, "none of the files") {
		t.Errorf("other bytes: exit %d, %+v", code, one)
	}
}

func replaysNothingUnverified(t *testing.T, dir, config string) {
	segments, _ := filepath.Glob(filepath.Join(dir, "audit", "*.audit"))
	whole, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for name, changed := range map[string][]byte{
		"a decision":       bytes.Replace(whole, []byte(`"decision":"permit"`), []byte(`"decision":"deny"`), 1),
		"a record removed": bytes.Join(append(lines[:3:3], lines[4:]...), nil),
		"the end cut off":  bytes.Join(lines[:len(lines)-3], nil),
		"half a record":    whole[:len(whole)-40],
	} {
		if err := os.WriteFile(segments[0], changed, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, command := range [][]string{{"replay", "--config", config}, {"disclosures", "--config", config, "--patient", "Patient/x"}} {
			if code, out, errs := runAudit(command...); code != exitFailed || out != "" || !strings.Contains(errs, "does not verify") {
				t.Errorf("%s, %s: exit %d\n%s%s", name, command[0], code, out, errs)
			}
		}
	}
	if err := os.Rename(segments[0], segments[0]+".away"); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := runAudit("replay", "--config", config); code != exitFailed || out != "" || !strings.Contains(errs, "does not verify") {
		t.Errorf("a missing segment: exit %d\n%s%s", code, out, errs)
	}
}

package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/gateway/config"
)

// A screen is what the demo prints, readable while it runs.
type screen struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func TestDemoTellsItsStory(t *testing.T) {
	var out screen
	if err := runDemo(t.Context(), demoOnTestStore(t, demoOptions{addr: "127.0.0.1:0", once: true}), &out, io.Discard); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		"12 records = 6 created + 1 updated + 1 duplicates + 2 rejects + 2 non-records",
		"200 OK, 1 x Patient", "200 OK, 5 x Encounter", "201 Created", "200 OK, 1 x CarePlan", "the chain is whole",
		"the same bytes as for somebody of whom nothing is known", "200 OK, 1 x MedicationRequest", "403 Forbidden", "to Ana Ortiz, MD, Lakeside Community Mental Health",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

func TestDemoRefusesWhatItMustNotDo(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		o    demoOptions
		want string
	}{
		{"another interface", demoOptions{addr: "0.0.0.0:0"}, "loopback only"},
		{"no port", demoOptions{addr: "localhost"}, "host:port"},
		{"an app elsewhere", demoOptions{addr: "127.0.0.1:0", own: "http://app.example:3000"}, "--own-app"},
		{"an app with a path", demoOptions{addr: "127.0.0.1:0", own: "http://127.0.0.1:3000/app"}, "--own-app"},
		{"a folder in use", demoOptions{addr: "127.0.0.1:0", data: full}, "not empty"},
		{"a store that is no URI", demoOptions{addr: "127.0.0.1:0", store: "handoff.db"}, "--store takes the URI"},
		{"a store of another kind", demoOptions{addr: "127.0.0.1:0", store: "postgres://u:s3cr3t@h/x"}, "--store takes the URI"},
		{"a URI without a host", demoOptions{addr: "127.0.0.1:0", store: "mongodb://u:s3cr3t@/x"}, "percent-encoded"},
		{"the server's own database", demoOptions{addr: "127.0.0.1:0", store: "mongodb://h/admin"}, "authSource=admin"},
		{"a server that is away", demoOptions{addr: "127.0.0.1:0", store: "mongodb://u:s3cr3t@127.0.0.1:1/?serverSelectionTimeoutMS=100"}, "127.0.0.1:1"},
		{"a file as folder", demoOptions{addr: "127.0.0.1:0", data: filepath.Join(full, "mine")}, "--data"},
	} {
		err := runDemo(t.Context(), c.o, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.ContainsAny(err.Error(), "\n") || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// The printed lines are run as they stand, by a shell, against the running
// demo. Where bash, curl or sed is missing they were not tried, and the test
// says so.
func TestDemoPrintedLinesWork(t *testing.T) {
	if testing.Short() {
		t.Skip("the shell's lines are not run in short mode; TestDemoTellsItsStory makes the same requests")
	}
	for _, tool := range []string{"bash", "curl", "sed", "go"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: the demo's printed lines were NOT run", tool)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out screen
	done := make(chan error, 1)
	dir := filepath.Join(t.TempDir(), "the demo's folder")
	o := demoOnTestStore(t, demoOptions{addr: "127.0.0.1:0", data: dir})
	go func() { done <- runDemo(ctx, o, &out, io.Discard) }()
	for start := time.Now(); !strings.Contains(out.String(), "The demo goes on"); time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-done:
			t.Fatalf("the demo ended: %v\n%s", err, out.String())
		default:
		}
		if time.Since(start) > 2*time.Minute {
			t.Fatalf("the demo does not get ready:\n%s", out.String())
		}
	}
	script := "set -euo pipefail\n"
	lines := 0
	for line := range strings.SplitSeq(out.String(), "\n") {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			script += command + "\necho\n"
			lines++
		}
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir = filepath.Join("..", "..")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || lines < 9 {
		t.Fatalf("%d lines: %v\n%s\n%s", lines, err, stderr.String(), stdout.String())
	}
	got := stdout.String()
	for what, n := range map[string]int{`"total":5`: 1, `"total":1`: 1, `"total":0`: 2, "One voice, low and slow": 1, "\n200\n": 4, "\n201\n": 2, "\n403\n": 1, "Weekly sessions": 2, "unresponsive, suspected overdose": 1} {
		if strings.Count(got, what) < n {
			t.Errorf("%q should be there %d times:\n%s", what, n, got)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("the demo ends with %v", err)
	}
}

// A demo on MongoDB takes a database of its own, leaves another's alone, and takes
// away what it made.
func TestDemoOnMongoLeavesNothingAndMeetsNobody(t *testing.T) {
	mine := backendtest.MongoAddress(t)
	var out screen
	o := demoOptions{addr: "127.0.0.1:0", once: true, store: mine}
	if err := runDemo(t.Context(), o, &out, io.Discard); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if want := "Store: " + backend.Name(mine, "") + ", removed when the demo ends"; !strings.Contains(out.String(), want) {
		t.Errorf("%q is missing in\n%s", want, out.String())
	}
	if vacant, err := backend.Vacant(t.Context(), mine, backend.Options{}); err != nil || !vacant {
		t.Errorf("something is left: vacant %v, %v", vacant, err)
	}
	o.data = filepath.Join(t.TempDir(), "kept")
	var log screen
	if err := runDemo(t.Context(), o, io.Discard, &log); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	file := filepath.Join(o.data, "handoff.yaml")
	if c, err := config.Load(file); err != nil || backend.Name(c.StoreAddress()) != backend.Name(mine, "") {
		t.Errorf("the configuration is about another store: %v", err)
	}
	if out, errs, code := runLine("", "link", "list", "--config", file); code != 0 || !strings.Contains(out, "lakeside-ehr") {
		t.Errorf("the store that was kept: exit %d\n%s%s", code, out, errs)
	}
	o.data = ""
	if err := runDemo(t.Context(), o, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "holds data already") {
		t.Errorf("a database with data: %v", err)
	}
	if _, _, code := runLine("", "link", "list", "--config", file); code != 0 {
		t.Error("the demo that was refused has taken the store away")
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/gateway/audit"
)

// auditTrail makes a closed trail with three events.
func auditTrail(t *testing.T) (dir, anchor, key string) {
	t.Helper()
	tmp := t.TempDir()
	dir, anchor, key = filepath.Join(tmp, "trail"), filepath.Join(tmp, "anchor"), filepath.Join(tmp, "key.pem")
	signer, err := audit.LoadOrCreateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	trail, err := audit.Open(audit.Options{Dir: dir, Anchor: &audit.FileAnchor{Path: anchor}, Key: signer})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	for _, e := range []*audit.Event{
		{ID: "a", At: at, Interaction: "read", Status: 200, Client: "rms", Path: "/fhir/Patient/1"},
		{ID: "b", At: at.Add(time.Hour), Interaction: "read", Status: 403, Outcome: audit.Serious, Reason: "scope", Client: "rms\n\x1b[2Jfake", Path: "/fhir/Patient/1"},
		{ID: "c", At: at.Add(2 * time.Hour), Interaction: "search-type", Status: 200, Client: "rms", Path: "/fhir/Condition", Query: "patient=1", Incomplete: true},
	} {
		if err := trail.Record(context.Background(), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, anchor, key + ".pub"
}

// runAudit runs the command in this process.
func runAudit(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	root := newRootCommand()
	root.SetArgs(append([]string{"audit"}, args...))
	root.SetOut(&out)
	root.SetErr(&errs)
	code = run(context.Background(), root, &errs)
	return code, out.String(), errs.String()
}

func TestAuditVerifySaysOKAndExitsOtherwise(t *testing.T) {
	dir, anchor, key := auditTrail(t)
	code, out, errs := runAudit("verify", dir, "--anchor", anchor, "--key", key)
	if code != 0 || !strings.Contains(out, "OK") || !strings.Contains(out, "3 of them events") || errs != "" {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	segments, _ := filepath.Glob(filepath.Join(dir, "*.audit"))
	raw, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(segments[0], bytes.Replace(raw, []byte(`"status":403`), []byte(`"status":200`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs = runAudit("verify", "--dir", dir, "--anchor", anchor, "--key", key)
	if code != exitFailed || !strings.Contains(out, "TAMPERED") || !strings.Contains(out, "record 3") || !strings.Contains(errs, filepath.Base(segments[0])) {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	code, out, _ = runAudit("verify", dir, "--anchor", anchor, "--key", key, "--json")
	var r audit.Report
	if err := json.Unmarshal([]byte(out), &r); code != exitFailed || err != nil || len(r.Problems) == 0 {
		t.Errorf("exit %d, %v\n%s", code, err, out)
	}
	if code, _, errs := runAudit("report", dir, "--anchor", anchor, "--key", key); code != exitFailed || !strings.Contains(errs, "does not verify") {
		t.Errorf("report of a changed trail: exit %d\n%s", code, errs)
	}
}

func TestAuditCommandsNameWhatIsMissing(t *testing.T) {
	dir, anchor, key := auditTrail(t)
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"verify", dir}, exitUsage, "--anchor and --key"},
		{[]string{"verify"}, exitUsage, "name the folder"},
		{[]string{"verify", dir, dir}, exitUsage, "--anchor and --key"},
		{[]string{"verify", dir, dir, "--anchor", anchor, "--key", key}, exitUsage, "2 folders want as many --anchor"},
		{[]string{"verify", dir, dir, "--anchor", anchor, "--anchor", anchor + "x", "--key", key}, exitUsage, "named as the folder of two trails"},
		{[]string{"verify", dir, dir + "x", "--anchor", anchor, "--anchor", anchor, "--key", key}, exitUsage, "named as the anchor of two trails"},
		{[]string{"tail", dir, dir}, exitUsage, "one folder"},
		{[]string{"verify", dir, "--anchor", anchor + "x", "--key", key}, exitFailed, anchor + "x"},
		{[]string{"verify", dir, "--anchor", anchor, "--key", anchor}, exitFailed, "no key in PEM form"},
		{[]string{"verify", dir + "x", "--anchor", anchor, "--key", key}, exitFailed, dir + "x"},
		{[]string{"verify", anchor, "--anchor", anchor, "--key", key}, exitFailed, "not a folder"},
		{[]string{"tail", dir + "x"}, exitFailed, dir + "x"},
		{[]string{"tail", dir, "--format", "xml"}, exitUsage, "fhir, json, text"},
		{[]string{"report", dir, "--since", "yesterday"}, exitUsage, "yesterday"},
	} {
		code, out, errs := runAudit(tt.args...)
		if code != tt.code || !strings.Contains(errs, tt.says) || out != "" {
			t.Errorf("%v: exit %d, want %d and %q\n%s%s", tt.args, code, tt.code, tt.says, out, errs)
		}
	}
}

func TestAuditTailPrintsTheNewest(t *testing.T) {
	dir, _, _ := auditTrail(t)
	_, out, _ := runAudit("tail", dir, "-n", "3")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], `reason="scope"`) || strings.Contains(out, "\x1b") || !strings.Contains(lines[2], "audit-close") {
		t.Errorf("got %q", out)
	}
	_, out, _ = runAudit("tail", dir, "--format", "fhir")
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, `{"resourceType":"AuditEvent"`) || !json.Valid([]byte(line)) {
			t.Errorf("got %q", line)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	root := newRootCommand()
	root.SetArgs([]string{"audit", "tail", dir, "--follow"})
	root.SetOut(new(bytes.Buffer))
	if err := root.ExecuteContext(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("follow: %v", err)
	}
}

func TestAuditReportCounts(t *testing.T) {
	dir, anchor, key := auditTrail(t)
	code, out, errs := runAudit("report", dir, "--since", "2026-03-01", "--until", "2026-03-01T09:30:00Z", "--anchor", anchor, "--key", key, "--json")
	var s audit.Summary
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != 0 || errs != "" {
		t.Fatalf("exit %d, %v\n%s%s", code, err, out, errs)
	}
	if s.Events != 2 || s.Refused != 1 || s.Incomplete != 0 || s.Interactions["read"] != 2 {
		t.Errorf("got %+v", s)
	}
	_, out, errs = runAudit("report", dir, "--since", "")
	if !strings.Contains(out, "refused for scope") || strings.Contains(out, "\x1b") || !strings.Contains(errs, "not verified") {
		t.Errorf("got %s%s", out, errs)
	}
}

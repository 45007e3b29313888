package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/gateway/audit"
)

func TestTrailsOfSeveralGatewaysAreVerifiedTogether(t *testing.T) {
	dirA, anchorA, keyA := auditTrail(t)
	dirB, anchorB, keyB := auditTrail(t)
	both := []string{dirA, dirB, "--anchor", anchorA, "--anchor", anchorB, "--key", keyA, "--key", keyB}
	code, out, errs := runAudit(append([]string{"verify"}, both...)...)
	if code != 0 || strings.Count(out, "OK") != 2 || errs != "" {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	code, out, _ = runAudit(append([]string{"verify", "--json"}, both...)...)
	var reports []audit.Report
	if err := json.Unmarshal([]byte(out), &reports); code != 0 || err != nil || len(reports) != 2 || reports[0].Trail == reports[1].Trail {
		t.Errorf("exit %d, %v\n%s", code, err, out)
	}
	code, out, _ = runAudit("report", dirA, dirB, "--since", "2026-03-01", "--anchor", anchorA, "--anchor", anchorB, "--key", keyA, "--key", keyB, "--json")
	var s audit.Summary
	if err := json.Unmarshal([]byte(out), &s); code != 0 || err != nil || s.Events != 6 || s.Refused != 2 {
		t.Errorf("exit %d, %v\n%s", code, err, out)
	}
	// Anchors in the wrong order are no proof; nor is one key for two.
	if code, _, _ := runAudit("verify", dirA, dirB, "--anchor", anchorB, "--anchor", anchorA, "--key", keyA, "--key", keyB); code != exitFailed {
		t.Errorf("swapped anchors: exit %d", code)
	}
	if code, _, _ := runAudit("verify", dirA, dirB, "--anchor", anchorA, "--anchor", anchorB, "--key", keyA); code != exitFailed {
		t.Errorf("another's key: exit %d", code)
	}
	// A copy of a trail must not count twice.
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(dirA)); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(anchorA)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied+".anchor", raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := runAudit("verify", dirA, copied, "--anchor", anchorA, "--anchor", copied+".anchor", "--key", keyA); code != exitFailed || !strings.Contains(errs, "copies of one trail") {
		t.Errorf("a copy: exit %d, %s", code, errs)
	}
	// One of two that was changed is named, the other is shown.
	segments, _ := filepath.Glob(filepath.Join(dirB, "*.audit"))
	raw, err = os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(segments[0], []byte(strings.Replace(string(raw), `"status":403`, `"status":200`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs = runAudit(append([]string{"verify"}, both...)...)
	if code != exitFailed || !strings.Contains(out, "OK") || !strings.Contains(out, "TAMPERED") || !strings.Contains(errs, dirB) || strings.Contains(errs, dirA+" does") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

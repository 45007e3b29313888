package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
)

// linkSite makes a configuration with one upstream and a store with Patients.
func linkSite(t *testing.T) (file string) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "handoff.yaml")
	text := `server:
  listen: 127.0.0.1:0
site:
  key: a-site-key-of-at-least-thirty-two-bytes
organizations:
  - id: river
    name: River Health
    kind: health
systems:
  - key: river-ehr
    kind: fhir
    organization: river
    slug: qx
    base: http://127.0.0.1:1/fhir
`
	writeConfig(t, file, text)
	db := storeOf(t, dir)
	for i, id := range []string{"p1", "p2"} {
		raw := fmt.Appendf(nil, `{"resourceType":"Patient","id":%q,"identifier":[{"system":"https://handoff-health.github.io/fhir/sid/ZZ0050100/mni","value":"%d"}]}`, id, 70+i)
		r, err := resource.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Write(context.Background(), store.Write{Record: store.Record{Key: store.Key{Type: "Patient", ID: id}, Raw: raw, Index: search.Index(r)}}); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

func linkRun(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	root := newRootCommand()
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(append([]string{"link"}, args...))
	code = run(context.Background(), root, &errs)
	return code, out.String(), errs.String()
}

func TestALinkGoesFromARosterToAReviewerAndBack(t *testing.T) {
	file := linkSite(t)
	roster := filepath.Join(t.TempDir(), "roster.csv")
	if err := os.WriteFile(roster, []byte("system,remote_id,ori,mni\nriver-ehr,4711,ZZ0050100,70\nriver-ehr,4712,ZZ0050100,99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := linkRun(t, "import", "--config", file, roster)
	if code != exitRejected || !strings.Contains(out, "2 lines: 1 added, 0 unchanged, 1 rejected") || !strings.Contains(errs, "roster.csv: line 3: mni: no Patient here") {
		t.Errorf("import: %d %q %q", code, out, errs)
	}
	if code, out, errs = linkRun(t, "list", "--config", file, "--state", "confirmed"); code != 0 || !strings.Contains(out, "Patient/p1  river-ehr  4711       confirmed  roster") {
		t.Errorf("list: %d %q %q", code, out, errs)
	}
	if code, _, errs = linkRun(t, "undo", "--config", file, "--reviewer", "mlopez", "Patient/p1", "river-ehr", "4711"); code != 0 {
		t.Errorf("undo: %d %q", code, errs)
	}
	if code, _, errs = linkRun(t, "import", "--config", file, roster); code != exitRejected || !strings.Contains(errs, "line 2: the link was undone") {
		t.Errorf("import again: %d %q", code, errs)
	}
	if code, _, errs = linkRun(t, "confirm", "--config", file, "--reviewer", "mlopez", "p2", "-", "p1"); code != 0 {
		t.Errorf("confirm within the own store: %d %q", code, errs)
	}
	if code, out, _ = linkRun(t, "list", "--config", file, "--format", "json", "--patient", "p1"); code != 0 ||
		!strings.Contains(out, `"state":"undone"`) || !strings.Contains(out, `"remoteId":"p2"`) || strings.Count(out, "\n") != 2 {
		t.Errorf("list as JSON: %d %q", code, out)
	}
	if code, out, _ = linkRun(t, "history", "--config", file, "Patient/p1", "river-ehr", "4711"); code != 0 || strings.Count(out, "river-ehr") != 2 {
		t.Errorf("history: %d %q", code, out)
	}
}

func TestLinkSaysWhatIsWrong(t *testing.T) {
	file := linkSite(t)
	for _, tt := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"list"}, exitUsage, "--config"},
		{[]string{"list", "--config", file, "--state", "maybe"}, exitUsage, "--state"},
		{[]string{"list", "--config", file, "--format", "xml"}, exitUsage, "--format"},
		{[]string{"list", "--config", file, "x"}, exitUsage, "no argument"},
		{[]string{"confirm", "--config", file, "--reviewer", "r", "Patient/p1"}, exitUsage, "takes a Patient"},
		{[]string{"confirm", "--config", file, "Patient/p1", "river-ehr", "1"}, exitUsage, "--reviewer"},
		{[]string{"confirm", "--config", file, "--reviewer", "r", "Patient/p1", "nobody", "1"}, exitFailed, "nobody"},
		{[]string{"confirm", "--config", file, "--reviewer", "r", "Patient/p9", "river-ehr", "1"}, exitFailed, "the store has no such Patient: Patient/p9: not found"},
		{[]string{"undo", "--config", file, "--reviewer", "r", "Patient/p1", "river-ehr", "1"}, exitFailed, "no such link"},
		{[]string{"import", "--config", file, "absent.csv"}, exitFailed, "absent.csv"},
		{[]string{"import", "--config", file, t.TempDir()}, exitFailed, "directory"},
		{[]string{"list", "--config", "absent.yaml"}, exitFailed, "absent.yaml"},
	} {
		if code, out, errs := linkRun(t, tt.args...); code != tt.code || !strings.Contains(errs, tt.text) || out != "" {
			t.Errorf("%v: %d %q %q", tt.args, code, out, errs)
		}
	}
}

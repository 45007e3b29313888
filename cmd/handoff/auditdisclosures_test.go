package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/gateway/audit"
)

// disclosed is what the tests read of the command's JSON.
type disclosed struct {
	Person      []denoted
	Disclosures []struct {
		Patient, Records string
		From, To         party
		Lists, Outside   []string
	}
}

func disclosures(t *testing.T, args ...string) (out disclosed, errs string) {
	t.Helper()
	code, text, errs := runAudit(append([]string{"disclosures", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(text), &out); err != nil || code != 0 {
		t.Fatalf("exit %d, %v\n%s%s", code, err, text, errs)
	}
	return out, errs
}

func TestAuditDisclosures(t *testing.T) {
	dir, file := demoTrail(t)
	c, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	patient, ehr := demoPatient(t, c.Path(c.Audit.Dir))
	all, errs := disclosures(t, "--config", file, "--patient", patient)
	if len(all.Person) < 3 || len(all.Disclosures) < 3 || !strings.Contains(errs, "The trail begins") {
		t.Fatalf("%+v\n%s", all, errs)
	}
	plans := 0
	for _, d := range all.Disclosures {
		if strings.Contains(d.Records, "CarePlan") {
			plans++
			// Two went out on the consent (search, summary), one under the warrant, which is accounted for.
			consented, accounted := strings.Contains(strings.Join(d.Outside, ""), "(a)(1)(iv)"), slices.Contains(d.Lists, "45 CFR 164.528")
			if d.From.Name != "Lakeside Community Mental Health" || d.To.Name != "Riverton Police Department" || consented == accounted {
				t.Errorf("got %+v", d)
			}
		}
	}
	if plans != 3 {
		t.Errorf("%d disclosures of a plan", plans)
	}
	// The same person under another of the Patients gives the same.
	other, _ := disclosures(t, "--config", file, "--patient", ehr)
	if len(other.Disclosures) != len(all.Disclosures) {
		t.Errorf("under %s: %d, under %s: %d", patient, len(all.Disclosures), ehr, len(other.Disclosures))
	}
	if few, _ := disclosures(t, "--config", file, "--patient", patient, "--kind", "accounting"); len(few.Disclosures) != 1 || !strings.Contains(few.Disclosures[0].Records, "CarePlan") {
		t.Errorf("in the accounting: %+v", few.Disclosures)
	}
	code, text, _ := runAudit("disclosures", "--config", file, "--patient", patient, "--csv")
	if lines := strings.Split(strings.TrimSpace(text), "\n"); code != 0 || len(lines) != len(all.Disclosures)+1 || !strings.HasPrefix(lines[0], "date,times") {
		t.Errorf("exit %d\n%s", code, text)
	}
	for _, bad := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--patient", patient}, exitUsage, "--config"},
		{[]string{"--config", file}, exitUsage, "--patient"},
		{[]string{"--config", file, "--patient", "never-heard-of"}, exitFailed, "neither the trail nor the store knows Patient/never-heard-of"},
		{[]string{"--config", file, "--patient", patient, "--kind", "some"}, exitUsage, "--kind"},
		{[]string{"--config", file, "--patient", patient, "--json", "--csv"}, exitUsage, "not both"},
		{[]string{"--config", file, "--patient", patient, "--from", "2026-03-02", "--to", "2026-03-01"}, exitUsage, "--from must be before --to"},
		{[]string{"--config", file, "--patient", patient, "--suspend", "Organization/lakeside=2099-01-01"}, exitUsage, "no law enforcement agency"},
		{[]string{"--config", file, "--patient", patient, "--suspend", "Organization/riverton-pd"}, exitUsage, "want ORGANIZATION=DATE"},
	} {
		if code, out, errs := runAudit(append([]string{"disclosures"}, bad.args...)...); code != bad.code || out != "" || !strings.Contains(errs, bad.says) {
			t.Errorf("%v: exit %d\n%s%s", bad.args, code, out, errs)
		}
	}
	t.Run("each use is recorded", func(t *testing.T) { recordsUses(t, dir, file, patient) })
}

var onePatient = regexp.MustCompile(`Patient/[a-z0-9-]+`)

// demoPatient finds two Patients of the one person of the demo.
func demoPatient(t *testing.T, trail string) (own, ehr string) {
	t.Helper()
	err := audit.Follow(t.Context(), trail, 1, 0, func(r audit.Record) error {
		for _, p := range r.Event.Patients {
			switch ref := onePatient.FindString(p); {
			case strings.HasPrefix(ref, "Patient/k-"):
				ehr = ref
			case ref != "" && !strings.Contains(ref, "-"):
				own = ref
			}
		}
		return nil
	})
	if err != nil || own == "" || ehr == "" {
		t.Fatalf("%v, %q, %q", err, own, ehr)
	}
	return own, ehr
}

// recordsUses looks for the uses in the trail, and, while another process writes
// it, in the store's log.
func recordsUses(t *testing.T, dir, file, patient string) {
	uses := 0
	err := audit.Follow(t.Context(), filepath.Join(dir, "audit"), 1, 0, func(r audit.Record) error {
		if r.Event.Interaction == "disclosures" && len(r.Event.Patients) > 2 && r.Event.User != "" {
			uses++
		}
		return nil
	})
	if err != nil || uses != 4 {
		t.Errorf("%d uses in the trail, %v", uses, err)
	}
	c, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	anchor := filepath.Join(dir, c.Audit.Anchor)
	before := sizeOf(t, anchor)
	trail, err := openTrail(c, slog.New(slog.NewTextHandler(io.Discard, nil)), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer trail.Close()
	eventually(t, "its first record is anchored", func() bool { return sizeOf(t, anchor) > before })
	if _, errs := disclosures(t, "--config", file, "--patient", patient); !strings.Contains(errs, usesStream) {
		t.Errorf("got %s", errs)
	}
	db := storeOf(t, dir)
	entries, err := db.ReadFrom(context.Background(), usesStream, 1, 10)
	if err != nil || len(entries) != 1 || !strings.Contains(string(entries[0].Data), patient) {
		t.Errorf("%v, %d entries", err, len(entries))
	}
}

func sizeOf(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

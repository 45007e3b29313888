package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/adapters/ingest"
)

const rejectsConfig = `server: {listen: "127.0.0.1:0"}
site: {key: 0123456789abcdef0123456789abcdef}
organizations:
  - {id: clinic, name: Clinic, kind: health}
  - {id: pd, name: Police, kind: police}
systems:
  - {key: adt, kind: feed, organization: clinic, adapter: ehr/hl7v2, receive: {mllp: {listen: "localhost:0"}}}
  - {key: ndex, kind: feed, organization: pd, adapter: rms/ndex}
  - {key: eido, kind: feed, organization: pd, adapter: rms/eido}
  - {key: csv, kind: feed, organization: pd, adapter: rms/csv}
`

func person28(control, mrn, family string) string {
	return "MSH|^~\\&|EPIC|MERCY|||20260301120000||ADT^A28|" + control + "|P|2.5.1\rEVN|A28|20260301120000\rPID|1||" + mrn + "||" + family + "^ANA||19800612|F\r"
}

// rejectsOf reads the queue as a user does.
func rejectsOf(t *testing.T, config, system string, args ...string) (out []rejectJSON) {
	t.Helper()
	text, errs, code := runLine("", append([]string{"rejects", "list", "--json", "--config", config, "--system", system}, args...)...)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for line := range strings.Lines(text) {
		var r rejectJSON
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err, line)
		}
		out = append(out, r)
	}
	return out
}

func eventsOf(t *testing.T, dir, system string) (kinds string) {
	t.Helper()
	db := storeOf(t, dir)
	entries, err := db.ReadFrom(context.Background(), ingest.EventStream(system), 1, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		kinds += string(e.Data) + "\n"
	}
	return kinds
}

func readFixture(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestRejectsAreSeenMendedAndReplayed goes the way of an operator, for each shape
// of input, while a gateway runs on the same store.
func TestRejectsAreSeenMendedAndReplayed(t *testing.T) {
	good := readFixture(t, "../../adapters/rms/ndex/testdata/good.xml")
	const number = "<nc:ActivityIdentification><nc:IdentificationID>26-0002</nc:IdentificationID></nc:ActivityIdentification>"
	const activity = `<nc:Activity s:id="A1">`
	rows := strings.SplitAfter(readFixture(t, feedFile(t, "good.csv")), "\n")
	secret := strings.Split(rows[1], ",")[5] // the family name
	for _, c := range []struct {
		system, adapter, file, text string
		secret                      string
		mend                        func(string) string
	}{
		{"adt", "ehr/hl7v2", "batch.hl7", "BHS|^~\\&|EPIC|MERCY\r" + person28("E1", "M1^^^MERCY^MR", "GOODSON") + person28("E2", "", "SECRETSON") + person28("E3", "M3^^^MERCY^MR", "GOODSON") + "BTS|3\r",
			"SECRETSON", func(s string) string { return strings.Replace(s, "PID|1||||", "PID|1||M2^^^MERCY^MR||", 1) }},
		{"ndex", "rms/ndex", "message.xml", strings.Replace(good, number, "", 1), "Berg",
			func(s string) string { return strings.Replace(s, activity, activity+number, 1) }},
		{"eido", "rms/eido", "object.json", `{"$id":"urn:emergency:uid:incidentid:t1:cad.example","eidoVersion":"1.0","agencyComponent":[{"$id":"pd.test.example","incidentOwningAgencyIndicator":true}],"incidentComponent":{"$id":"urn:emergency:uid:incident:t1:cad.example","incidentTypeInternalText":"SECRETSON at home"}}` + "\n",
			"SECRETSON", func(s string) string {
				return strings.Replace(s, `"eidoVersion"`, `"lastUpdateTimeStamp":"2026-04-11T22:14:00Z","eidoVersion"`, 1)
			}},
		{"csv", "rms/csv", "export.csv", rows[0] + strings.Replace(rows[1], ",", ",,", 1), secret,
			func(s string) string { return strings.Replace(s, ",,", ",", 1) }},
	} {
		t.Run(c.system, func(t *testing.T) {
			dir := writeFiles(t, map[string]string{"handoff.yaml": rejectsConfig, c.file: c.text})
			config, flags := filepath.Join(dir, "handoff.yaml"), []string{"--config", filepath.Join(dir, "handoff.yaml"), "--system", c.system}
			rejects := func(what string, args ...string) (string, string, int) {
				return runLine("", append(append([]string{"rejects", what}, flags...), args...)...)
			}
			runGateway(t, dir)
			if out, errs, code := runLine("", "ingest", "--config", config, "--adapter", c.adapter, "--system", c.system, filepath.Join(dir, c.file)); code != exitRejected {
				t.Fatalf("exit %d\n%s%s", code, out, errs)
			}
			open := rejectsOf(t, config, c.system)
			if len(open) == 0 {
				t.Fatal("nothing is in the queue")
			}
			for _, r := range open { // one of N-DEx may be there for each person
				seq := fmt.Sprint(r.Seq)
				out, errs, code := rejects("show", seq)
				if code != 0 || strings.Contains(out, c.secret) || !strings.Contains(out, "***") || !strings.Contains(out, r.Message) {
					t.Errorf("shown, exit %d: %s%s", code, out, errs)
				}
				if strings.Contains(eventsOf(t, dir, c.system), "reveal") {
					t.Error("a masked look was noted as a reveal")
				}
			}
			first := fmt.Sprint(open[0].Seq)
			if out, _, code := rejects("show", first, "--reveal", "--by", "ann"); code != 0 || !strings.Contains(out, c.secret) {
				t.Errorf("revealed, exit %d: %s", code, out)
			}
			if e := eventsOf(t, dir, c.system); strings.Count(e, `"reveal"`) != 1 || !strings.Contains(e, `"ann"`) || strings.Contains(e, c.secret) {
				t.Errorf("events: %s", e)
			}
			if _, _, code := rejects("replay", first); code != exitRejected {
				t.Errorf("replayed as it was: exit %d", code)
			}
			for _, r := range open {
				seq, copied := fmt.Sprint(r.Seq), filepath.Join(t.TempDir(), "copy")
				if _, errs, code := rejects("edit", seq, "--out", copied); code != 0 {
					t.Fatal(errs)
				}
				if info, err := os.Stat(copied); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("%v %v", info, err)
				}
				if _, _, code := rejects("edit", seq, "--out", copied); code == 0 {
					t.Error("a file was overwritten")
				}
				if err := os.WriteFile(copied, []byte(c.mend(readFixture(t, copied))), 0o600); err != nil {
					t.Fatal(err)
				}
				if _, errs, code := rejects("edit", seq, "--from", copied); code != 0 {
					t.Fatal(errs)
				}
			}
			span := fmt.Sprintf("%d-%d", open[0].Seq, open[len(open)-1].Seq)
			if out, errs, code := rejects("replay", span); code != 0 || !strings.Contains(out, fmt.Sprintf("%d replayed", len(open))) || !strings.Contains(out, "created") {
				t.Errorf("replayed, exit %d: %s%s", code, out, errs)
			}
			if left := rejectsOf(t, config, c.system); len(left) != 0 {
				t.Errorf("left in the queue: %+v", left)
			}
			if done := rejectsOf(t, config, c.system, "--state", "replayed", span); len(done) != len(open) || !done[0].Edited || done[0].Tries < 2 {
				t.Errorf("%+v", done)
			}
			if out, _, code := rejects("replay", span); code != 0 || strings.Contains(out, "created") || strings.Contains(out, "updated") {
				t.Errorf("a second time, exit %d: %s", code, out)
			}
			if out, _, code := rejects("replay", "999999"); code != exitFailed || strings.Contains(out, "replayed") {
				t.Errorf("a number that is not there, exit %d: %s", code, out)
			}
		})
	}
}

func TestRejectsAreNamedByNumberAndRange(t *testing.T) {
	text := ""
	for n := range 9 {
		text += person28(fmt.Sprint("E", n), "", "SECRETSON")
	}
	dir := writeFiles(t, map[string]string{"handoff.yaml": rejectsConfig, "in.hl7": text})
	config := filepath.Join(dir, "handoff.yaml")
	if _, errs, code := runLine("", "ingest", "--config", config, "--adapter", "ehr/hl7v2", filepath.Join(dir, "in.hl7")); code != exitRejected {
		t.Fatal(code, errs)
	}
	for args, want := range map[string]int{"": 9, "3": 1, "2-4": 3, "8-": 2, "1 3 5-6": 4, "20": 0, "--code patient-identifier-missing": 9, "--code other": 0, "--state all 4-5": 2, "--state replayed": 0} {
		if got := rejectsOf(t, config, "adt", strings.Fields(args)...); len(got) != want {
			t.Errorf("%q: %d, want %d", args, len(got), want)
		}
	}
	for _, args := range []string{"x", "0", "4-2", "1-x", "--state lost"} {
		if _, errs, code := runLine("", append([]string{"rejects", "list", "--config", config, "--system", "adt"}, strings.Fields(args)...)...); code != exitUsage || errs == "" {
			t.Errorf("%q: exit %d %s", args, code, errs)
		}
	}
	if _, errs, code := runLine("", "rejects", "replay", "--config", config, "--system", "adt"); code != exitUsage || !strings.Contains(errs, "replay what?") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if _, errs, code := runLine("", "rejects", "show", "--config", config, "7"); code != exitUsage || !strings.Contains(errs, "several feeds") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if out, _, code := runLine("", "rejects", "replay", "--config", config, "--system", "adt", "--json", "2-4"); code != exitRejected || strings.Count(out, `"outcome":"rejected"`) != 3 {
		t.Errorf("exit %d: %s", code, out)
	}
}

// TestAResumedIngestStillSaysThatRecordsWereRejected: the rejects that a run had
// counted before it was killed are rejects of the file.
func TestAResumedIngestStillSaysThatRecordsWereRejected(t *testing.T) {
	text := person28("E0", "", "SECRETSON")
	for n := range 60 {
		text += person28(fmt.Sprint("G", n), fmt.Sprintf("M%d^^^MERCY^MR", n), fmt.Sprint("F", n))
	}
	dir := writeFiles(t, map[string]string{"handoff.yaml": rejectsConfig, "in.hl7": text})
	config, file := filepath.Join(dir, "handoff.yaml"), filepath.Join(dir, "in.hl7")
	c, err := loadConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	db := storeOf(t, dir)
	target, err := newIngestTarget(c, db, c.Systems[0])
	if err != nil {
		t.Fatal(err)
	}
	fd, err := loadFeed(target.Adapter, "")
	if err != nil {
		t.Fatal(err)
	}
	p, killed, n := target.pipeline(fd), errors.New("killed"), 0
	p.Each = func(*flow.Mapped, flow.Outcome) error {
		if n++; n > 40 {
			return killed
		}
		return nil
	}
	in, closer, err := adapters.OpenFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(t.Context(), in); !errors.Is(err, killed) {
		t.Fatal(err)
	}
	if err := errors.Join(closer.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	out, errs, code := runLine("", "ingest", "--config", config, "--adapter", "ehr/hl7v2", file)
	if code != exitRejected || !strings.Contains(out, " 0 rejects") || !strings.Contains(out, "had done 40 records more, 1 of them rejects") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	if got := rejectsOf(t, config, "adt"); len(got) != 1 {
		t.Errorf("%+v", got)
	}
	// From its beginning again, once it was done: the reject is one of this run.
	out, _, code = runLine("", "ingest", "--config", config, "--adapter", "ehr/hl7v2", file)
	if code != exitRejected || !strings.Contains(out, " 1 rejects") || strings.Contains(out, "interrupted") {
		t.Errorf("again, exit %d\n%s", code, out)
	}
}

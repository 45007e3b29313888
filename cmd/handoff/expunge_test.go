package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/conformance/attack"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
)

// expunges has a third process expunge a person about whom both gateways have
// answered. Nothing of the person is in the store or in its files then, and what is
// asked anew is answered by both.
func (f *fleet) expunges(t *testing.T, address string) {
	t.Helper()
	db := backendtest.At(t, address, backend.Options{SweepEvery: -1})
	f.asked(t, f.target.Records["ada"])
	list := backendtest.Contents(t, db)
	for _, text := range adas {
		if len(backendtest.Holding(list, text)) == 0 {
			t.Errorf("%q is nowhere in the store: the test looks at nothing", text)
		}
	}
	inTable(t, list)

	f.expunge(t, "26-000201", "26-000202")
	list = backendtest.Contents(t, db)
	if found := backendtest.Holding(list, append(adas, "M300001")...); len(found) > 0 {
		t.Errorf("left: %s", strings.Join(found, "\n"))
	}
	inTable(t, list)
	for _, suffix := range []string{"", "-wal"} {
		raw, err := os.ReadFile(address + suffix)
		if err != nil {
			continue // a store without files
		}
		for _, text := range append(adas, "OKAFOR", "okafor", "M300001") {
			if bytes.Contains(raw, []byte(text)) {
				t.Errorf("%q is still in the bytes of handoff.db%s", text, suffix)
			}
		}
	}

	// Both have given out ids of the clinic's records, which they remember, and which
	// are given out for somebody else now.
	ben := f.ben(t, db)
	if _, err := f.run("link", "confirm", "--config", f.a.config, "--reviewer", "lee", ben, "ehr", "a1"); err != nil {
		t.Fatal(err)
	}
	f.asked(t, ben)
}

// adas are what the store holds of Ada Okafor: of the police's record, and of the
// clinic's. Each is long enough, or has characters, that no ciphertext has by chance.
var adas = []string{"Okafor", "26-000201", "555-0191", "9 Mill Ln", "1988-03-17", `"a1"`, "ehr/a1/", "asthma", "sprain", "glucose"}

// asked asks each gateway about a person, and each for a resource by the id that the
// other has given out.
func (f *fleet) asked(t *testing.T, patient string) {
	t.Helper()
	defer f.roads.send(attack.InTurn)
	for place := range 2 {
		for _, path := range []string{"Condition", "Observation", "CarePlan"} {
			f.roads.send(place)
			ids, err := f.target.IDs("clinician", path+"?patient="+patient)
			if err != nil || len(ids) == 0 {
				t.Fatalf("gateway %d: %s: %q, %v", place, path, ids, err)
			}
			f.roads.send(1 - place)
			for _, id := range ids {
				if status, err := f.target.Status("clinician", id); err != nil || status != 200 {
					t.Errorf("%s of gateway %d at the other: %d, %v", id, place, status, err)
				}
			}
		}
	}
}

// expunge gives the police's feed orders to expunge incidents.
func (f *fleet) expunge(t *testing.T, incidents ...string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(f.dir, "pd-contacts.csv"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(strings.SplitN(string(raw), "\n***", 2)[0])).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	_ = w.Write(rows[0]) // into memory
	for _, incident := range incidents {
		order := make([]string, len(rows[0]))
		for i, name := range rows[0] {
			order[i] = map[string]string{"AgencyORI": "ZZ0030000", "IncidentNo": incident, "SuppNo": "0", "MNI": "M300001", "LastModified": "2026-04-01 08:00:00", "RecStatus": "X"}[name]
		}
		_ = w.Write(order)
	}
	w.Flush()
	file := filepath.Join(f.dir, "orders.csv")
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := f.run("ingest", "--config", f.b.config, "--adapter", "rms/csv", "--system", "pd-rms", file)
	if want := fmt.Sprintf("%d expunged", len(incidents)); err != nil || !strings.Contains(text, want) {
		t.Fatalf("%v: %s", err, text)
	}
}

// ben is the other person of the police's records.
func (f *fleet) ben(t *testing.T, db backend.Backend) string {
	t.Helper()
	for _, c := range backendtest.Contents(t, db) {
		if strings.HasPrefix(c.Where, "Patient/") && strings.Contains(strings.ToUpper(c.Text), "NAKAMURA") {
			return strings.SplitN(c.Where, "/_history", 2)[0]
		}
	}
	t.Fatal("Ben went with Ada")
	return ""
}

// inTable fails for a fact or a stream that docs/expunge.md does not have.
func inTable(t *testing.T, list []backendtest.Content) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/expunge.md")
	if err != nil {
		t.Fatal(err)
	}
	var known []*regexp.Regexp
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(doc), -1) {
		form := strings.ReplaceAll(regexp.QuoteMeta(m[1]), `\*`, "[^/]+")
		if strings.HasSuffix(m[1], "/") {
			form += ".*"
		}
		known = append(known, regexp.MustCompile("^"+form+"$"))
	}
	for _, c := range list {
		name, isFact := strings.CutPrefix(c.Where, "fact ")
		if stream, ok := strings.CutPrefix(c.Where, "stream "); ok {
			name = stream[:strings.LastIndex(stream, " ")]
		} else if !isFact {
			continue
		}
		found := false
		for _, k := range known {
			found = found || k.MatchString(name)
		}
		if !found {
			t.Errorf("docs/expunge.md does not say what %s holds", name)
		}
	}
}

package ingest_test

import (
	"context"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/ingest"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
)

// leaves fails where a store still holds one of the texts, among what begins so.
func leaves(t *testing.T, db backend.Backend, among string, texts ...string) {
	t.Helper()
	var list []backendtest.Content
	for _, c := range backendtest.Contents(t, db) {
		if strings.HasPrefix(c.Where, among) {
			list = append(list, c)
		}
	}
	if found := backendtest.Holding(list, texts...); len(found) > 0 {
		t.Errorf("left: %s", strings.Join(found, "\n"))
	}
}

func holds(t *testing.T, db backend.Backend, texts ...string) {
	t.Helper()
	list := backendtest.Contents(t, db)
	for _, text := range texts {
		if len(backendtest.Holding(list, text)) == 0 {
			t.Fatalf("%q is nowhere in the store: the test looks at nothing", text)
		}
	}
}

// What a record had of its own in an earlier version is deleted with a later one, and
// its history stays; an expunge takes that too.
func TestExpungeTakesWhatEarlierVersionsHad(t *testing.T) {
	p, db := newPipeline(t)
	for i, place := range []string{"77 Hidingplace Rd", "", "78 Hidingplace Rd", ""} {
		day := string(rune('1' + i))
		if r := run(t, p, export(with(granted, fields{"LastName": "QUILLFEATHER", "IncLocation": place, "LastModified": "2025-06-0" + day + " 08:00:00"}))); r.Created+r.Updated != 1 {
			t.Fatal(sum(r))
		}
	}
	names := []string{"77 Hidingplace", "78 Hidingplace", "Quillfeather", "1980-03-14", "Ofc T. Sample"}
	holds(t, db, names[:4]...)
	if r := run(t, p, export(fields{"IncidentNo": "25-1", "RecStatus": "X", "LastModified": "2025-06-09 08:00:00"})); r.Expunged != 1 {
		t.Fatalf("%+v", *r)
	}
	leaves(t, db, "", names...)
}

// A record that says only what changes leaves what it has said in many places: its
// own state, the guard of the Patient, versions of either.
func TestExpungeTakesWhatMessagesSaidOfAPerson(t *testing.T) {
	message := func(at, trigger, id, segments string) string {
		return "MSH|^~\\&|A|HOSP|||" + at + "||ADT^" + trigger + "|" + id + "|P|2.5\rEVN||" + at + "\r" + segments
	}
	const who = "PID|1||MRN-7001234||Quillfeather^Jacaranda||19590228|F|||||555-0177-001|555-0177-002\r"
	p, db := updates(t)
	r := run(t, p, message("20250101100000+0000", "A01", "1", who+"PV1|1|I|WARD-TULIPTREE|||||||||||ERDOOR|||||VISIT-90001\r")+
		message("20250102100000+0000", "A08", "2", "PID|1||MRN-7001234||Quillfeather-Stone^Jacaranda\rPV1|1||||||||||||||||||VISIT-90001\r")+
		message("20250103100000+0000", "A31", "3", "PID|1||MRN-7001234|||||||||||555-0177-003\r")+
		message("20250104100000+0000", "A01", "4", who+"PV1|1|E|||||||||||||||||VISIT-90002\r"))
	if r.Created != 3 || r.Updated != 1 || r.Rejects != 0 {
		t.Fatalf("%+v", *r)
	}
	names := []string{"Quillfeather", "Jacaranda", "MRN-7001234", "1959-02-28", "555-0177-00", "TULIPTREE", "VISIT-9000"}
	holds(t, db, "Quillfeather-Stone", "Jacaranda", "1959-02-28", "555-0177-003", "TULIPTREE", "VISIT-90001", "VISIT-90002")
	for i, visit := range []string{"PV1|1|I|||||||||||||||||VISIT-90001\r", "", "PV1|1|E|||||||||||||||||VISIT-90002\r"} {
		if r := run(t, p, message("2025030"+string(rune('1'+i)), "A23", "9"+string(rune('1'+i)), "PID|1||MRN-7001234\r"+visit)); r.Expunged != 1 {
			t.Fatalf("%+v", *r)
		}
		if i == 0 {
			leaves(t, db, "", "Quillfeather-Stone", "TULIPTREE", "VISIT-90001", "ERDOOR")
		}
	}
	leaves(t, db, "", names...)
}

// Files are named after persons. The name of a record's file stands under the
// record's key, with its text; an edited copy's too.
func TestTheNameOfAFileGoesWithTheRecord(t *testing.T) {
	p, db := newPipeline(t)
	const file = "QUILLFEATHER_JACARANDA.csv"
	read := func(text string) {
		t.Helper()
		if _, err := p.Run(context.Background(), adapters.Input{Name: file, Reader: strings.NewReader(text)}); err != nil {
			t.Fatal(err)
		}
	}
	read(export(fields{"IncidentNo": "25-1"}))
	read(export(fields{"IncidentNo": "25-1", "RecStatus": "?", "LastModified": "2025-05-03 08:00:00"}))
	q := queueOf(db)
	if k, err := q.Get(t.Context(), 1); err != nil || k.Source != file || k.Line != 2 {
		t.Fatalf("%+v, %v", k, err)
	}
	if err := q.Edit(t.Context(), 1, []byte("x"), "lee"); err != nil {
		t.Fatal(err)
	}
	raw, err := ingest.Read(t.Context(), db, db, "riverton-rms", ingest.RawStream("riverton-rms"), 1, 10)
	if err != nil || len(raw) != 1 || raw[0].Source != file {
		t.Fatalf("%+v, %v", raw, err)
	}
	for _, stream := range []string{"raw", "rejects", "edits"} {
		leaves(t, db, "stream ingest/riverton-rms/"+stream, file)
	}
	if r := run(t, p, export(fields{"IncidentNo": "25-1", "RecStatus": "X"})); r.Expunged != 1 {
		t.Fatalf("%+v", *r)
	}
	if k, err := q.Get(t.Context(), 1); err != nil || k.State != ingest.Expunged || k.Source != "" {
		t.Errorf("%+v, %v", k, err)
	}
	for _, c := range backendtest.Contents(t, db) { // it says from which file something was expunged, and nothing else does
		if !strings.HasPrefix(c.Where, "stream ingest/riverton-rms/events") && strings.Contains(c.Text, file) {
			t.Errorf("left in %s", c.Where)
		}
	}
}

// erasing counts how often it was asked, and what was still there then.
type erasing struct {
	db    backend.Backend
	calls int
	keys  int
}

func (e *erasing) Erase(ctx context.Context) error {
	e.calls++
	for after := ""; ; {
		facts, err := e.db.Scan(ctx, "ingest/riverton-rms/rec/", after, 100)
		if err != nil || len(facts) == 0 {
			return err
		}
		for _, f := range facts {
			after = f.Key
			if strings.Contains(string(f.Value), `"k":`) {
				e.keys++
			}
		}
	}
}

// The store is told to overwrite what was removed when all of it was, the keys of the
// texts among it; and not for anything but an expunge.
func TestWhatWasExpungedIsErasedInTheEnd(t *testing.T) {
	p, db := newPipeline(t)
	e := &erasing{db: db}
	p.Eraser = e
	run(t, p, export(fields{"IncidentNo": "25-1"}))
	run(t, p, export(fields{"IncidentNo": "25-1", "RecStatus": "S", "LastModified": "2025-05-03 08:00:00"}))
	if e.calls != 0 {
		t.Error("erased where nothing was expunged")
	}
	run(t, p, export(fields{"IncidentNo": "25-1", "RecStatus": "X", "LastModified": "2025-05-04 08:00:00"}))
	if e.calls != 1 || e.keys != 0 {
		t.Errorf("%d calls, %d keys of texts at that time", e.calls, e.keys)
	}
}

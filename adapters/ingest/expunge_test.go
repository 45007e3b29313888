package ingest_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/adapters/ingest"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

func TestExpungeOfAnUnknownKeyIsRejectedAndKeptOut(t *testing.T) {
	p, db := newPipeline(t)
	order := export(fields{"IncidentNo": "25-1", "RecStatus": "X", "LastName": "SECRETNAME"})
	for range 2 { // a replay says it again
		r := run(t, p, order)
		if sum(r) != "c0 u0 d0 r1 n1" || r.Expunged != 0 || r.RejectedBy["expunge-unknown"] != 1 {
			t.Fatalf("%+v", *r)
		}
	}
	kept, err := ingest.Read(context.Background(), db, db, "riverton-rms", ingest.RejectStream("riverton-rms"), 1, 10)
	if err != nil || len(kept) != 1 || kept[0].Reject == nil || kept[0].Reject.Code != "expunge-unknown" || len(kept[0].Raw) != 0 {
		t.Fatalf("%+v, %v", kept, err)
	}
	if got := sum(run(t, p, export(fields{"IncidentNo": "25-1"}))); got != "c0 u0 d1 r0 n1" {
		t.Error(got)
	}
	if n := len(find(t, db, "Encounter")); n != 0 {
		t.Errorf("%d Encounters of an expunged record", n)
	}
}

func TestExpungeTakesWhomOnlyTheRecordNamed(t *testing.T) {
	p, db := newPipeline(t)
	run(t, p, export(
		fields{"IncidentNo": "25-1", "OfficerBadge": "7001", "OfficerName": "Ofc T. Sample"},
		fields{"IncidentNo": "25-2", "MNI": "R2", "OfficerBadge": "7001", "OfficerName": "Ofc T. Sample"},
		fields{"IncidentNo": "25-3", "MNI": "R3", "OfficerBadge": "7002", "OfficerName": "Ofc L. Alone", "DestFacility": "Lonely Clinic"}))
	before := len(find(t, db, "Practitioner"))
	for _, rec := range find(t, db, "Practitioner") {
		if bytes.Contains(rec.Raw, []byte("Alone")) {
			before--
		}
	}
	run(t, p, export(fields{"IncidentNo": "25-3", "MNI": "R3", "RecStatus": "X"}, fields{"IncidentNo": "25-1", "RecStatus": "X"}))
	after := find(t, db, "Practitioner")
	for _, rec := range append(after, append(find(t, db, "Organization"), find(t, db, "Location")...)...) {
		if bytes.Contains(rec.Raw, []byte("Alone")) || bytes.Contains(rec.Raw, []byte("Lonely")) {
			t.Errorf("%s is left", rec.Key)
		}
	}
	if len(after) != before || before == 0 {
		t.Errorf("%d Practitioners, want %d: one is named by 25-2", len(after), before)
	}
	run(t, p, export(fields{"IncidentNo": "25-2", "MNI": "R2", "RecStatus": "X"}))
	for _, typ := range []string{"Practitioner", "Organization", "Patient", "Encounter"} {
		if rs := find(t, db, typ); len(rs) != 0 {
			t.Errorf("%d %s left", len(rs), typ)
		}
	}
}

// What another process has expunged is not taken for stored: who comes with the next
// record is stored anew.
func TestWhomAnotherProcessExpungedTheNextRecordBringsBack(t *testing.T) {
	feed, db := newPipeline(t)
	run(t, feed, export(fields{"IncidentNo": "25-1"}))
	want := map[string]int{}
	for _, typ := range []string{"Patient", "Practitioner", "Organization", "Encounter"} {
		want[typ] = len(find(t, db, typ))
	}
	command := &ingest.Pipeline{Format: feed.Format, Mapper: feed.Mapper, Store: db, Facts: db, Log: db, SiteKey: siteKey, Options: feed.Options,
		Origin: feed.Origin, Validator: feed.Validator, Labeler: feed.Labeler, Indexer: feed.Indexer}
	run(t, command, export(fields{"IncidentNo": "25-1", "RecStatus": "X"}))
	if n := len(find(t, db, "Patient")); n != 0 {
		t.Fatalf("%d Patients are left", n)
	}
	if got := sum(run(t, feed, export(fields{"IncidentNo": "25-2"}))); got != "c1 u0 d0 r0 n1" {
		t.Error(got)
	}
	for typ, n := range want {
		if got := len(find(t, db, typ)); got != n || n == 0 {
			t.Errorf("%d %ss, want %d", got, typ, n)
		}
	}
}

// labelled adds a security label to what a mapping makes.
type labelled struct {
	flow.Mapper
	typ, coding string
}

func (l labelled) Apply(rec *tree.Record, opts mappings.Options) (*mappings.Result, error) {
	res, err := l.Mapper.Apply(rec, opts)
	if err != nil {
		return nil, err
	}
	for i := range res.Resources {
		x := &res.Resources[i]
		r, err := resource.Parse(x.Raw)
		if err != nil {
			return nil, err
		}
		if x.Type == l.typ {
			e := r.Edit()
			e.Set(r.Root(), "meta", []byte(`{"security":[`+l.coding+`]}`))
			x.Raw = e.Bytes()
		}
	}
	return res, nil
}

func TestTestDataAreNeverStored(t *testing.T) {
	const act = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
	for _, typ := range []string{"Patient", "Encounter", "Observation"} {
		for coding, stored := range map[string]bool{
			`{"system":"` + act + `","code":"HTEST"}`:                                                   false,
			`{"system":"` + act + `","code":"TREAT"},{"system":"` + act + `","code":"HTEST"}`:           false,
			`{"system":"urn:oid:2.16.840.1.113883.5.8","code":"HTEST"}`:                                 false,
			`{"system":"` + act + `","code":"TREAT"}`:                                                   true,
			`{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"unheard-of"}`: true,
		} {
			p, db := newPipeline(t)
			p.Mapper = labelled{p.Mapper, typ, coding}
			r := run(t, p, export(fields{"IncidentNo": "25-1"}))
			if r.Created == 1 != stored || !stored && r.RejectedBy["test-record"] != 1 {
				t.Errorf("%s with %s: %+v", typ, coding, *r)
			}
			for _, any := range []string{"Patient", "Encounter", "Observation", "Practitioner"} {
				if n := len(find(t, db, any)); n > 0 != stored {
					t.Errorf("%s with %s: %d %s", typ, coding, n, any)
				}
			}
		}
	}
}

func TestAnOrderWithoutAPersonReachesTheWholeIncident(t *testing.T) {
	for status, want := range map[string]string{"X": "", "S": "V, consent active, consent active"} {
		p, db := newPipeline(t)
		run(t, p, export(with(granted, fields{"MNI": "R821"}), with(granted, fields{"MNI": "R822", "LastName": "OTHER"})))
		blank := fields{"IncidentNo": "25-1", "RecStatus": status, "MNI": "", "LastName": "", "FirstName": "", "DOB": ""}
		r := run(t, p, export(blank))
		if r.Updated != 1 || r.Rejects != 0 {
			t.Errorf("%s: %+v", status, *r)
		}
		if got := state(t, db); got != want {
			t.Errorf("%s: %q, want %q", status, got, want)
		}
		run(t, p, export(with(granted, fields{"MNI": "R821"}), blank, with(granted, fields{"MNI": "R822", "LastName": "OTHER"})))
		if got := state(t, db); got != want {
			t.Errorf("%s, again: %q, want %q", status, got, want)
		}
		blank["IncidentNo"] = "25-9"
		if r := run(t, p, export(blank)); r.Rejects != 1 {
			t.Errorf("%s of what is not there: %+v", status, *r)
		}
	}
}

// A text that no mapping could read is under no record's key; an expunge finds it
// by the record's number in it.
func TestExpungeReachesRejectsThatCouldNotBeRead(t *testing.T) {
	p, db := newPipeline(t)
	good := export(fields{"IncidentNo": "25-10001", "MNI": "R770001"})
	broken := func(incident string) string { // a row with a column too many
		return strings.TrimRight(export(fields{"IncidentNo": incident, "MNI": "R770001", "LastName": "SECRETNAME"}), "\r\n") + ",x,y\n"
	}
	run(t, p, good)
	for _, incident := range []string{"25-10001", "25-10001-9", "25-10002"} {
		if r := run(t, p, broken(incident)); r.Rejects != 1 {
			t.Fatal(sum(r))
		}
	}
	r := run(t, p, export(fields{"IncidentNo": "25-10001", "MNI": "R770001", "RecStatus": "X"}))
	if r.Expunged != 1 || r.Findings["reject-destroyed"] != 1 {
		t.Errorf("%+v", *r)
	}
	list, _, err := queueOf(db).List(t.Context(), 1, 10)
	if err != nil || len(list) != 3 || list[0].State != ingest.Expunged || list[1].State != ingest.Open || list[2].State != ingest.Open {
		t.Errorf("%+v %v", list, err)
	}
}

package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/all"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/adapters/ingest"
	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/mappings"
)

const rivertonMapping = "rms/riverton/contact.map.yaml"

var siteKey = []byte("a key of this test alone, 32 byte")

var (
	loadedMu sync.Mutex
	loaded   = map[string]*mappings.Map{}
)

// builtIn gives a built-in mapping, loaded once: that takes a tenth of a second, and
// many tests want the same.
func builtIn(t testing.TB, file string) *mappings.Map {
	t.Helper()
	loadedMu.Lock()
	defer loadedMu.Unlock()
	if loaded[file] == nil {
		m, err := mappings.Load(mappings.Files(), file, nil)
		if err != nil {
			t.Fatal(err)
		}
		loaded[file] = m
	}
	return loaded[file]
}

func newPipeline(t testing.TB) (*ingest.Pipeline, backend.Backend) {
	t.Helper()
	db := backendtest.Open(t, backend.Options{})
	m := builtIn(t, rivertonMapping)
	f, err := all.Find("rms/csv")
	if err != nil {
		t.Fatal(err)
	}
	return &ingest.Pipeline{Format: f, Mapper: m, Store: db, Facts: db, Log: db, SiteKey: siteKey,
		Options:   adapters.Options{Profile: m.Profile(), Fields: m.Fields()},
		Origin:    resource.Origin{System: "riverton-rms", Custodian: "Organization/riverton-pd", Police: true},
		Validator: ingest.R4{}, Labeler: ingest.Labels{Labeller: label.New(label.Options{})}, Indexer: ingest.Entries{}}, db
}

var names = func() []string {
	m, err := mappings.Load(mappings.Files(), rivertonMapping, nil)
	if err != nil {
		panic(err)
	}
	return m.Columns()
}()

type fields map[string]string

// export writes rows with the defaults of one ordinary contact.
func export(rows ...fields) string {
	base := fields{"AgencyORI": "ZZ0010100", "SuppNo": "0", "MNI": "R1", "LastName": "EXAMPLE", "FirstName": "PAT", "DOB": "03/14/1980", "Sex": "F",
		"Race": "W", "Ethnicity": "N", "ContactDT": "05/01/2025 10:00", "ClearedDT": "05/01/2025 11:00", "IncLocation": "1 Test Plaza",
		"InitialCallType": "WELF", "FinalCallType": "Welfare Check", "CallSource": "911", "Involvement": "SUBJECT", "Behaviors": "Paranoid",
		"Disposition": "RESOLVED ON SCENE", "HoldFlag": "N", "ConsentAsked": "N", "OfficerBadge": "7001", "OfficerName": "Ofc T. Sample",
		"Narrative": "Spoke with the person.", "LastModified": "2025-05-02 08:00:00", "RecStatus": "A"}
	var b strings.Builder
	b.WriteString(strings.Join(names, ",") + "\n")
	for _, r := range rows {
		for i, n := range names {
			v, ok := r[n]
			if !ok {
				v = base[n]
			}
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(v)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func run(t testing.TB, p *ingest.Pipeline, text string) *flow.Report {
	t.Helper()
	r, err := p.Run(context.Background(), adapters.Input{Name: "export.csv", Reader: strings.NewReader(text)})
	if err != nil {
		t.Fatal(err)
	}
	if !r.AddsUp() {
		t.Fatalf("the counts do not add up: %+v", *r)
	}
	return r
}

func sum(r *flow.Report) string {
	return fmt.Sprintf("c%d u%d d%d r%d n%d", r.Created, r.Updated, r.Duplicates, r.Rejects, r.NonRecords())
}

func find(t testing.TB, db store.Store, typ string) []*store.Record {
	t.Helper()
	page, err := db.Search(context.Background(), store.Plan{Type: typ, Where: store.Expr{Op: store.All}, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	return page.Records
}

func TestReplayChangesNothing(t *testing.T) {
	p, db := newPipeline(t)
	text := export(fields{"IncidentNo": "25-1"}, fields{"IncidentNo": "25-2", "MNI": "R2", "LastName": "OTHER"}, fields{"IncidentNo": "25-3", "RecStatus": "?"}, fields{"IncidentNo": "25-4", "LastName": "ZZTEST", "FirstName": "TESTY", "RecStatus": "TEST"})
	if got := sum(run(t, p, text)); got != "c2 u0 d0 r2 n1" {
		t.Fatal(got)
	}
	before := find(t, db, "Encounter")
	if got := sum(run(t, p, text)); got != "c0 u0 d2 r2 n1" {
		t.Fatal(got)
	}
	after := find(t, db, "Encounter")
	if len(before) != 2 || len(after) != 2 {
		t.Fatalf("%d Encounters, then %d", len(before), len(after))
	}
	for i := range after {
		rec, err := db.Read(context.Background(), after[i].Key)
		if err != nil {
			t.Fatal(err)
		}
		if rec.Version != 1 || rec.Origin != p.Origin || len(rec.Index) == 0 || rec.LabelSet == "" {
			t.Errorf("version %d, origin %v, %d entries, label set %q", rec.Version, rec.Origin, len(rec.Index), rec.LabelSet)
		}
	}
	kept, err := ingest.Read(context.Background(), db, db, "riverton-rms", ingest.RejectStream("riverton-rms"), 1, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(kept) != 2 {
		t.Fatalf("%d rejects in the queue, want 2, each once", len(kept))
	}
	for _, k := range kept {
		if k.Reject == nil || k.Line == 0 || k.Reject.Code == "" || !bytes.Contains(k.Raw, []byte("ZZ0010100")) {
			t.Errorf("%+v", k)
		}
	}
}

func TestNewerUpdatesOlderIsSuperseded(t *testing.T) {
	p, db := newPipeline(t)
	old := fields{"IncidentNo": "25-1", "LastModified": "2025-05-01 08:00:00", "Behaviors": "Mania"}
	now := fields{"IncidentNo": "25-1", "Behaviors": "Paranoid", "Disposition": "DETOX"}
	newer := fields{"IncidentNo": "25-1", "LastModified": "2025-05-03 08:00:00", "Behaviors": "None", "HomeAddr": "9 New St"}
	if got := sum(run(t, p, export(now, old, newer, now, newer))); got != "c1 u1 d3 r0 n1" {
		t.Fatal(got)
	}
	if n := len(find(t, db, "Encounter")); n != 1 {
		t.Errorf("%d Encounters of one incident and person", n)
	}
	if n := len(find(t, db, "Patient")); n != 1 {
		t.Errorf("%d Patients", n)
	}
	for _, o := range find(t, db, "Observation") {
		if bytes.Contains(o.Raw, []byte("aranoid")) || bytes.Contains(o.Raw, []byte("ania")) {
			t.Errorf("an Observation of an older version is still there: %s", o.Raw)
		}
	}
	if !bytes.Contains(find(t, db, "Patient")[0].Raw, []byte("9 New St")) {
		t.Error("the Patient was not updated")
	}
}

func TestAnyOrderOfArrivalEndsInTheSameState(t *testing.T) {
	rows := []fields{
		{"IncidentNo": "25-1", "LastModified": "2025-05-01 08:00:00", "HomeAddr": "1 A St"},
		{"IncidentNo": "25-2", "LastModified": "2025-05-03 08:00:00", "HomeAddr": "3 C St"},
		{"IncidentNo": "25-3", "LastModified": "2025-05-02 08:00:00", "HomeAddr": "2 B St"},
	}
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}} {
		p, db := newPipeline(t)
		run(t, p, export(rows[order[0]], rows[order[1]], rows[order[2]]))
		ps := find(t, db, "Patient")
		if len(ps) != 1 || !bytes.Contains(ps[0].Raw, []byte("3 C St")) {
			t.Errorf("order %v: %d Patients, %s", order, len(ps), ps[0].Raw)
		}
	}
}

func TestSealedRecordsAreRestricted(t *testing.T) {
	p, db := newPipeline(t)
	open := fields{"IncidentNo": "25-1", "Behaviors": "Mania; Paranoid"}
	sealed := fields{"IncidentNo": "25-1", "Behaviors": "Mania", "LastModified": "2025-06-01 08:00:00", "RecStatus": "SEALED"}
	r := run(t, p, export(open, sealed))
	if r.Sealed != 1 {
		t.Fatalf("%+v", *r)
	}
	for _, typ := range []string{"Encounter", "Observation", "Provenance"} {
		for _, rec := range find(t, db, typ) {
			if !strings.Contains(strings.Join(rec.Labels, " "), "v3-Confidentiality|V") && !strings.Contains(strings.Join(rec.Labels, " "), "v3-Confidentiality|R") {
				t.Errorf("%s of a sealed record has labels %v", rec.Key, rec.Labels)
			}
		}
	}
}

func TestExpungeLeavesAKeyedHash(t *testing.T) {
	p, db := newPipeline(t)
	ctx := context.Background()
	run(t, p, export(
		fields{"IncidentNo": "25-1", "MNI": "R1", "HomeAddr": "1 Kept St"},
		fields{"IncidentNo": "25-2", "MNI": "R1", "HomeAddr": "2 Gone St", "LastModified": "2025-05-05 08:00:00"},
		fields{"IncidentNo": "25-3", "MNI": "R9", "LastName": "VANISH"}))
	r := run(t, p, export(
		fields{"IncidentNo": "25-2", "MNI": "R1", "LastModified": "2025-06-01 08:00:00", "RecStatus": "EXPUNGED"},
		fields{"IncidentNo": "25-3", "MNI": "R9", "LastName": "VANISH", "LastModified": "2025-06-01 08:00:00", "RecStatus": "EXPUNGED"}))
	if r.Expunged != 2 {
		t.Fatalf("%+v", *r)
	}
	if n := len(find(t, db, "Encounter")); n != 1 {
		t.Errorf("%d Encounters", n)
	}
	ps := find(t, db, "Patient")
	if len(ps) != 1 || !bytes.Contains(ps[0].Raw, []byte("1 Kept St")) {
		t.Errorf("%d Patients; the one left must be as the other record told it", len(ps))
	}
	if h, err := db.History(ctx, ps[0].Key, 0, 10); err != nil || len(h) != 1 {
		t.Errorf("the Patient has %d versions, %v", len(h), err)
	}
	kept, err := ingest.Read(ctx, db, db, "riverton-rms", ingest.RawStream("riverton-rms"), 1, 100)
	if err != nil {
		t.Fatal(err)
	}
	gone := 0
	for _, k := range kept {
		if k.Expunged {
			gone++
			if k.Raw != nil || k.Hash == "" {
				t.Errorf("%+v", k)
			}
		}
	}
	if len(kept) != 3 || gone != 2 {
		t.Errorf("%d raw entries, %d of them expunged", len(kept), gone)
	}
	// An older export does not bring it back.
	if got := sum(run(t, p, export(fields{"IncidentNo": "25-3", "MNI": "R9", "LastName": "VANISH"}))); got != "c0 u0 d1 r0 n1" {
		t.Error(got)
	}
	if n := len(find(t, db, "Patient")); n != 1 {
		t.Errorf("%d Patients after an old export", n)
	}
}

func TestAConsentChangedHereIsNotOverwritten(t *testing.T) {
	p, db := newPipeline(t)
	ctx := context.Background()
	granted := fields{"IncidentNo": "25-1", "ConsentAsked": "Y", "ConsentResult": "GRANTED", "ConsentMethod": "VERBAL-BWC", "ConsentScope": "Treatment team contact", "ConsentExpires": "72 HRS"}
	run(t, p, export(granted))
	cs := find(t, db, "Consent")
	if len(cs) != 1 {
		t.Fatalf("%d Consents", len(cs))
	}
	revoked := *cs[0]
	revoked.Raw = bytes.Replace(revoked.Raw, []byte(`"status":"active"`), []byte(`"status":"inactive"`), 1)
	if _, err := db.Write(ctx, store.Write{Record: revoked, Expect: 1}); err != nil {
		t.Fatal(err)
	}
	granted["LastModified"], granted["ConsentExpires"] = "2025-07-01 08:00:00", "24 HRS"
	r := run(t, p, export(granted))
	if r.Updated != 1 || r.Findings["consent-changed-here"] != 1 {
		t.Errorf("%+v", *r)
	}
	if c := find(t, db, "Consent"); !bytes.Contains(c[0].Raw, []byte("inactive")) {
		t.Error("a re-export undid a revocation")
	}
}

// dying fails every write after the first n records.
type dying struct {
	store.Store
	mu   sync.Mutex
	left int
}

var errDead = errors.New("killed")

func (d *dying) Apply(ctx context.Context, ws []store.Write) ([]*store.Record, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for i := range ws {
		if ws[i].Type == "Encounter" {
			n++
		}
	}
	if n > d.left {
		return nil, errDead
	}
	d.left -= n
	return d.Store.Apply(ctx, ws)
}

func TestARunGoesOnWhereItStopped(t *testing.T) {
	var rows []fields
	for i := range 60 {
		rows = append(rows, fields{"IncidentNo": fmt.Sprintf("25-%d", i), "MNI": fmt.Sprintf("R82%d", i%7)})
	}
	text := export(rows...)
	for _, after := range []int{0, 1, 17, 59} {
		p, db := newPipeline(t)
		d := &dying{Store: db, left: after}
		p.Store = d
		first, err := p.Run(context.Background(), adapters.Input{Name: "export.csv", Reader: strings.NewReader(text)})
		if !errors.Is(err, errDead) || !first.AddsUp() {
			t.Fatalf("after %d: %v %+v", after, err, *first)
		}
		p.Store = db
		second := run(t, p, text)
		if n := len(find(t, db, "Encounter")); n != 60 {
			t.Errorf("after %d: %d Encounters", after, n)
		}
		if first.Records+second.Records != 61 {
			t.Errorf("after %d: %d and then %d items were counted, want 61 in all", after, first.Records, second.Records)
		}
		if got := sum(run(t, p, text)); got != "c0 u0 d60 r0 n1" {
			t.Errorf("after %d: %s", after, got)
		}
	}
}

func TestCancelStopsTheRun(t *testing.T) {
	p, _ := newPipeline(t)
	ctx, stop := context.WithCancel(context.Background())
	p.Tick = func(r *flow.Report) {
		if r.Records == 3 {
			stop()
		}
	}
	var rows []fields
	for i := range 500 {
		rows = append(rows, fields{"IncidentNo": fmt.Sprintf("25-%d", i)})
	}
	r, err := p.Run(ctx, adapters.Input{Name: "export.csv", Reader: strings.NewReader(export(rows...))})
	if !errors.Is(err, context.Canceled) || !r.AddsUp() || r.Records > 499 {
		t.Errorf("%v %+v", err, *r)
	}
}

func TestIngestRefusesWhatWouldBeUnsafe(t *testing.T) {
	for name, spoil := range map[string]func(*ingest.Pipeline){
		"no system":    func(p *ingest.Pipeline) { p.Origin.System = "" },
		"short key":    func(p *ingest.Pipeline) { p.SiteKey = []byte("short") },
		"the test key": func(p *ingest.Pipeline) { p.SiteKey = []byte(mappings.TestKey) },
		"no store":     func(p *ingest.Pipeline) { p.Store = nil },
	} {
		p, _ := newPipeline(t)
		spoil(p)
		if _, err := p.Run(context.Background(), adapters.Input{Name: "x", Reader: strings.NewReader("x")}); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}

func TestRivertonExportIsStored(t *testing.T) {
	raw, err := os.ReadFile("../../../shared/data/police/synthetic/rms_contacts_cit_riverton_cp1252.csv")
	if err != nil {
		t.Skip("../shared is absent: the Riverton export was not tried")
	}
	p, db := newPipeline(t)
	r := run(t, p, string(raw))
	if r.Records != 121 || r.Created < 110 {
		t.Errorf("%+v", *r)
	}
	again := run(t, p, string(raw))
	if again.Created+again.Updated != 0 || again.Rejects != r.Rejects {
		t.Errorf("again: %+v", *again)
	}
	if n := len(find(t, db, "Condition")); n != 0 {
		t.Errorf("%d Conditions from police records", n)
	}
}

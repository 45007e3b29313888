package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/adapters/ingest"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

func queueOf(db backend.Backend) *ingest.Queue {
	return &ingest.Queue{Log: db, Facts: db, System: "riverton-rms"}
}

// refusing is a mapping with a fault in it: it rejects the records of one person.
type refusing struct {
	flow.Mapper
	mni string
}

func (r *refusing) Apply(rec *tree.Record, o mappings.Options) (*mappings.Result, error) {
	if v := rec.Root.All("MNI"); len(v) > 0 && v[0].Value() == r.mni {
		return &mappings.Result{Action: mappings.Reject, Reason: "code-unknown",
			Issues: []mappings.Issue{{Severity: mappings.Error, Code: "code-unknown", Message: "a code is not known", Field: "Disposition"}}}, nil
	}
	return r.Mapper.Apply(rec, o)
}

func TestARejectIsReplayedAfterTheMappingWasMended(t *testing.T) {
	p, db := newPipeline(t)
	good := p.Mapper
	p.Mapper = &refusing{good, "R2"}
	text := export(fields{"IncidentNo": "25-1", "MNI": "R1"}, fields{"IncidentNo": "25-2", "MNI": "R2"})
	if r := run(t, p, text); sum(r) != "c1 u0 d0 r1 n1" {
		t.Fatal(sum(r))
	}
	q := queueOf(db)
	list, next, err := q.List(context.Background(), 0, 10)
	if err != nil || len(list) != 1 || next != 0 {
		t.Fatalf("%d rejects, next %d: %v", len(list), next, err)
	}
	k := list[0]
	if k.State != ingest.Open || k.Code != "code-unknown" || k.Line != 3 || !bytes.Contains(k.Raw, []byte("25-2")) || !bytes.HasPrefix(k.Head, []byte("AgencyORI")) {
		t.Fatalf("%+v", k)
	}
	again := func(want string) {
		t.Helper()
		r, err := p.Replay(context.Background(), k.Seq, "tester")
		if err != nil || r.Outcome() != want {
			t.Fatalf("want %s: %+v %v", want, r, err)
		}
	}
	again("rejected") // the mapping is as it was
	if list, _, _ := q.List(context.Background(), 0, 10); len(list) != 1 || list[0].State != ingest.Open || list[0].Tries != 1 {
		t.Fatalf("rejected again: %+v", list)
	}
	p.Mapper = good
	again("created")
	again("duplicate")
	if k, err := q.Get(context.Background(), k.Seq); err != nil || k.State != ingest.Replayed || k.Tries != 3 {
		t.Errorf("%+v %v", k, err)
	}
	if r := run(t, p, text); sum(r) != "c0 u0 d2 r0 n1" {
		t.Errorf("the file again: %s", sum(r))
	}
}

func TestAReplayNeverAppliesOldOverNew(t *testing.T) {
	for name, when := range map[string]string{"with versions": "2025-05-02 08:00:00", "without": ""} {
		t.Run(name, func(t *testing.T) {
			p, db := newPipeline(t)
			good := p.Mapper
			p.Mapper = &refusing{good, "R1"}
			run(t, p, export(fields{"IncidentNo": "25-1", "HomeAddr": "1 Old St", "LastModified": when}))
			p.Mapper = good
			newer := when
			if newer != "" {
				newer = "2025-05-03 08:00:00"
			}
			run(t, p, export(fields{"IncidentNo": "25-1", "HomeAddr": "2 New St", "LastModified": newer}))
			r, err := p.Replay(context.Background(), 1, "tester")
			if err != nil || r.Outcome() != "superseded" {
				t.Fatalf("%+v %v", r, err)
			}
			for _, rec := range find(t, db, "Patient") {
				if bytes.Contains(rec.Raw, []byte("1 Old St")) {
					t.Error("the old address came back")
				}
			}
		})
	}
}

func TestAnEditedCopyIsReplayedAndTheOriginalStays(t *testing.T) {
	p, db := newPipeline(t)
	text := export(fields{"IncidentNo": "25-1", "ContactDT": "99/99/2025 10:00"})
	if r := run(t, p, text); r.Rejects != 1 {
		t.Fatalf("the row was not rejected: %s", sum(r))
	}
	q, ctx := queueOf(db), context.Background()
	k, err := q.Get(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	mended := bytes.Replace(k.Raw, []byte("99/99/2025"), []byte("05/01/2025"), 1)
	if err := q.Edit(ctx, 1, mended, "tester"); err != nil {
		t.Fatal(err)
	}
	if r, err := p.Replay(ctx, 1, "tester"); err != nil || r.Outcome() != "created" {
		t.Fatalf("%+v %v", r, err)
	}
	k, err = q.Get(ctx, 1)
	if err != nil || !k.Edited || k.State != ingest.Replayed || !bytes.Contains(k.Raw, []byte("99/99/2025")) {
		t.Errorf("%+v %v", k, err)
	}
	// An expunge of the record destroys the reject and its copy.
	if r := run(t, p, export(fields{"IncidentNo": "25-1", "RecStatus": "X"})); r.Expunged != 1 {
		t.Fatalf("not expunged: %s %v", sum(r), r.RejectedBy)
	}
	k, err = q.Get(ctx, 1)
	if err != nil || k.State != ingest.Expunged || k.Raw != nil {
		t.Errorf("after the expunge: %+v %v", k, err)
	}
	if _, err := p.Replay(ctx, 1, "tester"); err == nil || !strings.Contains(err.Error(), "not kept") {
		t.Errorf("replayed after the expunge: %v", err)
	}
}

// halting fails once where a run keeps that it has queued a reject.
type halting struct {
	store.Facts
	died bool
}

func (d *halting) PutIfAbsent(ctx context.Context, key string, value []byte, until time.Time) (store.Fact, error) {
	if strings.Contains(key, "/rej/") && !d.died {
		d.died = true
		return store.Fact{}, errKilled
	}
	return d.Facts.PutIfAbsent(ctx, key, value, until)
}

func TestARunThatDiesInTheMiddleOfARejectQueuesItOnce(t *testing.T) {
	p, db := newPipeline(t)
	facts := p.Facts
	p.Facts = &halting{Facts: facts}
	text := export(fields{"IncidentNo": "25-1", "ContactDT": "99/99/2025 10:00"})
	in := func() adapters.Input { return adapters.Input{Name: "export.csv", Reader: strings.NewReader(text)} }
	if _, err := p.Run(t.Context(), in()); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	p.Facts = facts
	if r, err := p.Run(t.Context(), in()); err != nil || r.Rejects != 1 {
		t.Fatalf("%+v %v", r, err)
	}
	list, _, err := queueOf(db).List(t.Context(), 1, 10)
	if err != nil || len(list) != 1 || len(list[0].Raw) == 0 {
		t.Errorf("%d rejects in the queue, %v", len(list), err)
	}
}

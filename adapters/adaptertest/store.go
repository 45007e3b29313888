package adaptertest

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/adapters/ingest"
	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

func (s Suite) database(t *testing.T) backend.Backend {
	t.Helper()
	db := backendtest.Open(t, backend.Options{})
	return db
}

// pipeline is a new process that ingests into db.
func (s Suite) pipeline(db backend.Backend, m flow.Mapper) *ingest.Pipeline {
	return &ingest.Pipeline{Format: s.Format, Mapper: m, Options: s.Options, Store: db, Facts: db, Log: db,
		Origin: resource.Origin{System: "suite", Custodian: "Organization/suite", Police: true}, SiteKey: []byte("a key of the adapter suite alone"),
		Validator: ingest.R4{}, Labeler: ingest.Labels{Labeller: label.New(label.Options{})}, Indexer: ingest.Entries{},
		Clock: func() time.Time { return time.Date(2026, 4, 20, 12, 0, 0, 0, time.UTC) }}
}

func (s Suite) ingest(ctx context.Context, p *ingest.Pipeline, in []byte) (*flow.Report, error) {
	return p.Run(ctx, adapters.Input{Name: "input", Reader: bytes.NewReader(in)})
}

// A stored resource, by its version and bytes.
type stored struct {
	version int64
	raw     string
}

// heads are all live resources of the types that a conversion makes.
func (s Suite) heads(t *testing.T, db backend.Backend, types []string) map[store.Key]stored {
	t.Helper()
	out := map[store.Key]stored{}
	for _, typ := range types {
		plan := store.Plan{Type: typ, Where: store.Expr{Op: store.All}, Limit: 500, Sort: []store.SortKey{{Param: store.ParamID}}}
		for {
			page, err := db.Search(context.Background(), plan)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Records {
				out[r.Key] = stored{r.Version, string(r.Raw)}
			}
			if plan.After = page.Next; page.Next == "" {
				break
			}
		}
	}
	return out
}

// types are the resource types that come of an input.
func (s Suite) types(t *testing.T, in []byte) []string {
	t.Helper()
	out, _, _, _, err := s.Convert(false, false, in)
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for line := range strings.Lines(out) {
		r, err := resource.Parse([]byte(strings.TrimSpace(line)))
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, r.Type())
	}
	return types
}

// storing wants a second ingestion to change nothing, not even a version.
func (s Suite) storing(t *testing.T) {
	if s.Mapper == nil {
		t.Skip("no mapping: ingesting was not tried")
	}
	types := s.types(t, s.Good)
	db := s.database(t)
	first, err := s.ingest(context.Background(), s.pipeline(db, s.Mapper), s.Good)
	if err != nil {
		t.Fatal(err)
	}
	once := s.heads(t, db, types)
	again, err := s.ingest(context.Background(), s.pipeline(db, s.Mapper), s.Good)
	if err != nil {
		t.Fatal(err)
	}
	if len(once) == 0 || !maps.Equal(once, s.heads(t, db, types)) {
		t.Errorf("the second ingestion of %d resources changed some", len(once))
	}
	if !first.AddsUp() || !again.AddsUp() || again.Created+again.Updated-again.Expunged > 0 {
		t.Errorf("first %+v, again %+v", *first, *again)
	}
}

// A killer ends the context while it maps the record of a number.
type killer struct {
	flow.Mapper
	left atomic.Int32
	kill context.CancelFunc
}

// Apply implements flow.Mapper.
func (k *killer) Apply(rec *tree.Record, opts mappings.Options) (*mappings.Result, error) {
	if k.left.Add(-1) == 0 {
		k.kill()
	}
	return k.Mapper.Apply(rec, opts)
}

// killed wants an ingestion that was broken off anywhere, and gone on with, to
// end as one that was not, with each resource written as often.
func (s Suite) killed(t *testing.T) {
	if s.Mapper == nil {
		t.Skip("no mapping: ingesting was not tried")
	}
	types := s.types(t, s.Good)
	whole := s.database(t)
	report, err := s.ingest(context.Background(), s.pipeline(whole, s.Mapper), s.Good)
	if err != nil {
		t.Fatal(err)
	}
	want := s.heads(t, whole, types)
	records := report.Records - report.NonRecords()
	for at := 1; at <= records; at += max(1, sparse()*records/10) {
		db := s.database(t)
		ctx, kill := context.WithCancel(context.Background())
		k := &killer{Mapper: s.Mapper, kill: kill}
		k.left.Store(int32(at))
		_, err := s.ingest(ctx, s.pipeline(db, k), s.Good)
		kill()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("killed at record %d: %v", at, err)
		}
		if _, err := s.ingest(context.Background(), s.pipeline(db, s.Mapper), s.Good); err != nil {
			t.Fatalf("going on after record %d: %v", at, err)
		}
		got := s.heads(t, db, types)
		for key, w := range want {
			if got[key] != w {
				t.Errorf("killed at record %d: %s is version %d, want %d (the same bytes: %v)", at, key, got[key].version, w.version, got[key].raw == w.raw)
			}
		}
		if len(got) != len(want) {
			t.Errorf("killed at record %d: %d resources, want %d", at, len(got), len(want))
		}
	}
}

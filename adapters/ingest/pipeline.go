package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/fhir/part2"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/mappings"
)

// A Validator judges a resource before it is stored. Problems name the element
// and never quote a value; none means that it may be stored.
type Validator interface {
	Validate(r *resource.Resource) (problems []string)
}

// A Labeler computes the security labels of a resource from its content and
// origin: labels as "system|code", and the version of the label set.
type Labeler interface {
	Label(r *resource.Resource, o resource.Origin) (labels []string, set string, err error)
}

// An Indexer computes the search entries of a resource, "param|value".
type Indexer interface {
	Index(r *resource.Resource) ([]string, error)
}

// A Linker learns of stored persons. Link is called after a Patient was created
// or changed; a failure is counted, the record stays stored.
type Linker interface {
	Link(ctx context.Context, patient *store.Record) error
}

// A Forgetter is a Linker that can be told that a resource was expunged.
type Forgetter interface {
	Forget(ctx context.Context, k store.Key) error
}

// An Eraser overwrites what was removed from the store or replaced in it, where the
// store's files would still have it. It is called when an expunge is done.
type Eraser interface {
	Erase(ctx context.Context) error
}

// An Auditor keeps events about records. Its error stops the run: what cannot
// be audited is not done.
type Auditor interface {
	Audit(ctx context.Context, e Event) error
}

// An Event is something that happened to records, for the audit trail.
type Event struct {
	Kind   string       `json:"kind"` // "run", "expunge", "seal", "merge", "reveal", "edit", "replay"
	At     time.Time    `json:"at"`
	System string       `json:"system"`
	Source string       `json:"source"`
	Record string       `json:"record,omitempty"` // keyed hash of the record's key, for expunge, seal and merge
	Reject uint64       `json:"reject,omitempty"` // its number in the reject queue, for reveal, edit and replay
	By     string       `json:"by,omitempty"`     // who did it
	Report *flow.Report `json:"report,omitempty"`
}

// A Pipeline ingests the sources of one system. All fields up to SiteKey are
// required. It may run several sources one after the other.
type Pipeline struct {
	Format adapters.Format
	Mapper flow.Mapper
	Origin resource.Origin // Origin.System is the name under which state is kept
	// Units tells which records are those of a 42 CFR Part 2 unit of a system
	// that serves others too; nil: Origin says it for all.
	Units *part2.Rules
	Store store.Store
	Facts store.Facts
	Log   store.Log
	// SiteKey makes ids and keyed hashes: at least 16 bytes.
	SiteKey []byte

	Options   adapters.Options // of the source; From is filled in here
	Validator Validator        // nil: what mappings build is valid by construction
	Labeler   Labeler          // nil: labels are computed on read
	Indexer   Indexer          // nil: no search entries
	Linker    Linker
	Eraser    Eraser           // nil: nothing is left in files
	Auditor   Auditor          // nil: events stand in EventStream only
	Clock     func() time.Time // nil: time.Now
	Workers   int              // records stored side by side; 0: 64
	Tick      func(*flow.Report)
	// Each is told of every item, in the order of the source, once its outcome is
	// durable. Its error stops the run; the item comes again then.
	Each func(m *flow.Mapped, o flow.Outcome) error

	// asOf is when the text of a replay first came; zero: it comes now.
	asOf time.Time
	// head is the header of an input that is read on from its middle.
	head []byte
	// again takes what a replay rejects; nil: it is queued.
	again func(*flow.Mapped)

	guards guards
	unread unread // only an expunge uses it, which runs alone
	units  *combiner[store.Write, *store.Record]
	texts  map[string]*combiner[[]byte, struct{}]
}

const (
	defaultWorkers = 64
	saveEvery      = 500 // items between two cursors
	savePause      = time.Second
)

// A pending record is on its way to the store.
type pending struct {
	m       *flow.Mapped
	outcome flow.Outcome
	err     error
	done    chan struct{}
}

// Run ingests one input: from its beginning, or, if a run over the same input
// was interrupted, from where that one stopped. The report counts what this run
// did, also if an error is returned with it.
func (p *Pipeline) Run(ctx context.Context, in adapters.Input) (*flow.Report, error) {
	report := &flow.Report{Source: in.Name}
	if err := p.check(); err != nil {
		return report, err
	}
	src, err := p.open(ctx, in, report)
	if err != nil {
		return report, err
	}
	defer func() { _ = src.Close() }()
	p.combine()
	ids, err := mappings.NewIDs(p.SiteKey)
	if err != nil {
		return report, err
	}
	opts := mappings.Options{IDs: ids, Received: p.now(), Source: mappings.Source{Adapter: p.Format.Name, Name: in.Name, SHA256: in.SHA256}}
	if err := p.run(ctx, src, opts, in.Name, report); err != nil {
		return report, err
	}
	if err := p.Facts.Delete(ctx, p.cursorKey(in.Name)); err != nil && !errors.Is(err, store.ErrNotFound) {
		return report, fmt.Errorf("ingest %s: forgetting the cursor: %w", in.Name, err)
	}
	counts := *report
	counts.Unmapped = nil // codes of the source do not belong into a trail
	return report, p.audit(ctx, Event{Kind: "run", Source: in.Name, Report: &counts})
}

func (p *Pipeline) check() error {
	switch {
	case p.Store == nil || p.Facts == nil || p.Log == nil:
		return errors.New("ingest: no store")
	case p.Format.Open == nil || p.Mapper == nil:
		return errors.New("ingest: no format or mapping")
	case p.Origin.System == "":
		return errors.New("ingest: no system: the origin of records comes from the configuration")
	case len(p.SiteKey) < 16:
		return errors.New("ingest: the site key needs at least 16 bytes")
	case string(p.SiteKey) == mappings.TestKey:
		return errors.New("ingest: the site key is the public test key of convert")
	}
	return nil
}

func (p *Pipeline) now() time.Time {
	if p.Clock != nil {
		return p.Clock()
	}
	return time.Now()
}

// EventStream names the log stream of a system in which runs, seals and
// expunges are noted, without anything of the records but a keyed hash.
func EventStream(system string) string { return "ingest/" + system + "/events" }

// audit notes an event in the system's stream, and with the auditor if there is
// one. Its error stops the run.
func (p *Pipeline) audit(ctx context.Context, e Event) error {
	e.System, e.At = p.Origin.System, p.now().UTC()
	raw, err := json.Marshal(e)
	if err == nil {
		_, err = p.Log.Append(ctx, EventStream(e.System), raw)
	}
	if err == nil && p.Auditor != nil {
		err = p.Auditor.Audit(ctx, e)
	}
	if err != nil {
		return fmt.Errorf("ingest: auditing: %w", err)
	}
	return nil
}

// open starts the source at the kept cursor. A file that was replaced since is
// read from its beginning: what is known of it will be duplicates.
func (p *Pipeline) open(ctx context.Context, in adapters.Input, report *flow.Report) (adapters.Source, error) {
	opts := p.Options
	fact, err := p.Facts.Get(ctx, p.cursorKey(in.Name))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("ingest %s: reading the cursor: %w", in.Name, err)
	}
	p.head = nil
	sha, done, cursor := splitCursor(fact.Value)
	if cursor != "" && sha == in.SHA256 {
		if p.head, err = p.firstHeader(ctx, in); err != nil {
			return nil, fmt.Errorf("ingest %s: %w", in.Name, err)
		}
		opts.From, report.Before = adapters.Cursor(cursor), done
	}
	return p.Format.Open(ctx, in, opts)
}

// headWithin is after how many items a header is not looked for any more.
const headWithin = 20

// firstHeader reads the header of an input that is then read on from its middle:
// rejects are kept with it. An input that cannot seek has none.
func (p *Pipeline) firstHeader(ctx context.Context, in adapters.Input) (head []byte, err error) {
	seek, ok := in.Reader.(io.Seeker)
	if !ok {
		return nil, nil
	}
	src, err := p.Format.Open(ctx, in, p.Options)
	if err == nil {
		for range headWithin {
			it, err := src.Next(ctx)
			if err != nil || it.Kind == adapters.Data {
				break
			}
			if it.Kind == adapters.Header {
				head = bytes.Clone(it.Raw)
			}
		}
		err = src.Close()
	}
	if _, e := seek.Seek(0, io.SeekStart); e != nil {
		return nil, e
	}
	return head, err
}

// run is the pipeline proper: the source's items in order, their records to
// workers, the outcomes in order again.
func (p *Pipeline) run(ctx context.Context, src adapters.Source, opts mappings.Options, source string, report *flow.Report) error {
	n := p.Workers
	if n <= 0 {
		n = defaultWorkers
	}
	g, ctx := errgroup.WithContext(ctx)
	d := &dispatcher{inbox: make([]chan *pending, n), order: make(chan *pending, 4*n), keys: map[string]lane{}}
	for i := range d.inbox {
		d.inbox[i] = make(chan *pending, 16)
		g.Go(func() error {
			for job := range d.inbox[i] {
				job.outcome, job.err = p.process(ctx, job.m)
				d.finished(job)
			}
			return nil
		})
	}
	g.Go(func() error {
		defer d.close()
		return flow.Run(ctx, src, p.Mapper, opts, func(m *flow.Mapped) error { return d.dispatch(ctx, m) })
	})
	c := &committer{p: p, source: source, sha: opts.Source.SHA256, report: report, saved: p.now()}
	g.Go(func() error { return c.run(ctx, d.order) })
	err := g.Wait()
	// What was counted is durable: keep the place even if the run broke off.
	if e := c.save(context.WithoutCancel(ctx)); err == nil {
		err = e
	}
	return err
}

package convert

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

// A Job is one conversion of one or several inputs.
type Job struct {
	Format  adapters.Format
	Options adapters.Options
	Mapper  flow.Mapper
	// Mapping are the options of each Apply; Source is filled in here.
	Mapping mappings.Options
	Bundle  bool      // one transaction Bundle instead of NDJSON
	Out     io.Writer // resources
	Rejects io.Writer // one JSON object a reject
	Issues  io.Writer // nil, or one JSON object for each warning and hint too
	// Tick is called after each item; nil: not.
	Tick func(*flow.Report)
}

// A Path opens one input anew each time it is called.
type Path struct {
	Name   string
	Stream bool // can be opened once only
	Open   func() (adapters.Input, io.Closer, error)
}

// Run converts the inputs in order and returns a report for each that was read.
func (j *Job) Run(ctx context.Context, paths []Path) ([]*flow.Report, error) {
	run := &run{job: j, out: bufio.NewWriterSize(j.Out, 64<<10), final: newState()}
	run.twice = true
	for _, p := range paths {
		run.twice = run.twice && !p.Stream
	}
	if run.twice {
		if err := run.survey(ctx, paths); err != nil {
			return nil, err
		}
		if !run.replays() {
			run.final.tape = tape{}
		}
	}
	if !run.twice && j.keepsPersons() {
		run.persons = map[string]*mappings.Resource{}
	}
	if j.Bundle {
		run.write([]byte(`{"resourceType":"Bundle","type":"transaction"`))
	}
	var reports []*flow.Report
	state := newState()
	state.without = run.final.without
	for _, p := range paths {
		report := &flow.Report{Source: p.Name}
		reports = append(reports, report)
		err := run.pass(ctx, p, func(m *flow.Mapped) error { return run.item(state, report, m) })
		if err != nil {
			_ = run.out.Flush()
			return reports, err
		}
	}
	run.finish(state)
	if run.err == nil {
		run.err = run.complete()
	}
	if err := run.out.Flush(); run.err == nil {
		run.err = err
	}
	if run.err != nil {
		return reports, fmt.Errorf("writing the output: %w", run.err)
	}
	return reports, nil
}

// A run is what a conversion has come to.
type run struct {
	job     *Job
	out     *bufio.Writer
	err     error // of writing
	twice   bool  // all inputs are surveyed before
	final   *state
	entries int
	came    int                           // resources of r.final.updates.last that were written
	held    held                          // of a Bundle made from a stream
	persons map[string]*mappings.Resource // of a stream: the newest form of each Patient
}

// survey reads all inputs to see how each record ends. What an expunged record
// said about a shared resource must not come out either: then a second look
// finds the final form without it.
func (r *run) survey(ctx context.Context, paths []Path) error {
	r.final.surveying = true
	for range 2 {
		for _, p := range paths {
			if err := r.pass(ctx, p, r.final.survey); err != nil {
				return err
			}
		}
		hidden := r.final.records.hidden()
		if r.final.without != nil || hidden == nil {
			return nil
		}
		again := newState()
		again.without = hidden
		again.surveying = true
		r.final = again
	}
	return nil
}

func (r *run) pass(ctx context.Context, p Path, handle func(*flow.Mapped) error) (err error) {
	in, closer, err := p.Open()
	if err != nil {
		return err
	}
	defer func() {
		if e := closer.Close(); err == nil && e != nil {
			err = fmt.Errorf("%s: closing: %w", p.Name, e)
		}
	}()
	src, err := r.job.Format.Open(ctx, in, r.job.Options)
	if err != nil {
		return err
	}
	opts := r.job.Mapping
	opts.Source = mappings.Source{Adapter: r.job.Format.Name, Name: in.Name, SHA256: in.SHA256}
	err = flow.Run(ctx, src, r.job.Mapper, opts, handle)
	if e := src.Close(); err == nil {
		err = e
	}
	return err
}

// item decides what becomes of one item and writes what comes of it.
func (r *run) item(s *state, report *flow.Report, m *flow.Mapped) error {
	var told []mappings.Resource
	if m.Partial() {
		told = m.Result.Resources
	}
	outcome, err := r.judge(s, m)
	if err == nil && r.twice {
		err = r.due(s, told)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", m.Item.Pos, err)
	}
	report.Count(m, outcome)
	if outcome == flow.Rejected {
		if err := r.reject(flow.RejectOf(m)); err != nil {
			return err
		}
	}
	if err := r.findings(m); err != nil {
		return err
	}
	if r.job.Tick != nil {
		r.job.Tick(report)
	}
	res := m.Result
	switch {
	case res == nil || outcome != flow.Created && outcome != flow.Updated:
		return nil
	case res.Scope != "":
		for _, place := range s.groups.of(named(res.Scope)) {
			r.forget(s, s.records.row(place).name)
		}
		return nil
	case res.Action == mappings.Expunge, silent(res):
		r.forget(s, named(res.Key))
		return nil
	case r.twice && r.final.gone(res.Key):
		return nil
	}
	if res.Partial {
		r.updated(s, res)
		return r.wrote()
	}
	wins := !r.twice || r.final.holds(res)
	if !r.twice && r.job.Bundle {
		r.held.drop(s.take(named(res.Key))) // what the last version owned
	}
	for i := range res.Resources {
		x := &res.Resources[i]
		if r.job.Bundle && !r.twice {
			r.held.use(res.Key, x)
		}
		switch {
		case x.Owned && !wins:
		case !x.Owned && (!r.supersedes(s, res.Key, x) || r.twice && !r.final.holdsShared(x)):
		case r.person(x) && names(res.Merges, x):
			// written below, with its links
		default:
			r.resource(s, res.Key, x)
		}
	}
	r.again(s, res)
	return r.wrote()
}

// replays says that a survey has judged all items, and nothing else is to be kept
// of them: records that say only what changes are merged the second time.
func (r *run) replays() bool { return r.twice && r.final.updates.n == 0 }

// judge says what becomes of an item.
func (r *run) judge(s *state, m *flow.Mapped) (flow.Outcome, error) {
	if r.replays() {
		return r.final.tape.judge(m)
	}
	return s.judge(m)
}

// supersedes says whether a shared resource is newer than the one known.
func (r *run) supersedes(s *state, record string, x *mappings.Resource) bool {
	if r.replays() {
		return r.final.tape.won()
	}
	return s.supersedes(record, x)
}

// forget drops what is held of a record.
func (r *run) forget(s *state, record name) {
	r.held.drop(s.take(record))
	r.held.forget(record)
}

func (r *run) wrote() error {
	if r.err != nil {
		return fmt.Errorf("writing the output: %w", r.err)
	}
	return nil
}

func (r *run) reject(x adapters.Reject) error {
	if r.job.Rejects == nil {
		return nil
	}
	if err := writeLine(r.job.Rejects, x); err != nil {
		return fmt.Errorf("writing the rejects: %w", err)
	}
	return nil
}

func (r *run) findings(m *flow.Mapped) error {
	if r.job.Issues == nil {
		return nil
	}
	all := m.Item.Issues
	if m.Result != nil {
		all = append(all[:len(all):len(all)], m.Result.Issues...)
	}
	for _, is := range all {
		pos := is.Pos
		if pos == (tree.Position{}) {
			pos = m.Item.Pos
		}
		x := adapters.Reject{Source: m.Item.Pos.Source, Line: pos.Line, Field: is.Field, Severity: is.Severity, Code: is.Code, Message: is.Message}
		if err := writeLine(r.job.Issues, x); err != nil {
			return fmt.Errorf("writing the issues: %w", err)
		}
	}
	return nil
}

func writeLine(w io.Writer, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(raw, '\n'))
	return err
}

func (r *run) write(b []byte) {
	if r.err == nil {
		_, r.err = r.out.Write(b)
	}
}

// resource writes one resource, or holds it for the Bundle of a stream.
func (r *run) resource(s *state, key string, x *mappings.Resource) {
	switch {
	case !r.job.Bundle:
		r.write(r.merged(s, x))
		r.write([]byte{'\n'})
	case r.twice:
		r.entry(x.Type, x.ID, r.merged(s, x))
	default:
		r.held.put(x.Type+"/"+x.ID, x)
		if x.Owned {
			s.own(key, x.Type+"/"+x.ID)
		}
	}
}

func (r *run) entry(typ, id string, raw []byte) {
	if r.entries == 0 {
		r.write([]byte(`,"entry":[`))
	} else {
		r.write([]byte{','})
	}
	r.entries++
	r.write([]byte("\n{\"resource\":"))
	r.write(raw)
	r.write([]byte(`,"request":{"method":"PUT","url":"` + typ + "/" + id + `"}}`))
}

func (r *run) finish(s *state) {
	if !r.job.Bundle {
		return
	}
	for _, x := range r.held.live() {
		r.entry(x.Type, x.ID, r.merged(s, x))
	}
	if r.entries > 0 {
		r.write([]byte("\n]"))
	}
	r.write([]byte("}\n"))
}

package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

// ErrNoText says that a reject cannot be replayed, because its text was not kept
// or was destroyed.
var ErrNoText = errors.New("its text is not kept")

// A Replay is what a replay of one reject did.
type Replay struct {
	Seq      uint64
	Outcomes map[string]int   // "created", "updated", "duplicate", "superseded", "rejected"
	Reject   *adapters.Reject // why it was rejected again; nil: it was not
}

// Replay reads a rejected record again with the pipeline's format and mapping. A
// reject that was replayed before, or one of a record that was stored since, is a
// duplicate; nothing old is applied over something newer, also where the source
// gives no versions: then what was stored after the reject came stays. One that
// is rejected again stays in the queue, once. No run may be under way.
func (p *Pipeline) Replay(ctx context.Context, seq uint64, by string) (*Replay, error) {
	q := &Queue{Log: p.Log, Facts: p.Facts, System: p.Origin.System, Clock: p.Clock}
	k, err := q.Get(ctx, seq)
	if err != nil {
		return nil, err
	}
	var head, raw []byte
	if k.State != Expunged {
		if head, raw, err = q.Text(ctx, &k); err != nil {
			return nil, err
		}
	}
	if len(raw) == 0 {
		return nil, fmt.Errorf("reject %d of %s: %w", seq, q.System, ErrNoText)
	}
	if err := q.Audit(ctx, k.Event("replay", by)); err != nil {
		return nil, err
	}
	r := &Replay{Seq: seq, Outcomes: map[string]int{}}
	if err := p.readAgain(ctx, &k, head, raw, r); err != nil {
		return nil, err
	}
	return r, q.note(ctx, seq, func(m *rejectMark) {
		m.Tries++
		m.Tried, m.State, m.Outcome = q.now(), Replayed, r.Outcome()
		m.Code, m.Field, m.Message = "", "", ""
		if r.Reject != nil {
			m.State, m.Code, m.Field, m.Message = Open, r.Reject.Code, r.Reject.Field, r.Reject.Message
		}
	})
}

// Outcome is the replay's in one word, the worst first.
func (r *Replay) Outcome() string {
	for _, o := range []string{"rejected", "created", "updated", "superseded", "duplicate"} {
		if r.Outcomes[o] > 0 {
			return o
		}
	}
	return "nothing"
}

var outcomeNames = map[flow.Outcome]string{flow.Rejected: "rejected", flow.Created: "created", flow.Updated: "updated",
	flow.Duplicate: "duplicate", flow.Superseded: "superseded"}

// readAgain runs the pipeline over the text.
func (p *Pipeline) readAgain(ctx context.Context, k *Queued, head, raw []byte, r *Replay) error {
	format, mapper, each := p.Format, p.Mapper, p.Each
	defer func() { p.Format, p.Mapper, p.Each, p.asOf, p.again = format, mapper, each, time.Time{}, nil }()
	p.asOf, p.Mapper = k.At, timed{mapper, k}
	p.Format.Open = func(ctx context.Context, in adapters.Input, o adapters.Options) (adapters.Source, error) {
		return placed(ctx, format, k, head, raw, in, o)
	}
	p.again = func(m *flow.Mapped) {
		if x := flow.RejectOf(m); r.Reject == nil {
			r.Reject = &x
		}
	}
	var records []string
	p.Each = func(m *flow.Mapped, o flow.Outcome) error {
		if o == flow.NonRecord {
			return nil
		}
		r.Outcomes[outcomeNames[o]]++
		if o != flow.Rejected && m.Result != nil && m.Result.Key != "" {
			records = append(records, p.recordHash(m.Result.Key))
		}
		return nil
	}
	in := adapters.Input{Name: fmt.Sprintf("reject %d of %s", k.Seq, p.Origin.System)}
	if _, err := p.Run(ctx, in); err != nil {
		return err
	}
	if len(r.Outcomes) == 0 {
		r.Outcomes["rejected"]++
		r.Reject = &adapters.Reject{Severity: mappings.Error, Code: "empty", Message: "no record was found in the text"}
	}
	for _, record := range records {
		if err := p.tie(ctx, record, k.record); err != nil {
			return err
		}
	}
	return nil
}

// tie lets an expunge of a record reach the text of a reject that it came from.
func (p *Pipeline) tie(ctx context.Context, record, reject string) error {
	for record != reject {
		st, err := p.load(ctx, record)
		if err != nil || st == nil || st.Expunged != "" || slices.Contains(st.Rejects, reject) {
			return err
		}
		st.Rejects = append(st.Rejects, reject)
		if err = p.save(ctx, record, st); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return nil
}

// destroyKey makes the texts under a record's key unreadable.
func (p *Pipeline) destroyKey(ctx context.Context, record string) error {
	st, err := p.load(ctx, record)
	if err != nil || st == nil || st.Expunged != "" {
		return err
	}
	return p.save(ctx, record, &recordState{Expunged: p.now().UTC().Format(time.RFC3339), fact: st.fact})
}

// timed maps a record as of when it came.
type timed struct {
	flow.Mapper
	k *Queued
}

// Apply implements flow.Mapper.
func (t timed) Apply(rec *tree.Record, opts mappings.Options) (*mappings.Result, error) {
	opts.Received, opts.Source.Name = t.k.At, t.k.Source
	return t.Mapper.Apply(rec, opts)
}

// placed opens a reject's text so that its positions are those of the original.
// Its header stands before it and is no item.
func placed(ctx context.Context, f adapters.Format, k *Queued, head, raw []byte, in adapters.Input, o adapters.Options) (adapters.Source, error) {
	o.From = ""
	if len(head) > 0 && !bytes.HasSuffix(head, []byte("\n")) && !bytes.HasSuffix(head, []byte("\r")) {
		head = append(bytes.Clone(head), '\n')
	}
	in.Reader = bytes.NewReader(append(bytes.Clone(head), raw...))
	src, err := f.Open(ctx, in, o)
	var fe *adapters.FileError
	if errors.As(err, &fe) { // the text as such is the reject
		code := fe.Code
		if code == "" {
			code = "undecodable"
		}
		pos := tree.Position{Source: k.Source, Line: k.Line}
		return &one{item: adapters.Item{Kind: adapters.Rejected, Raw: raw, Pos: pos,
			Issues: []mappings.Issue{{Severity: mappings.Error, Code: code, Message: fe.Reason, Pos: pos}}}}, nil
	}
	if err != nil {
		return nil, err
	}
	return &moved{Source: src, k: k}, nil
}

// moved gives the items of a reject's text the place of the original.
type moved struct {
	adapters.Source
	k     *Queued
	begun bool
	shift int
}

// Next implements adapters.Source.
func (s *moved) Next(ctx context.Context) (adapters.Item, error) {
	it, err := s.Source.Next(ctx)
	if err != nil {
		return it, err
	}
	if !s.begun && it.Kind != adapters.Header {
		s.begun, s.shift = true, s.k.Line-it.Pos.Line
	}
	it.Pos.Source = s.k.Source
	if it.Pos.Line > 0 {
		it.Pos.Line = max(it.Pos.Line+s.shift, 1)
	}
	return it, nil
}

// one is a source of a single item.
type one struct {
	item adapters.Item
	done bool
}

func (s *one) Next(context.Context) (adapters.Item, error) {
	if s.done {
		return adapters.Item{}, io.EOF
	}
	s.done = true
	return s.item, nil
}

func (s *one) Cursor() adapters.Cursor { return "" }
func (s *one) Close() error            { return nil }

// late says that a replay comes too late: the source gives no versions, and what
// is stored of the record is from after the text first came. What restricts the
// record more is never too late.
func (p *Pipeline) late(ctx context.Context, res *mappings.Result, r flow.Restrictions, st *recordState) (bool, error) {
	if st == nil || p.asOf.IsZero() || res.Version != "" || r&^st.Restrictions != 0 {
		return false, nil
	}
	for _, o := range st.Owned {
		typ, id, _ := strings.Cut(o.Ref, "/")
		head, err := p.Store.Read(ctx, store.Key{Type: typ, ID: id})
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return false, err
		case head.LastUpdated.After(p.asOf):
			return true, nil
		}
	}
	return false, nil
}

package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/mappings"
)

// process does with one item what its kind and result ask for. An error stops
// the run; nothing of the item is acknowledged then.
func (p *Pipeline) process(ctx context.Context, m *flow.Mapped) (flow.Outcome, error) {
	if err := ctx.Err(); err != nil {
		return flow.Rejected, err
	}
	switch m.Item.Kind {
	case adapters.Header, adapters.Trailer, adapters.Blank:
		return flow.NonRecord, nil
	case adapters.Data:
	default:
		return flow.Rejected, p.reject(ctx, m)
	}
	var o flow.Outcome
	var err error
	switch m.Result.Action {
	case mappings.Upsert, mappings.Seal, mappings.Expunge, mappings.Keep:
		switch {
		case m.Result.Scope != "":
			o, err = p.group(ctx, m)
		case m.Result.Action == mappings.Expunge:
			o, err = p.expunge(ctx, m)
		default:
			o, err = p.upsert(ctx, m, p.recordHash(m.Result.Key))
		}
	default:
		return flow.Rejected, p.reject(ctx, m)
	}
	if err == nil && m.Result.Action == mappings.Expunge && p.Eraser != nil {
		err = p.Eraser.Erase(ctx)
	}
	if err != nil {
		return flow.Rejected, fmt.Errorf("ingest %s: %w", m.Item.Pos, err)
	}
	if o == flow.Rejected {
		return o, p.reject(ctx, m)
	}
	return o, nil
}

// reject queues a rejected record with its text, once for each place and text.
func (p *Pipeline) reject(ctx context.Context, m *flow.Mapped) error {
	if p.again != nil {
		p.again(m)
		return nil
	}
	key := p.rejectKey(m.Item.Pos.Source, m.Item.Pos.Line, m.Item.Raw)
	if m.Result != nil && (m.Result.Action == mappings.Expunge || m.Result.Scope != "") {
		// What is to be forgotten is not kept: the reject alone.
		bare := *m
		bare.Item.Raw = nil
		m = &bare
	} else if of := m.Key(); of != "" {
		// Under the record's own key, so that an expunge reaches it.
		st, err := p.ensure(ctx, p.recordHash(of))
		if err != nil || st.Expunged != "" {
			return err
		}
		return p.queue(ctx, m, of, key, st)
	}
	st, err := p.ensure(ctx, p.recordHash(key))
	if err != nil {
		return err
	}
	return p.queue(ctx, m, key, key, st)
}

func (p *Pipeline) queue(ctx context.Context, m *flow.Mapped, recordKey, once string, st *recordState) error {
	once = p.hash(once)
	mark := p.factKey("rej", once)
	if _, err := p.Facts.Get(ctx, mark); err == nil {
		return nil // queued by an earlier run
	} else if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	r := flow.RejectOf(m)
	nonce, err := p.keepOnce(ctx, RejectStream(p.Origin.System), p.recordHash(recordKey), st.DataKey, m, &r, once)
	if err != nil {
		return fmt.Errorf("ingest %s: queueing a reject: %w", m.Item.Pos, err)
	}
	if _, err := p.Facts.PutIfAbsent(ctx, mark, nonce, time.Time{}); err != nil && !errors.Is(err, store.ErrExists) {
		return err
	}
	return nil
}

// ensure loads a record's state, or makes one that holds nothing but a key.
func (p *Pipeline) ensure(ctx context.Context, record string) (*recordState, error) {
	for {
		st, err := p.load(ctx, record)
		if err != nil || st != nil {
			return st, err
		}
		st = new(recordState)
		if st.DataKey, err = newDataKey(); err != nil {
			return nil, err
		}
		if err = p.save(ctx, record, st); !errors.Is(err, store.ErrExists) {
			return st, err
		}
	}
}

// upsert stores a record's resources if they are newer than what is known. If
// another process has written the record's state meanwhile, it looks again.
func (p *Pipeline) upsert(ctx context.Context, m *flow.Mapped, record string) (flow.Outcome, error) {
	issues := m.Result.Issues
	var linked []mappings.Issue // by a first attempt that had stored the Patient
	for attempt := 0; ; attempt++ {
		o, err := p.tryUpsert(ctx, m, record, attempt > 0, &linked)
		if attempt >= 5 && !m.Partial() || attempt >= maxAttempts || !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) {
			return o, err
		}
		m.Result.Issues = issues
	}
}

func (p *Pipeline) tryUpsert(ctx context.Context, m *flow.Mapped, record string, again bool, linked *[]mappings.Issue) (flow.Outcome, error) {
	res := m.Result
	st, err := p.load(ctx, record)
	if err != nil {
		return 0, err
	}
	if st != nil && st.Expunged != "" {
		return flow.Superseded, nil // what was expunged does not come back by itself
	}
	restrictions, received := flow.OfResult(res), p.now().UTC().Format(versionForm)
	u := &unit{p: p, res: res, st: st, record: record, origin: p.origin(m), again: again, linkIssues: linked}
	var refused bool
	if u.merging, refused, err = p.merges(ctx, res, received); err != nil || refused {
		return flow.Rejected, err
	}
	outcome, idle, err := u.judge(ctx, restrictions, received)
	switch {
	case err != nil:
		return 0, err
	case idle && u.merging == nil && (res.Partial || u.late):
		return outcome, nil
	case idle && u.merging == nil:
		return outcome, p.remember(ctx, record, st, &u.next)
	case idle:
		u.mergesOnly()
	}
	return p.storeUnit(ctx, m, u, outcome)
}

// judge says what becomes of a record. idle: nothing of it is to be written.
func (u *unit) judge(ctx context.Context, r flow.Restrictions, received string) (o flow.Outcome, idle bool, err error) {
	known := u.st != nil && u.st.Digest != ""
	u.next = flow.First(u.res, r, received)
	if !known && !u.res.Partial {
		return flow.Created, false, nil
	}
	var impose flow.Restrictions
	if !u.res.Partial {
		if o, impose, u.next = flow.Judge(u.res, r, u.st.known(), received); o != flow.Updated {
			return o, true, nil
		}
	}
	if late, err := u.p.late(ctx, u.res, r, u.st); late || err != nil {
		u.merging, u.late = nil, true
		return flow.Superseded, true, err
	}
	if u.res.Partial {
		return u.update(ctx)
	}
	return o, false, flow.Impose(u.res, impose)
}

// storeUnit writes what a record makes.
func (p *Pipeline) storeUnit(ctx context.Context, m *flow.Mapped, u *unit, outcome flow.Outcome) (flow.Outcome, error) {
	res := m.Result
	var problem *mappings.Issue
	u.records, problem = p.prepare(u.res, u.origin, func(x *mappings.Resource) bool { return p.stored(u.st, x) })
	if problem != nil {
		res.Issues = append([]mappings.Issue{*problem}, res.Issues...)
		return flow.Rejected, nil
	}
	if res.Action == mappings.Seal {
		if err := p.audit(ctx, Event{Kind: "seal", Source: m.Item.Pos.Source, Record: u.record}); err != nil {
			return 0, err
		}
	}
	if u.merging != nil {
		o, done, err := p.join(ctx, m, u, outcome)
		if err != nil || done {
			return o, err
		}
		outcome = o
	}
	if u.st == nil {
		key, err := newDataKey()
		if err != nil {
			return 0, err
		}
		u.st = &recordState{DataKey: key}
	}
	if err := p.storeWithText(ctx, m, u); err != nil {
		return 0, err
	}
	if err := p.linkMerged(ctx, u); err != nil {
		return 0, err
	}
	// Before the record's state, which says that all is done: after a kill or a
	// conflict the Patient is there already, and is not written again.
	p.link(ctx, u)
	if err := p.noteStored(ctx, u); err != nil {
		return 0, err
	}
	res.Issues = append(append(res.Issues, u.issues...), *u.linkIssues...)
	return outcome, nil
}

// storeWithText makes two things durable side by side, so that they share the
// store's commits: the record's text and its resources. The state that makes the
// text readable and the resources known follows, and nothing is acknowledged
// before it: if the run dies between them, the record is read again, its text is
// kept under another key, and the rest follows.
func (p *Pipeline) storeWithText(ctx context.Context, m *flow.Mapped, u *unit) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := p.keep(ctx, RawStream(p.Origin.System), u.record, u.st.DataKey, m); err != nil {
			return fmt.Errorf("keeping the raw text: %w", err)
		}
		return nil
	})
	g.Go(func() error { return u.store(ctx) })
	return g.Wait()
}

// noteStored takes what was written into the guards and the record's state.
func (p *Pipeline) noteStored(ctx context.Context, u *unit) error {
	res, st := u.res, u.st
	st.learn(&u.next)
	if !u.only {
		if st.own(u.owned); res.Partial {
			st.Slots = u.told
		}
	}
	for i := range res.Resources {
		if x := &res.Resources[i]; !x.Owned && !slices.Contains(st.Shared, ref(x)) {
			st.Shared = append(st.Shared, ref(x))
		}
	}
	// Guards first: a record's state says that all is done.
	if err := u.noteGuards(ctx); err != nil {
		return err
	}
	if u.behind.Load() {
		return fmt.Errorf("another process told of the same resource: %w", store.ErrConflict)
	}
	if err := p.save(ctx, u.record, st); err != nil {
		return fmt.Errorf("keeping the record's state: %w", err)
	}
	return nil
}

// versionForm is how a version writes a time.
const versionForm = "2006-01-02T15:04:05Z"

// remember keeps what a duplicate or an older version tells.
func (p *Pipeline) remember(ctx context.Context, record string, st *recordState, next *flow.Known) error {
	if next.Version == st.Version && len(next.Ties) == len(st.Ties) {
		return nil
	}
	st.learn(next)
	return p.save(ctx, record, st)
}

func ref(x *mappings.Resource) string { return x.Type + "/" + x.ID }

// stored says that a resource is stored as it is, as far as is remembered.
func (p *Pipeline) stored(st *recordState, x *mappings.Resource) bool {
	if !x.Owned {
		g, ok := p.guards.get(ref(x))
		return ok && g.Stored > 0 && g.Digest == x.Digest
	}
	return st != nil && slices.ContainsFunc(st.Owned, func(o owned) bool { return o.Ref == ref(x) && o.Digest == x.Digest })
}

// prepare parses, validates, labels and indexes a result's resources, except
// those that skip names: their records have a key only.
func (p *Pipeline) prepare(res *mappings.Result, origin resource.Origin, skip func(*mappings.Resource) bool) ([]store.Record, *mappings.Issue) {
	bad := func(code, format string, args ...any) *mappings.Issue {
		return &mappings.Issue{Severity: mappings.Error, Code: code, Message: fmt.Sprintf(format, args...)}
	}
	out := make([]store.Record, len(res.Resources))
	for i := range res.Resources {
		x := &res.Resources[i]
		if out[i].Key = (store.Key{Type: x.Type, ID: x.ID}); skip != nil && skip(x) {
			continue
		}
		r, err := resource.Parse(x.Raw)
		if err != nil || r.Type() != x.Type || r.ID() != x.ID {
			return nil, bad("invalid-resource", "the mapping made a %s that cannot be read", x.Type)
		}
		if isTest(r) {
			return nil, bad("test-record", "a test or training record: nothing of it is kept")
		}
		if p.Validator != nil {
			if problems := p.Validator.Validate(r); len(problems) > 0 {
				return nil, bad("invalid-resource", "the mapping made a %s that is not valid: %s", x.Type, problems[0])
			}
		}
		rec := store.Record{Key: store.Key{Type: x.Type, ID: x.ID}, Raw: x.Raw, Origin: origin}
		if p.Labeler != nil {
			if rec.Labels, rec.LabelSet, err = p.Labeler.Label(r, origin); err != nil {
				return nil, bad("label", "a %s could not be labelled: %v", x.Type, err)
			}
		}
		if p.Indexer != nil {
			if rec.Index, err = p.Indexer.Index(r); err != nil {
				return nil, bad("index", "a %s could not be indexed: %v", x.Type, err)
			}
		}
		out[i] = rec
	}
	return out, nil
}

// isTest says whether a mapping labelled a resource as test data (HTEST). Such
// data are converted, so that an integrator can see them, and never stored.
func isTest(r *resource.Resource) bool {
	for c := range r.Root().Get("meta").All("security") {
		if c.Get("code").Is("HTEST") && terminology.SystemOf(c.Get("system").Text()) == terminology.ActReason {
			return true
		}
	}
	return false
}

// link tells the linker about the Patients that changed.
func (p *Pipeline) link(ctx context.Context, u *unit) {
	if p.Linker == nil {
		return
	}
	for _, rec := range slices.Concat(u.written, u.found) {
		if rec.Type != "Patient" || rec.Deleted {
			continue
		}
		if err := p.Linker.Link(ctx, rec); err != nil {
			issue := mappings.Issue{Severity: mappings.Warning, Code: "link-failed", Message: "the person is stored but was not linked: " + err.Error()}
			var named interface{ Code() string }
			if errors.As(err, &named) { // nothing failed: the linker says why it makes no link
				issue.Code = named.Code()
			}
			*u.linkIssues = append(*u.linkIssues, issue)
		}
	}
}

package broker

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"

	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/upstream"
)

// gather reads all targets side by side and hands entries to yield one by one
// in the caller's goroutine.
func (b *Broker) gather(ctx context.Context, q Query, yield func(Entry) bool) (Answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reports := make([]Report, len(q.Targets))
	entries := make(chan Entry, 16)
	var readers sync.WaitGroup
	for i, t := range q.Targets {
		readers.Add(1)
		go func() {
			defer readers.Done()
			reports[i] = b.target(ctx, q, t, entries)
		}()
	}
	go func() { readers.Wait(); close(entries) }()
	stopped := false
	// Every reader ends with its own deadline, whatever its system does: the
	// work behind it is another goroutine.
	for e := range entries {
		if !stopped && !yield(e) {
			stopped = true
			cancel()
		}
	}
	return sum(q.Type, reports, stopped), nil
}

// sum makes the answer of the reports. A Consent that a system withholds is one
// that nobody reads: a deny may be in it, so that there suppressed counts as
// missing.
func sum(typ string, reports []Report, stopped bool) Answer {
	a := Answer{Reports: reports, Stopped: stopped}
	for _, r := range reports {
		missing := r.Outcome == Failed || r.Outcome == Partial || (r.Outcome == Suppressed && typ == "Consent")
		if stopped && errors.Is(r.Err, context.Canceled) {
			missing = false
		}
		if missing && !slices.Contains(a.Failed, r.System) {
			a.Failed = append(a.Failed, r.System)
		}
	}
	a.Incomplete = len(a.Failed) > 0
	return a
}

// target reads one target and reports how it ended.
func (b *Broker) target(ctx context.Context, q Query, t Target, out chan<- Entry) (rep Report) {
	s := b.systems[t.System]
	rep.System = t.System
	start := b.o.Now()
	defer func() { rep.Took = b.o.Now().Sub(start) }()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	params, asked, err := b.outbound(ctx, s, q, t)
	if err != nil || !asked {
		rep.Err, rep.Outcome = err, outcomeOf(err)
		return rep
	}
	key := flightKey(q.Share, t.System, "search", q.Type, t.ID, params.Encode())
	r := b.flights.join(ctx, key, s.timeout, func(ctx context.Context, f *flight) error {
		return b.ask(ctx, s, func(ctx context.Context) error { return b.search(ctx, s, q.Type, t.ID, params, f) })
	})
	_, rep.Err = r.each(ctx, func(e Entry) bool {
		select {
		case out <- e:
			rep.Entries++
			return true
		case <-ctx.Done():
			return false
		}
	})
	if rep.Err == nil {
		rep.Err = ctx.Err()
	}
	rep.Foreign = r.f.dropped()
	rep.Outcome = outcomeOf(rep.Err)
	return rep
}

func outcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return Complete
	case errors.Is(err, upstream.ErrSuppressed):
		return Suppressed
	case errors.Is(err, upstream.ErrIncomplete):
		return Partial
	}
	return Failed
}

// search is the work of one target's search, done once for all who share it.
func (b *Broker) search(ctx context.Context, s *system, typ, patient string, params url.Values, f *flight) error {
	c := &collector{b: b, s: s, f: f, typ: typ, patient: patient, w: b.rewriter(s), ctx: ctx}
	c.w.about(patient)
	err := c.fetch(params)
	if errors.Is(err, upstream.ErrQuery) && c.entries == 0 && len(params) > len(bare(params)) {
		// It cannot be asked this narrowly. Wider is as good: all is matched
		// again here.
		err = c.fetch(bare(params))
	}
	if cerr := c.close(); err == nil || errors.Is(cerr, errStore) {
		err = cerr
	}
	return err
}

// A collector takes what comes for one target, keeps what is about the patient,
// rewrites it and hands it to the flight.
type collector struct {
	b            *Broker
	s            *system
	f            *flight
	ctx          context.Context
	typ, patient string
	w            *rewriter
	saver        *saver

	entries int
	bytes   int64
	over    bool // more came than is read
	broken  bool // an entry could not be rewritten
	unclear bool // an entry did not say in a checkable way whose it is
}

func (c *collector) fetch(params url.Values) error {
	if c.typ != "Patient" {
		return c.s.Search(c.ctx, c.typ, params, c.take)
	}
	// The one Patient there is to find; nothing but the id goes out.
	it, err := c.s.Read(c.ctx, c.typ, c.patient)
	if errors.Is(err, upstream.ErrNotFound) {
		return nil
	}
	if err == nil {
		c.take(it)
	}
	return err
}

// take is called with each resource that comes, and says whether to go on.
func (c *collector) take(it upstream.Item) bool {
	c.entries++
	c.bytes += int64(len(it.Resource.Raw()))
	if c.entries > c.b.o.MaxEntries || c.bytes > c.b.o.MaxBytes {
		c.over = true
		return false
	}
	rel := upstream.Foreign
	if it.Resource.Type() == c.typ {
		rel = upstream.About(it.Resource, c.s.Bases(), c.patient)
	}
	if rel != upstream.Own && !guard.Off(guard.AccessPerson) {
		c.unclear = c.unclear || rel == upstream.Unclear
		c.f.drop()
		return c.ctx.Err() == nil
	}
	e, err := c.w.entry(it)
	if err != nil {
		c.broken = true
		return true
	}
	if !c.w.unsaved() && c.saver == nil {
		return c.f.put(c.ctx, e)
	}
	if c.saver == nil {
		c.saver = newSaver(c.ctx, c.f)
	}
	return c.saver.add(e, c.w.take())
}

// close waits until what was taken has been handed on.
func (c *collector) close() error {
	if c.saver != nil {
		if err := c.saver.close(); err != nil {
			return err
		}
	}
	switch {
	case c.ctx.Err() != nil:
		return fmt.Errorf("system %s: search %s: %w: %w", c.s.Name(), c.typ, upstream.ErrFailed, context.Cause(c.ctx))
	case c.over:
		return fmt.Errorf("system %s: search %s: more came than is read: %w", c.s.Name(), c.typ, upstream.ErrIncomplete)
	case c.unclear:
		return fmt.Errorf("system %s: search %s: an entry does not refer to its patient: %w", c.s.Name(), c.typ, upstream.ErrIncomplete)
	case c.broken:
		return fmt.Errorf("system %s: search %s: an entry could not be rewritten: %w", c.s.Name(), c.typ, upstream.ErrIncomplete)
	}
	return nil
}

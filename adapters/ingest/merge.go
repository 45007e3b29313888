package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/mappings"
)

// A Merger is a Linker that can be told that the source joined two Patients, or
// parted them again. It is told before the Patients are written and after every
// repeat, so that what holds for one person is never behind what is stored. Its
// error stops the run. kept says that something stronger than the source's word
// stands against it.
type Merger interface {
	Merge(ctx context.Context, survivor, loser string, joined bool, reason string) (kept bool, err error)
}

// A merging is what the merges of one record come to.
type merging struct {
	orders  flow.Orders
	work    map[string]*flow.Merged // what is known afterwards, by Patient
	before  map[string]*flow.Merged
	changed bool
}

// merges looks at what a record's merges would change. refused is the reason for
// which the record is rejected; nothing is written then.
func (p *Pipeline) merges(ctx context.Context, res *mappings.Result, received string) (mg *merging, refused bool, err error) {
	if len(res.Merges) == 0 {
		return nil, false, nil
	}
	mg = &merging{orders: flow.Orders{Version: res.Version, Digest: res.Digest, Received: received}}
	for i, m := range res.Merges {
		for _, end := range []string{m.Survivor, m.Loser} {
			foreign, err := p.foreign(ctx, end)
			if err != nil {
				return nil, false, err
			}
			if foreign {
				flow.Refuse(res, &flow.MergeError{Pair: i, Of: len(res.Merges), Err: flow.ErrMergeSystem})
				return nil, true, nil
			}
		}
		gone, err := p.gone(ctx, m)
		if err != nil {
			return nil, false, err
		}
		if gone {
			res.Issues = append(res.Issues, mappings.Issue{Severity: mappings.Information, Code: "merge-expunged", Pos: m.Pos, Message: "one of the two Patients was expunged: they are not linked"})
			continue
		}
		mg.orders.Merges = append(mg.orders.Merges, m)
	}
	err = p.applyOrders(ctx, mg)
	var bad *flow.MergeError
	if errors.As(err, &bad) && bad.Code() != "" {
		flow.Refuse(res, bad)
		return nil, true, nil
	}
	return mg, false, err
}

// applyOrders works out what is known afterwards, from what the facts hold now.
func (p *Pipeline) applyOrders(ctx context.Context, mg *merging) (err error) {
	mg.work, mg.before = map[string]*flow.Merged{}, map[string]*flow.Merged{}
	mg.changed, err = mg.orders.Apply(func(ref string) (*flow.Merged, error) {
		if mg.work[ref] == nil {
			p.guards.forget(ref) // another process may have written it
			g, _, err := p.guard(ctx, ref)
			if err != nil {
				return nil, err
			}
			mg.before[ref], mg.work[ref] = g.Merged.Clone(), g.Merged.Clone()
		}
		return mg.work[ref], nil
	})
	return err
}

// foreign says that a stored Patient came through another system. Its id may be
// the same, because both name its assigning authority; what one system says of
// persons still joins nothing of another.
func (p *Pipeline) foreign(ctx context.Context, ref string) (bool, error) {
	head, err := p.live(ctx, ref)
	return head != nil && head.Origin.System != p.Origin.System, err
}

// gone says that an end of a merge was expunged: a merge does not bring it back.
func (p *Pipeline) gone(ctx context.Context, m mappings.Merge) (bool, error) {
	for _, end := range []string{m.Survivor, m.Loser} {
		g, known, err := p.guard(ctx, end)
		if err != nil || known && g.Gone {
			return true, err
		}
	}
	return false, nil
}

// live reads a stored Patient; nil if there is none.
func (p *Pipeline) live(ctx context.Context, ref string) (*store.Record, error) {
	typ, id, _ := strings.Cut(ref, "/")
	head, err := p.Store.Read(ctx, store.Key{Type: typ, ID: id})
	if errors.Is(err, store.ErrNotFound) || err == nil && head.Deleted {
		return nil, nil
	}
	return head, err
}

// commit makes what is known of the merges durable, then looks again: if
// another process has meanwhile closed a cycle, it takes its own part back.
func (p *Pipeline) commit(ctx context.Context, mg *merging, res *mappings.Result) (refused bool, err error) {
	for ref, m := range mg.work {
		if err := p.setMerged(ctx, ref, func(known *flow.Merged) { known.Join(m) }); err != nil {
			return false, err
		}
	}
	err = mg.orders.Check(func(ref string) (*flow.Merged, error) {
		p.guards.forget(ref)
		g, _, err := p.guard(ctx, ref)
		return g.Merged.Clone(), err
	})
	var bad *flow.MergeError
	if !errors.As(err, &bad) || bad.Code() == "" {
		return false, err
	}
	for _, m := range mg.orders.Merges {
		for _, end := range [][2]string{{m.Survivor, m.Loser}, {m.Loser, m.Survivor}} {
			if err := p.setMerged(ctx, end[0], func(known *flow.Merged) { known.Reset(end[1], mg.before[end[0]]) }); err != nil {
				return false, err
			}
		}
	}
	flow.Refuse(res, bad)
	return true, nil
}

// mergesOnly leaves nothing of a record but its merges, because something newer
// of its own is stored.
func (u *unit) mergesOnly() {
	told := *u.res
	told.Resources = flow.Stubs(u.res)
	u.res, u.only = &told, true
}

// join makes a record's merges hold, up to the Patients, which are written with
// the record's resources. done says that there is nothing to write: a repeat.
func (p *Pipeline) join(ctx context.Context, m *flow.Mapped, u *unit, outcome flow.Outcome) (o flow.Outcome, done bool, err error) {
	mg := u.merging
	if mg.changed {
		if err := p.audit(ctx, Event{Kind: "merge", Source: m.Item.Pos.Source, Record: u.record}); err != nil {
			return 0, false, err
		}
	}
	if refused, err := p.commit(ctx, mg, m.Result); err != nil || refused {
		return flow.Rejected, refused, err
	}
	if err := p.tellMerges(ctx, mg, m.Result); err != nil {
		return 0, false, err
	}
	if !u.only {
		if mg.changed && outcome != flow.Created {
			outcome = flow.Updated
		}
		return outcome, false, nil
	}
	plan, err := u.plan(ctx, false)
	if err != nil {
		return 0, false, err
	}
	if len(plan) == 0 && !mg.changed {
		return outcome, true, p.remember(ctx, u.record, u.st, &u.next)
	}
	return flow.Updated, false, nil
}

// setMerged changes what is known of a Patient's merges.
func (p *Pipeline) setMerged(ctx context.Context, ref string, change func(*flow.Merged)) error {
	err := p.setGuard(ctx, ref, func(g *guard) {
		m := g.Merged.Clone()
		if change(m); len(m.Pairs) > 0 || g.Merged != nil {
			g.Merged = m
		}
	})
	if err != nil {
		return fmt.Errorf("keeping a merge: %w", err)
	}
	return nil
}

// tellMerges tells of a record's pairs who knows of persons.
func (p *Pipeline) tellMerges(ctx context.Context, mg *merging, res *mappings.Result) error {
	to, ok := p.Linker.(Merger)
	if !ok {
		return nil
	}
	for _, m := range mg.orders.Merges {
		kept, err := p.tellMerge(ctx, to, m.Survivor, m.Loser, mg.work[m.Loser].Joined(m.Survivor), res.Version)
		if err != nil {
			return err
		}
		if kept {
			res.Issues = append(res.Issues, mappings.Issue{Severity: mappings.Warning, Code: "merge-reviewed", Pos: m.Pos, Message: "a reviewer or a roster has decided otherwise about these two Patients: that stands"})
		}
	}
	return nil
}

func (p *Pipeline) tellMerge(ctx context.Context, to Merger, survivor, loser string, joined bool, version string) (bool, error) {
	reason := "merged by " + p.Origin.System
	if !joined {
		reason = "parted by " + p.Origin.System
	}
	if version != "" {
		reason += " at " + version
	}
	kept, err := to.Merge(ctx, survivor, loser, joined, reason)
	if err != nil {
		return false, fmt.Errorf("linking merged Patients: %w", err)
	}
	return kept, nil
}

// linkMerged links the Patients of a record's merges anew before the record is
// done: with one of them fewer or more, the rules may join others, or must not.
func (p *Pipeline) linkMerged(ctx context.Context, u *unit) error {
	if p.Linker == nil || u.merging == nil {
		return nil
	}
	for ref := range u.merging.work {
		head, err := p.live(ctx, ref)
		if err == nil && head != nil {
			err = p.Linker.Link(ctx, head)
		}
		if err != nil {
			return fmt.Errorf("linking merged Patients: %w", err)
		}
	}
	return nil
}

// tellAgain tells of the merges of a Patient whose links were forgotten.
func (p *Pipeline) tellAgain(ctx context.Context, person string, m *flow.Merged) error {
	to, ok := p.Linker.(Merger)
	if !ok || m == nil {
		return nil
	}
	for _, other := range m.Others() {
		if _, err := p.tellMerge(ctx, to, person, other, m.Joined(other), ""); err != nil {
			return err
		}
	}
	return nil
}

// imposed is a Patient as it is to be stored, with the links of its merges. How
// it is without them is kept first, so that it can be put back.
func (p *Pipeline) imposed(ctx context.Context, ref string, raw []byte) ([]byte, error) {
	g, _, err := p.guard(ctx, ref)
	if err != nil || g.Merged == nil {
		return raw, err
	}
	m := g.Merged.Clone()
	out, err := m.Impose(raw, p.identifierName)
	if err != nil {
		return nil, err
	}
	return out, p.setMerged(ctx, ref, func(known *flow.Merged) { known.Own = m.Own })
}

func (p *Pipeline) identifierName(s string) string { return p.hash("identifier", s)[:16] }

// form makes the stored form of a resource of the result, unless it is made.
func (u *unit) form(ctx context.Context, i int) error {
	x := u.res.Resources[i]
	if x.Type == "Patient" && !x.Owned && u.kin != nil {
		var err error
		if x.Raw, err = u.p.imposed(ctx, ref(&x), x.Raw); err != nil {
			return err
		}
	}
	if u.records[i].Raw != nil && bytes.Equal(u.records[i].Raw, x.Raw) {
		return nil
	}
	recs, problem := u.p.prepare(&mappings.Result{Resources: []mappings.Resource{x}}, u.origin, nil)
	if problem != nil {
		return errors.New(problem.Message)
	}
	u.records[i] = recs[0]
	return nil
}

// relink plans writes of the Patients that the record's merges change and that
// it does not tell of itself.
func (u *unit) relink(ctx context.Context, plan []planned) ([]planned, error) {
	if u.merging == nil {
		return nil, nil
	}
	var out []planned
	var refs []string
	for _, m := range u.merging.orders.Merges {
		refs = append(refs, m.Survivor, m.Loser)
	}
	slices.Sort(refs)
	for _, r := range slices.Compact(refs) {
		if slices.ContainsFunc(plan, func(w planned) bool { return w.Key.String() == r }) {
			continue
		}
		head, err := u.p.live(ctx, r)
		if err != nil {
			return nil, err
		}
		if head == nil {
			continue
		}
		rec, changed, err := u.p.relinked(ctx, head)
		if err != nil {
			return nil, err
		}
		if changed {
			out = append(out, planned{store.Write{Record: rec, Expect: head.Version}, relinked})
		}
	}
	return out, nil
}

// relinked is a stored Patient in line with its merges.
func (p *Pipeline) relinked(ctx context.Context, head *store.Record) (rec store.Record, changed bool, err error) {
	raw, err := p.imposed(ctx, head.Key.String(), head.Raw)
	if err != nil || bytes.Equal(raw, head.Raw) {
		return store.Record{}, false, err
	}
	rec, err = p.stamped(head, raw)
	return rec, true, err
}

// stamped is a stored resource with another text, of the same origin.
func (p *Pipeline) stamped(head *store.Record, raw []byte) (store.Record, error) {
	res := &mappings.Result{Resources: []mappings.Resource{{Type: head.Type, ID: head.ID, Raw: raw}}}
	recs, problem := p.prepare(res, head.Origin, nil)
	if problem != nil {
		return store.Record{}, errors.New(problem.Message)
	}
	return recs[0], nil
}

// partFrom takes an expunged Patient out of the others that it was merged with.
func (p *Pipeline) partFrom(ctx context.Context, person string, m *flow.Merged) error {
	if m == nil {
		return nil
	}
	for _, other := range m.Others() {
		for attempt := 0; ; attempt++ {
			err := p.partOne(ctx, person, other)
			if attempt >= maxAttempts || !errors.Is(err, store.ErrConflict) {
				if err != nil {
					return fmt.Errorf("taking an expunged Patient out of another: %w", err)
				}
				break
			}
		}
	}
	return nil
}

func (p *Pipeline) partOne(ctx context.Context, person, other string) error {
	p.guards.forget(other)
	g, known, err := p.guard(ctx, other)
	if err != nil || !known || g.Merged == nil {
		return err
	}
	left := g.Merged.Clone()
	head, err := p.live(ctx, other)
	if err != nil {
		return err
	}
	var stored int64
	if head == nil {
		delete(left.Pairs, person)
	} else {
		raw, err := left.Part(person, head.Raw, p.identifierName)
		if err != nil {
			return err
		}
		if !bytes.Equal(raw, head.Raw) {
			rec, err := p.stamped(head, raw)
			if err != nil {
				return err
			}
			w, err := p.Store.Write(ctx, store.Write{Record: rec, Expect: head.Version})
			if err != nil {
				return err
			}
			stored = w.Version
		}
	}
	return p.setGuard(ctx, other, func(g *guard) {
		if g.Merged != nil {
			g.Merged = g.Merged.Clone()
			delete(g.Merged.Pairs, person)
			if g.Merged.Own = left.Own; len(g.Merged.Pairs) == 0 {
				g.Merged = nil
			}
		}
		g.Stored = max(g.Stored, stored)
	})
}

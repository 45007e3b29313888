package ingest

import (
	"context"
	"errors"
	"fmt"
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
		p.guards.forget(end) // another process may have expunged it
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

package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/mappings"
)

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

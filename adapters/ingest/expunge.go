package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/mappings"
)

// expunge removes a record: its resources with their history, links, and the
// key of its raw text and rejects. A keyed hash of its key stays, so that an
// older export cannot bring it back. It can be repeated if it was interrupted:
// the state goes last.
func (p *Pipeline) expunge(ctx context.Context, m *flow.Mapped) (flow.Outcome, error) {
	key := m.Result.Key
	if key == "" {
		m.Result.Issues = append(m.Result.Issues, mappings.Issue{Severity: mappings.Error, Code: "no-key", Message: "an expunge order that does not name its record"})
		return flow.Rejected, nil
	}
	if err := p.forgetUnread(ctx, m, key); err != nil {
		return 0, fmt.Errorf("expunging rejects: %w", err)
	}
	record := p.recordHash(key)
	st, err := p.load(ctx, record)
	switch {
	case err != nil:
		return 0, err
	case st == nil:
		st = &recordState{Unknown: true, Expunged: p.now().UTC().Format(time.RFC3339)}
		if err := p.audit(ctx, Event{Kind: "expunge", Source: m.Item.Pos.Source, Record: record}); err != nil {
			return 0, err
		}
		if err := p.save(ctx, record, st); err != nil {
			return 0, fmt.Errorf("keeping the expunge: %w", err)
		}
		return p.unknown(m, "expunge-unknown"), nil
	case st.Unknown:
		return p.unknown(m, "expunge-unknown"), nil
	}
	return p.expungeRecord(ctx, m, record, st)
}

// unknown rejects an order that hits nothing: it may be meant for a record whose
// key it misspells.
func (p *Pipeline) unknown(m *flow.Mapped, code string) flow.Outcome {
	m.Result.Reason = code
	m.Result.Issues = append([]mappings.Issue{{Severity: mappings.Error, Code: code, Pos: m.Item.Pos,
		Message: "nothing is stored under the key that this row gives; if the key is misspelt, the record that is meant is still there"}}, m.Result.Issues...)
	return flow.Rejected
}

// group does what a result without a record's key asks for with all records of
// its scope.
func (p *Pipeline) group(ctx context.Context, m *flow.Mapped) (flow.Outcome, error) {
	if m.Result.Action == mappings.Expunge {
		if err := p.forgetUnread(ctx, m, m.Result.Scope); err != nil {
			return 0, fmt.Errorf("expunging rejects: %w", err)
		}
	}
	prefix, after := p.groupKey(m.Result.Scope), ""
	members, changed := 0, false
	for {
		facts, err := p.Facts.Scan(ctx, prefix, after, 100)
		if err != nil {
			return 0, err
		}
		for _, f := range facts {
			after = f.Key
			o, err := p.member(ctx, m, strings.TrimPrefix(f.Key, prefix))
			if err != nil {
				return 0, err
			}
			members++
			changed = changed || o == flow.Updated || o == flow.Created
		}
		if len(facts) < 100 {
			break
		}
	}
	switch {
	case members == 0:
		return p.unknown(m, m.Result.Action.String()+"-unknown"), nil
	case changed:
		return flow.Updated, nil
	}
	return flow.Duplicate, nil
}

// member does it with one record.
func (p *Pipeline) member(ctx context.Context, m *flow.Mapped, record string) (flow.Outcome, error) {
	st, err := p.load(ctx, record)
	if err != nil || st == nil {
		return flow.Duplicate, err
	}
	switch m.Result.Action {
	case mappings.Expunge:
		return p.expungeRecord(ctx, m, record, st)
	case mappings.Seal:
		return p.upsert(ctx, m, record)
	}
	return 0, fmt.Errorf("%s of a group is not known", m.Result.Action)
}

// expungeRecord expunges a record that is known.
func (p *Pipeline) expungeRecord(ctx context.Context, m *flow.Mapped, record string, st *recordState) (flow.Outcome, error) {
	if st.Expunged != "" {
		return flow.Duplicate, nil
	}
	if err := p.audit(ctx, Event{Kind: "expunge", Source: m.Item.Pos.Source, Record: record}); err != nil {
		return 0, err
	}
	for _, ref := range st.everOwned() {
		if err := p.remove(ctx, ref); err != nil {
			return 0, err
		}
		p.guards.forget(ref) // a Consent that was told with changes has one
		if err := p.Facts.Delete(ctx, p.factKey("res", ref)); err != nil && !errors.Is(err, store.ErrNotFound) {
			return 0, err
		}
	}
	for _, shared := range st.Shared {
		var err error
		if strings.HasPrefix(shared, "Patient/") {
			err = p.expungePerson(ctx, shared, record, m)
		} else {
			err = p.expungeShared(ctx, shared, record)
		}
		if err != nil {
			return 0, err
		}
	}
	for _, reject := range st.Rejects {
		if err := p.destroyKey(ctx, reject); err != nil {
			return 0, err
		}
	}
	gone := &recordState{Expunged: p.now().UTC().Format(time.RFC3339), fact: st.fact}
	if err := p.save(ctx, record, gone); err != nil {
		return 0, fmt.Errorf("keeping the expunge: %w", err)
	}
	return flow.Updated, nil
}

// everOwned lists the resources that any version of the record had of its own.
func (st *recordState) everOwned() []string {
	refs := slices.Clone(st.Former)
	for _, o := range st.Owned {
		refs = append(refs, o.Ref)
	}
	return refs
}

// expungeShared removes a resource other than a Patient, a Practitioner say, if
// no other record names it.
func (p *Pipeline) expungeShared(ctx context.Context, shared, record string) error {
	p.guards.forget(shared)
	g, known, err := p.guard(ctx, shared)
	if err != nil || !known {
		return err
	}
	mine := func(u use) bool { return u.Record == record }
	if !slices.ContainsFunc(g.Uses, mine) {
		return nil
	}
	if g.Many || len(g.Uses) > 1 {
		return p.setGuard(ctx, shared, func(g *guard) { g.Uses = slices.DeleteFunc(g.Uses, mine) })
	}
	if err := p.remove(ctx, shared); err != nil {
		return err
	}
	p.guards.forget(shared)
	return p.Facts.Delete(ctx, p.factKey("res", shared))
}

// remove takes a resource out of the store with everything about it.
func (p *Pipeline) remove(ctx context.Context, ref string) error {
	typ, id, _ := strings.Cut(ref, "/")
	k := store.Key{Type: typ, ID: id}
	if err := p.Store.Expunge(ctx, k); err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("expunging a %s: %w", typ, err)
	}
	if f, ok := p.Linker.(Forgetter); ok {
		if err := f.Forget(ctx, k); err != nil {
			return fmt.Errorf("expunging the links of a %s: %w", typ, err)
		}
	}
	return nil
}

// expungePerson removes what the record told about a Patient. If no other record
// names the Patient it goes; else it is put back as the newest of the others
// told it, without history.
func (p *Pipeline) expungePerson(ctx context.Context, person, record string, m *flow.Mapped) error {
	p.guards.forget(person)
	g, known, err := p.guard(ctx, person)
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(slices.Clone(g.Uses), func(u use) bool { return u.Record == record })
	if known && len(others) == len(g.Uses) {
		return nil // the record named the Patient in a merge, and told nothing of it
	}
	if !slices.ContainsFunc(others, func(u use) bool { return !u.Stub }) {
		others = nil // merges do not keep a person
	}
	var best *use
	for i := range others {
		u := &others[i]
		if u.Stored > 0 && (best == nil || u.Version > best.Version || u.Version == best.Version && u.Digest > best.Digest) {
			best = u
		}
	}
	var keep *store.Record
	typ, id, _ := strings.Cut(person, "/")
	if best != nil {
		keep, err = p.Store.ReadVersion(ctx, store.Key{Type: typ, ID: id}, best.Stored)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	var left mappings.Slots
	if len(g.Slots) > 0 {
		if keep, left, err = p.without(ctx, person, &g, others); err != nil {
			return err
		}
		if best = nil; keep != nil {
			sum := flow.Digest(keep.Raw)
			best = &use{Version: left.Newest(), Digest: sum}
		}
	}
	if err := p.remove(ctx, person); err != nil {
		return err
	}
	next := guard{Merged: g.Merged}
	if keep != nil {
		if next, err = p.putBack(ctx, keep, best, others); err != nil {
			return err
		}
		if err := p.tellAgain(ctx, person, g.Merged); err != nil {
			return err
		}
	} else if len(others) > 0 {
		m.Result.Issues = append(m.Result.Issues, mappings.Issue{Severity: mappings.Warning, Code: "person-removed", Message: "the Patient was known from the expunged record alone; other records of the person need to be sent again"})
	}
	if !known {
		return nil
	}
	if len(others) == 0 {
		if err := p.partFrom(ctx, person, g.Merged); err != nil {
			return err
		}
		return p.setGuard(ctx, person, func(g *guard) { *g = guard{Gone: true, fact: g.fact} })
	}
	for i := range others {
		if others[i].Digest != next.Digest {
			others[i].Stored = 0 // that version is gone with the history
		}
	}
	return p.setGuard(ctx, person, func(g *guard) {
		next.fact, next.Uses, next.Slots, next.Seals, next.Merged = g.fact, others, left, g.Seals, g.Merged
		*g = next
	})
}

// putBack writes a Patient anew.
func (p *Pipeline) putBack(ctx context.Context, keep *store.Record, from *use, others []use) (guard, error) {
	raw, err := p.imposed(ctx, keep.Key.String(), keep.Raw) // the merges of today, not of then
	if err != nil {
		return guard{}, err
	}
	rec, err := p.stamped(keep, raw)
	if err != nil {
		return guard{}, err
	}
	w, err := p.Store.Write(ctx, store.Write{Record: rec, Expect: store.Absent})
	if err != nil {
		return guard{}, fmt.Errorf("putting a Patient back: %w", err)
	}
	for i := range others {
		if others[i].Digest == from.Digest {
			others[i].Stored = w.Version
		}
	}
	r := flow.Told(&mappings.Resource{Type: keep.Type, Raw: keep.Raw})
	return guard{Version: from.Version, Digest: from.Digest, Stored: w.Version, Restrictions: r, By: from.Record}, nil
}

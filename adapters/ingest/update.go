package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/mappings"
)

// A record that says only what changes (docs/adr/0024) is merged, slot by slot,
// with what is known of its resources. What the record itself has said stands in
// its state: of a resource of its own that is all there is, of a shared one its
// part, so that an expunge can take it out. What all records have said of a
// shared resource stands in the resource's guard.

// update merges such a record: its resources become what is known with it. idle
// says that it tells nothing new at all.
func (u *unit) update(ctx context.Context) (o flow.Outcome, idle bool, err error) {
	st := u.st
	known := st != nil && st.Digest != ""
	u.next = flow.Known{Version: u.res.Version, Digest: u.res.Digest, Restrictions: flow.Sealing(u.res)}
	if known {
		u.next.Version = max(st.Version, u.res.Version)
		u.next.Restrictions |= st.Restrictions
	}
	if u.next.Restrictions != 0 {
		u.next.Held = u.next.Version
	}
	u.told = map[string]mappings.Slots{}
	if st != nil {
		maps.Copy(u.told, st.Slots)
	}
	most, idle := mappings.Nothing, known && u.next.Restrictions == st.Restrictions
	for i := range u.res.Resources {
		x := &u.res.Resources[i]
		c, moved, err := u.merge(ctx, x)
		if err != nil {
			return 0, false, err
		}
		most = max(most, c)
		if x.Slots != nil {
			said := u.told[ref(x)].Merge(x.Slots)
			moved = moved || !said.Equal(u.told[ref(x)])
			u.told[ref(x)] = said
		}
		idle = idle && !moved
	}
	if !idle && most != mappings.Different && u.next.Restrictions != 0 && st != nil && u.next.Restrictions != st.Restrictions {
		most = mappings.Different
	}
	return flow.OutcomeOf(most, known), idle, nil
}

// merge makes a resource what all that is known comes to. moved says that what
// is known has changed, if only in its times.
func (u *unit) merge(ctx context.Context, x *mappings.Resource) (c mappings.Change, moved bool, err error) {
	if x.Slots == nil { // told as a whole
		_, _, newer, err := u.known(ctx, x)
		if newer && x.Type != "Provenance" {
			c = mappings.Different
		}
		return c, newer, err
	}
	known, stored, seals, err := u.slots(ctx, x)
	if err != nil {
		return 0, false, err
	}
	if x.Owned || x.Type == "Patient" {
		seals |= u.next.Restrictions
	}
	next, c, err := flow.Merge(x, known, seals)
	if err != nil {
		return 0, false, err
	}
	x.SourceVersion = next.Newest()
	if x.Digest != stored { // also where a run was interrupted
		c = mappings.Different
	} else if c == mappings.Different {
		c = mappings.Known
	}
	if u.merged == nil {
		u.merged = map[string]mappings.Slots{}
	}
	u.merged[ref(x)] = next
	return c, c == mappings.Different || !next.Equal(known), nil
}

// slots are what is known of a resource, the digest of what is stored of it, and
// what seals it.
func (u *unit) slots(ctx context.Context, x *mappings.Resource) (mappings.Slots, string, flow.Restrictions, error) {
	if !x.Owned {
		g, _, err := u.p.guard(ctx, ref(x))
		if g.Stored == 0 {
			g.Digest = ""
		}
		return g.Slots, g.Digest, g.Seals, err
	}
	if u.st == nil {
		return nil, "", 0, nil
	}
	if u.again { // what is stored may be of an attempt that did not know all
		head, err := u.p.Store.Read(ctx, store.Key{Type: x.Type, ID: x.ID})
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, "", 0, err
		}
		if err == nil && !head.Deleted {
			for i := range u.st.Owned {
				if o := &u.st.Owned[i]; o.Ref == ref(x) {
					o.Digest, o.Version = flow.Digest(head.Raw), head.Version
				}
			}
		}
	}
	stored := ""
	for _, o := range u.st.Owned {
		if o.Ref == ref(x) {
			stored = o.Digest
		}
	}
	return u.st.Slots[ref(x)], stored, u.st.Restrictions, nil
}

// hasGuard says whether a resource's version stands in a guard: it is shared, or a
// record that says only what changes tells it as a whole.
func (u *unit) hasGuard(x *mappings.Resource) bool {
	return !x.Owned || u.res.Partial && x.Slots == nil
}

// add takes a record's slots into a guard. behind says that another process has
// told of the resource meanwhile: what was stored lacks that.
func (u *unit) add(g *guard, x *mappings.Resource) (behind bool) {
	if x.Slots == nil {
		return false
	}
	g.Slots = g.Slots.Merge(x.Slots)
	if x.Type == "Patient" {
		g.Seals |= u.next.Restrictions
	}
	return !g.Slots.Equal(u.merged[ref(x)])
}

// carried lists what a record owns and this version of it does not name: a
// record that says only what changes leaves it.
func (u *unit) carried() []owned {
	var out []owned
	for _, o := range u.st.Owned {
		if !slices.ContainsFunc(u.owned, func(have owned) bool { return have.Ref == o.Ref }) {
			out = append(out, o)
		}
	}
	return out
}

// without puts a shared resource together anew from what records other than the
// expunged one have said of it; nil if they have said nothing.
func (p *Pipeline) without(ctx context.Context, ref string, g *guard, others []use) (*store.Record, mappings.Slots, error) {
	typ, id, _ := strings.Cut(ref, "/")
	k := store.Key{Type: typ, ID: id}
	var left mappings.Slots
	for _, o := range others {
		st, err := p.load(ctx, o.Record)
		if err != nil {
			return nil, nil, err
		}
		if st != nil && st.Expunged == "" {
			left = left.Merge(st.Slots[ref])
		}
	}
	if len(left) == 0 {
		return nil, nil, nil
	}
	head, err := p.Store.Read(ctx, k)
	if errors.Is(err, store.ErrNotFound) { // an expunge that was interrupted
		head, err = &store.Record{Key: k, Origin: p.Origin}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	raw, err := left.Assemble(k.Type, k.ID)
	if err == nil && g.Seals != 0 {
		raw, err = flow.Restrict(k.Type, raw, g.Seals)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("putting a %s together: %w", k.Type, err)
	}
	keep := *head
	keep.Raw = bytes.Clone(raw)
	return &keep, left, nil
}

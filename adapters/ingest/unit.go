package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/mappings"
)

// A unit is what one record writes: all of it or nothing.
type unit struct {
	p       *Pipeline
	res     *mappings.Result
	st      *recordState
	next    flow.Known     // of the record, once it is stored
	records []store.Record // of res.Resources, prepared
	record  string         // keyed hash of the record's key
	origin  resource.Origin
	merging *merging // nil: the record merges nobody
	// only says that nothing of the record counts but its merges: something
	// newer of its own is stored.
	only bool
	late bool         // a replay that comes too late
	kin  *flow.Merged // of the Patient that is planned: its merges

	// Of a record that says only what changes: what is known of each resource
	// with it, and what the record itself has said of it so far.
	merged, told map[string]mappings.Slots
	behind       atomic.Bool // somebody else told of a resource meanwhile, or expunged it
	again        bool        // a first attempt may have written something

	owned      []owned         // the record's resources after the write
	stands     map[string]bool // shared resources that are not written, because they are stored as they are
	written    []*store.Record
	found      []*store.Record  // that an interrupted run has written
	versions   map[string]int64 // in the store, of what was written
	sealed     []*store.Record  // Patients that were restricted as they stood
	relinked   []*store.Record  // Patients whose links changed and nothing else
	issues     []mappings.Issue
	linkIssues *[]mappings.Issue // of all attempts
}

const maxAttempts = 30

// A planned write knows the resource of the result that it is for, or why else
// it is written.
type planned struct {
	store.Write
	i int
}

const (
	vanished = -1 // the record told of it before
	relinked = -2 // a Patient that is merged with one of the record
)

// store writes the unit by compare-and-set. If somebody else was faster it looks
// at the stored heads and tries again.
func (u *unit) store(ctx context.Context) error {
	for attempt := range maxAttempts {
		plan, err := u.plan(ctx, attempt > 0)
		if err != nil {
			return err
		}
		ws := make([]store.Write, len(plan))
		for i := range plan {
			ws[i] = plan[i].Write
		}
		u.written = nil
		if len(ws) > 0 {
			u.written, err = u.p.units.write(ctx, ws)
		}
		if err == nil {
			u.after(plan)
			return nil
		}
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) {
			return fmt.Errorf("storing: %w", err)
		}
		for i := range plan {
			u.p.guards.forget(plan[i].Key.String())
		}
		select {
		case <-time.After(time.Duration(rand.IntN(1+2*attempt)) * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("storing: gave up after %d conflicts: %w", maxAttempts, store.ErrConflict)
}

// plan decides what to write. look says to read the stored heads, because what
// is remembered about them was wrong.
func (u *unit) plan(ctx context.Context, look bool) ([]planned, error) {
	u.owned, u.issues, u.found, u.stands = nil, nil, nil, map[string]bool{}
	var plan []planned
	for i := range u.res.Resources {
		x := &u.res.Resources[i]
		if look && x.Slots != nil && !x.Owned {
			if _, _, err := u.merge(ctx, x); err != nil {
				return nil, err
			}
			u.records[i].Raw = nil
		}
		known, stored, newer, err := u.known(ctx, x)
		if err != nil {
			return nil, err
		}
		if known && !newer {
			if !u.hasGuard(x) {
				u.owned = append(u.owned, owned{ref(x), x.Digest, stored})
			} else {
				u.stands[ref(x)] = stored > 0
			}
			continue
		}
		if err := u.form(ctx, i); err != nil {
			return nil, err
		}
		expect, skip, err := u.expect(ctx, i, known, stored, look)
		if err != nil {
			return nil, err
		}
		if skip {
			continue
		}
		if expect != store.Absent {
			if err := u.stayPart2(ctx, i); err != nil {
				return nil, err
			}
		}
		plan = append(plan, planned{store.Write{Record: u.records[i], Expect: expect}, i})
	}
	if !u.only {
		gone, err := u.vanished(ctx, look)
		if err != nil {
			return nil, err
		}
		plan = append(plan, gone...)
	}
	links, err := u.relink(ctx, plan)
	return append(plan, links...), err
}

// known is what is remembered of a resource: of an owned one by its record, of a
// shared one by its guard. newer says whether it is to be replaced.
func (u *unit) known(ctx context.Context, x *mappings.Resource) (known bool, stored int64, newer bool, err error) {
	if !u.hasGuard(x) {
		for _, o := range u.st.Owned {
			if o.Ref == ref(x) {
				return true, o.Version, o.Digest != x.Digest, nil
			}
		}
		return false, 0, true, nil
	}
	g, known, err := u.p.guard(ctx, ref(x))
	u.kin = g.Merged
	switch {
	case err == nil && x.Stub && known && (g.Gone || g.Stored > 0):
		return true, g.Stored, false, nil
	case !known || g.Stored == 0:
		return false, 0, true, err
	case g.Stub:
		return true, g.Stored, true, nil
	}
	if !u.p.asOf.IsZero() && x.SourceVersion == "" && flow.Of(x)&^g.Restrictions == 0 {
		return true, g.Stored, false, nil // a replay without a time tells nothing newer
	}
	if x.Slots != nil {
		return true, g.Stored, g.Digest != x.Digest, nil
	}
	newer, _ = flow.Replaces(x, u.record, flow.Shared{Version: g.Version, Digest: g.Digest, Restrictions: g.Restrictions, By: g.By})
	return true, g.Stored, newer, err
}

// expect says which version the store must hold. skip: leave the stored one.
func (u *unit) expect(ctx context.Context, i int, known bool, stored int64, look bool) (expect int64, skip bool, err error) {
	if !look {
		if known {
			return stored, false, nil
		}
		return store.Absent, false, nil
	}
	x := &u.res.Resources[i]
	head, err := u.p.Store.Read(ctx, u.records[i].Key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.Absent, false, nil
	case err != nil:
		return 0, false, err
	case head.Deleted:
		return store.Absent, false, nil
	case bytes.Equal(head.Raw, u.records[i].Raw): // an interrupted run has written it
		u.found = append(u.found, head)
		if !u.hasGuard(x) {
			u.owned = append(u.owned, owned{ref(x), x.Digest, head.Version})
			return 0, true, nil
		}
		return 0, true, u.p.setGuard(ctx, ref(x), func(g *guard) {
			if g.Stored < head.Version {
				g.told(x, u.record, head.Version)
			}
		})
	case x.Stub:
		return 0, true, nil // somebody knows more
	case x.Type == "Consent" && (!known || head.Version != stored):
		// Somebody changed the consent here, perhaps to revoke it. An export
		// must not undo that.
		u.issues = append(u.issues, mappings.Issue{Severity: mappings.Warning, Code: "consent-changed-here", Message: "a Consent was changed on this server since; the source's version was not applied"})
		if x.Owned {
			u.owned = append(u.owned, owned{ref(x), x.Digest, head.Version})
		}
		return 0, true, nil
	}
	return head.Version, false, nil
}

// vanished deals with resources of the record's last version that this one does
// not have: deleted, or, if the record is sealed, restricted. A Consent stays:
// that an export no longer mentions it withdraws nothing.
func (u *unit) vanished(ctx context.Context, look bool) ([]planned, error) {
	var plan []planned
	last, err := u.lastTold(ctx)
	if err != nil {
		return nil, err
	}
	before := u.st.Owned
	if u.res.Partial && u.res.Action != mappings.Seal {
		before = nil // what it does not name stays
	}
	for _, o := range append(last, before...) {
		if u.names(o.Ref) {
			continue
		}
		typ, id, _ := strings.Cut(o.Ref, "/")
		k := store.Key{Type: typ, ID: id}
		sealed := u.res.Action == mappings.Seal
		if typ == "Consent" && !sealed {
			u.owned = append(u.owned, o)
			continue
		}
		expect := o.Version
		var raw []byte
		origin := u.origin
		if look || sealed {
			head, err := u.p.Store.Read(ctx, k)
			if errors.Is(err, store.ErrNotFound) || err == nil && head.Deleted {
				continue
			}
			if err != nil {
				return nil, err
			}
			expect, raw = head.Version, head.Raw
			origin.Part2 = origin.Part2 || head.Origin.Part2
		}
		rec := store.Record{Key: k, Origin: origin, Deleted: true}
		if sealed {
			var err error
			if rec, err = u.restrict(k, raw, origin); err != nil {
				return nil, err
			}
		}
		plan = append(plan, planned{store.Write{Record: rec, Expect: expect}, vanished})
	}
	return plan, nil
}

// lastTold lists, for a seal that does not name them, the Patients that no other
// record has told of since.
func (u *unit) lastTold(ctx context.Context) ([]owned, error) {
	var out []owned
	if u.res.Action != mappings.Seal {
		return nil, nil
	}
	for _, person := range u.st.Shared {
		if u.names(person) || !strings.HasPrefix(person, "Patient/") {
			continue
		}
		g, known, err := u.p.guard(ctx, person)
		if err != nil {
			return nil, err
		}
		if known && g.By == u.record {
			out = append(out, owned{person, g.Digest, g.Stored})
		}
	}
	return out, nil
}

func (u *unit) names(r string) bool {
	return slices.ContainsFunc(u.res.Resources, func(x mappings.Resource) bool { return ref(&x) == r })
}

// restrict gives a stored resource the security labels of the sealed record.
func (u *unit) restrict(k store.Key, raw []byte, origin resource.Origin) (store.Record, error) {
	edited, err := flow.Restrict(k.Type, raw, u.next.Restrictions)
	if err != nil {
		return store.Record{}, fmt.Errorf("%w: %s: %w", store.ErrDamaged, k, err)
	}
	res := &mappings.Result{Resources: []mappings.Resource{{Type: k.Type, ID: k.ID, Raw: edited}}}
	recs, problem := u.p.prepare(res, origin, nil)
	if problem != nil {
		return store.Record{}, errors.New(problem.Message)
	}
	return recs[0], nil
}

// after notes what was written.
func (u *unit) after(plan []planned) {
	u.versions, u.sealed, u.relinked = map[string]int64{}, nil, nil
	for i, w := range u.written {
		u.versions[w.Key.String()] = w.Version
		switch {
		case plan[i].i >= 0 || w.Deleted:
		case plan[i].i == relinked:
			u.relinked = append(u.relinked, w)
		case w.Type == "Patient":
			u.sealed = append(u.sealed, w)
		default: // restricted: it stays the record's
			u.owned = append(u.owned, owned{w.Key.String(), "", w.Version})
		}
	}
	for i := range u.res.Resources {
		x := &u.res.Resources[i]
		if v, wrote := u.versions[ref(x)]; x.Owned && wrote {
			u.owned = append(u.owned, owned{ref(x), x.Digest, v})
		}
	}
	if u.res.Partial {
		u.owned = append(u.owned, u.carried()...)
	}
}

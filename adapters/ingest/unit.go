package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/mappings"
)

// A unit is what one record writes: all of it or nothing.
type unit struct {
	p       *Pipeline
	res     *mappings.Result
	st      *recordState
	records []store.Record // of res.Resources, prepared
	record  string         // keyed hash of the record's key

	owned      []owned // the record's resources after the write
	written    []*store.Record
	versions   map[string]int64 // in the store, of what was written
	issues     []mappings.Issue
	linkIssues []mappings.Issue
}

const maxAttempts = 30

// A planned write knows the resource that it is for; i < 0: none of the result.
type planned struct {
	store.Write
	i int
}

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
			u.written, err = u.p.Store.Apply(ctx, ws)
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
	u.owned, u.issues = nil, nil
	var plan []planned
	for i := range u.res.Resources {
		x := &u.res.Resources[i]
		known, version, digest, stored, err := u.known(ctx, x)
		if err != nil {
			return nil, err
		}
		if known && !x.Supersedes(version, digest) && !(x.Owned && x.Digest != digest) {
			if x.Owned {
				u.owned = append(u.owned, owned{ref(x), digest, stored})
			}
			continue
		}
		expect, skip, err := u.expect(ctx, i, known, stored, look)
		if err != nil {
			return nil, err
		}
		if skip {
			continue
		}
		plan = append(plan, planned{store.Write{Record: u.records[i], Expect: expect}, i})
	}
	gone, err := u.vanished(ctx, look)
	return append(plan, gone...), err
}

// known is what is remembered of a resource: of an owned one by its record, of a
// shared one by its guard.
func (u *unit) known(ctx context.Context, x *mappings.Resource) (known bool, version, digest string, stored int64, err error) {
	if x.Owned {
		for _, o := range u.st.Owned {
			if o.Ref == ref(x) {
				return true, u.st.Version, o.Digest, o.Version, nil
			}
		}
		return false, "", "", 0, nil
	}
	g, known, err := u.p.guard(ctx, ref(x))
	if !known || g.Stored == 0 {
		return false, "", "", 0, err
	}
	return true, g.Version, g.Digest, g.Stored, err
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
	case bytes.Equal(head.Raw, x.Raw): // an interrupted run has written it
		if x.Owned {
			u.owned = append(u.owned, owned{ref(x), x.Digest, head.Version})
			return 0, true, nil
		}
		return 0, true, u.p.setGuard(ctx, ref(x), func(g *guard) {
			if g.Stored < head.Version {
				g.Version, g.Digest, g.Stored = x.SourceVersion, x.Digest, head.Version
			}
		})
	case x.Type == "Consent" && (!known || head.Version != stored):
		// Somebody changed the consent here, perhaps to revoke it. An export
		// must not undo that.
		u.issues = append(u.issues, mappings.Issue{Severity: mappings.Warning, Code: "consent-changed-here", Message: "a Consent was changed on this server since; the source's version was not applied"})
		u.owned = append(u.owned, owned{ref(x), x.Digest, head.Version})
		return 0, true, nil
	}
	return head.Version, false, nil
}

// vanished deals with resources of the record's last version that this one does
// not have: deleted, or, if the record is sealed, restricted. A Consent stays:
// that an export no longer mentions it withdraws nothing.
func (u *unit) vanished(ctx context.Context, look bool) ([]planned, error) {
	var plan []planned
	for _, o := range u.st.Owned {
		if slices.ContainsFunc(u.res.Resources, func(x mappings.Resource) bool { return ref(&x) == o.Ref }) {
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
		if look || sealed {
			head, err := u.p.Store.Read(ctx, k)
			if errors.Is(err, store.ErrNotFound) || err == nil && head.Deleted {
				continue
			}
			if err != nil {
				return nil, err
			}
			expect, raw = head.Version, head.Raw
		}
		rec := store.Record{Key: k, Origin: u.p.Origin, Deleted: true}
		if sealed {
			var err error
			if rec, err = u.restrict(k, raw); err != nil {
				return nil, err
			}
		}
		plan = append(plan, planned{store.Write{Record: rec, Expect: expect}, -1})
	}
	return plan, nil
}

// restrict gives a stored resource the security labels of the sealed record.
func (u *unit) restrict(k store.Key, raw []byte) (store.Record, error) {
	r, err := resource.Parse(raw)
	if err != nil {
		return store.Record{}, fmt.Errorf("%w: %s: %w", store.ErrDamaged, k, err)
	}
	security := []byte(`[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"V"}]`)
	for i := range u.records {
		if x, err := resource.Parse(u.records[i].Raw); err == nil {
			if s := x.Root().Path("meta", "security"); s.Len() > 0 {
				security = s.Raw()
				break
			}
		}
	}
	e := r.Edit()
	if meta := r.Root().Get("meta"); meta.Exists() {
		e.Set(meta, "security", security)
	} else {
		e.Set(r.Root(), "meta", append(append([]byte(`{"security":`), security...), '}'))
	}
	res := &mappings.Result{Resources: []mappings.Resource{{Type: k.Type, ID: k.ID, Raw: e.Bytes()}}}
	recs, problem := u.p.prepare(res)
	if problem != nil {
		return store.Record{}, errors.New(problem.Message)
	}
	return recs[0], nil
}

// after notes what was written.
func (u *unit) after(plan []planned) {
	u.versions = map[string]int64{}
	for i, w := range u.written {
		u.versions[w.Key.String()] = w.Version
		if plan[i].i < 0 && !w.Deleted { // restricted: it stays the record's
			u.owned = append(u.owned, owned{w.Key.String(), "", w.Version})
		}
	}
	for i := range u.res.Resources {
		x := &u.res.Resources[i]
		if v, wrote := u.versions[ref(x)]; x.Owned && wrote {
			u.owned = append(u.owned, owned{ref(x), x.Digest, v})
		}
	}
}

// noteGuards brings the guards of shared resources up to date, side by side.
func (u *unit) noteGuards(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for i := range u.res.Resources {
		x := &u.res.Resources[i]
		v, wrote := u.versions[ref(x)]
		if x.Owned || !wrote && x.Type != "Patient" {
			continue
		}
		g.Go(func() error {
			if err := u.guarded(ctx, x, v, wrote); err != nil {
				return fmt.Errorf("keeping the guard of a %s: %w", x.Type, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// guarded notes a shared resource's version; for a Patient also who names it.
func (u *unit) guarded(ctx context.Context, x *mappings.Resource, stored int64, wrote bool) error {
	return u.p.setGuard(ctx, ref(x), func(g *guard) {
		if wrote && g.Stored < stored {
			g.Version, g.Digest, g.Stored = x.SourceVersion, x.Digest, stored
		} else if g.Digest == x.Digest {
			g.Version = max(g.Version, x.SourceVersion)
		}
		if x.Type != "Patient" {
			return
		}
		mine := use{Record: u.record, Version: x.SourceVersion, Digest: x.Digest}
		for _, other := range g.Uses {
			if other.Digest == x.Digest {
				mine.Stored = other.Stored
			}
		}
		if g.Digest == x.Digest {
			mine.Stored = g.Stored
		}
		g.Uses = slices.DeleteFunc(g.Uses, func(o use) bool { return o.Record == u.record })
		g.Uses = append(g.Uses, mine)
	})
}

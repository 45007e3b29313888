package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/mappings"
)

// noteGuards brings the guards of shared resources up to date, side by side.
func (u *unit) noteGuards(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if u.st.fact.Key == "" { // a new record: its groups do not change
		for _, group := range u.res.Groups {
			if group == "" {
				continue
			}
			g.Go(func() error {
				_, err := u.p.Facts.PutIfAbsent(ctx, u.p.groupKey(group)+u.record, nil, time.Time{})
				if err != nil && !errors.Is(err, store.ErrExists) {
					return fmt.Errorf("keeping the record's group: %w", err)
				}
				return nil
			})
		}
	}
	for _, w := range u.sealed {
		g.Go(func() error {
			return u.p.setGuard(ctx, w.Key.String(), func(g *guard) {
				if g.Stored < w.Version {
					g.Stored, g.Version, g.Digest = w.Version, max(g.Version, u.next.Version), "sealed "+g.Digest
					g.Restrictions |= u.next.Restrictions
					g.Seals |= u.next.Restrictions
				}
			})
		})
	}
	for _, w := range u.relinked {
		g.Go(func() error {
			return u.p.setGuard(ctx, w.Key.String(), func(g *guard) { g.Stored = max(g.Stored, w.Version) })
		})
	}
	for i := range u.res.Resources {
		x := &u.res.Resources[i]
		v, wrote := u.versions[ref(x)]
		if !u.hasGuard(x) {
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

// told notes a version of a shared resource that is stored.
func (g *guard) told(x *mappings.Resource, record string, stored int64) {
	g.Version, g.Digest, g.Stored, g.By = x.SourceVersion, x.Digest, stored, record
	g.Restrictions, g.Stub, g.Gone = flow.Told(x), x.Stub, false
}

// use notes that a record names a resource that is no Patient.
func (g *guard) use(record string) {
	switch {
	case g.Many || slices.ContainsFunc(g.Uses, func(o use) bool { return o.Record == record }):
	case len(g.Uses) >= maxUses:
		g.Many = true
	default:
		g.Uses = append(g.Uses, use{Record: record})
	}
}

// guarded notes a shared resource's version; for a Patient also who names it.
func (u *unit) guarded(ctx context.Context, x *mappings.Resource, stored int64, wrote bool) error {
	return u.p.setGuard(ctx, ref(x), func(g *guard) {
		if u.add(g, x) || u.stands[ref(x)] && g.Stored == 0 {
			u.behind.Store(true)
		}
		if wrote && g.Stored < stored {
			g.told(x, u.record, stored)
		} else if g.Digest == x.Digest && !x.Stub {
			k := flow.Shared{Version: g.Version, By: g.By}
			k.Repeat(x.SourceVersion, u.record)
			g.Version, g.By = k.Version, k.By
		}
		if x.Type != "Patient" {
			g.use(u.record)
			return
		}
		if x.Stub && !g.Stub {
			return // it told nothing of the Patient
		}
		mine := use{Record: u.record, Version: x.SourceVersion, Digest: x.Digest, Stub: x.Stub}
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

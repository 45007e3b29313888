package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/identity"
)

// locateExplain finds the person, by a Patient that is the caller's own. A
// Patient of somebody else is nobody, so that a link is not found out.
func locateExplain(ctx context.Context, s *Server, x *exchange) error {
	own, err := s.ownPatient(ctx, x, x.explain.patient)
	if err != nil {
		return err
	}
	ref := nobody
	if own {
		ref = x.explain.patient
	}
	if x.person, err = s.gatherer.Person(ctx, ref); err != nil {
		return err
	}
	x.note(x.explain.patient)
	return nil
}

// ownPatient says whether the Patient is kept by the caller's organisation.
func (s *Server) ownPatient(ctx context.Context, x *exchange, ref string) (bool, error) {
	id := strings.TrimPrefix(ref, "Patient/")
	if s.o.IDs.IsOpaque(id) {
		key, _, ok, err := s.o.IDs.Resolve(ctx, "Patient", id)
		if err != nil || !ok {
			return false, err
		}
		return s.keeps(x, key), nil
	}
	rec, err := s.o.Store.Read(ctx, store.Key{Type: "Patient", ID: id})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	return !rec.Deleted && rec.Origin.Custodian == x.principal.Requester.Organization, nil
}

// keeps says whether the caller's organisation is the custodian of what a
// connected system has.
func (s *Server) keeps(x *exchange, system string) bool {
	o, ok := s.o.Directory.Origin(system)
	return ok && o.Custodian == x.principal.Requester.Organization
}

// gatherExplain collects the organisation's own resources of the person: from
// the own store and from its own systems, and the Consents that those keep.
// Nobody else's system is asked for a resource.
func gatherExplain(ctx context.Context, s *Server, x *exchange) error {
	if x.person.Is(nobody) {
		return nil
	}
	st, err := s.stand(ctx, x, x.person)
	if err != nil {
		return err
	}
	var targets []identity.Target
	for _, t := range x.person.Targets {
		if s.keeps(x, t.System) {
			targets = append(targets, t)
			x.asks(t.System)
		}
	}
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, typ := range x.explain.types {
		a, err := s.askingOwn(typ, x.person.References)
		if err != nil {
			return err
		}
		serving := slices.DeleteFunc(slices.Clone(targets), func(t identity.Target) bool { return !s.serves(t.System, typ) })
		g.Go(func() error {
			mine, err := s.ownMatches(gctx, a)
			if err != nil {
				return err
			}
			theirs, err := s.askedMatches(gctx, x, a, serving)
			mu.Lock()
			defer mu.Unlock()
			x.explain.take(x, append(mine, theirs...))
			return err
		})
	}
	g.Go(func() error { return s.bring(gctx, x, st, x.event.Systems) })
	if err := g.Wait(); err != nil {
		return err
	}
	x.resetSessions()
	found := x.explain.found
	if len(found) > maxExplained {
		return outcome.TooCostly("there are more than %d resources to explain: ask for fewer types, or for resources by name", maxExplained)
	}
	slices.SortFunc(found, func(a, b *candidate) int { return strings.Compare(a.reference(), b.reference()) })
	return nil
}

// askingOwn is the search for all of a person's resources of a type; a Patient
// is found by its id.
func (s *Server) askingOwn(typ string, references []string) (asking, error) {
	if typ != "Patient" {
		return s.askingFor(typ, references)
	}
	var ids []string
	for _, ref := range references {
		ids = append(ids, strings.TrimPrefix(ref, "Patient/"))
	}
	params := []search.Param{{Name: "_id", Value: strings.Join(ids, ",")}}
	q, err := search.Parse(typ, params, s.search)
	return asking{typ, q, params}, err
}

// take keeps what is the caller's organisation's own and was asked for.
func (e *explaining) take(x *exchange, cs []*candidate) {
	for _, c := range cs {
		if c.origin.Custodian != x.principal.Requester.Organization || e.named != nil && !e.named[c.reference()] {
			continue
		}
		e.found = append(e.found, c)
	}
}

package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/epoch"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/identity"
	launches "github.com/handoff-health/handoff/gateway/launch"
	"github.com/handoff-health/handoff/gateway/upstream"
)

// What the gateway keeps of a person beside resources: links, the ids of connected
// systems' resources, whom those are about, Consents that were heard, launches with a
// Patient in context. It goes with an expunged Patient (docs/expunge.md). Of a
// connected system's Patient it goes with the last link from here: asked for again,
// it comes again.

// Forget takes out of the store what is kept of an expunged Patient ("Patient/…").
// It can be repeated if it was interrupted.
func Forget(ctx context.Context, facts store.Facts, links *identity.Links, ids *identity.IDMap, patient string) error {
	alone, err := links.Part(ctx, patient)
	if err != nil {
		return err
	}
	if err := forgetPerson(ctx, facts, patient); err != nil {
		return err
	}
	for _, t := range alone {
		opaque, err := ids.OpaqueOf(ctx, t)
		if err != nil {
			return err
		}
		if opaque == "" {
			continue
		}
		if err := forgetRemote(ctx, facts, ids, opaque); err != nil {
			return err
		}
	}
	return links.Parted(ctx, patient)
}

const (
	forgetting     = 200 // ids that are forgotten together
	forgettingSide = 16  // of them side by side
)

// forgetRemote takes out what is kept of a connected system's Patient, by the opaque
// id.
func forgetRemote(ctx context.Context, facts store.Facts, ids *identity.IDMap, opaque string) error {
	for {
		mapped, err := ids.MappedFor(ctx, opaque, forgetting)
		if err != nil {
			return err
		}
		if len(mapped) == 0 {
			break
		}
		g, side := errgroup.WithContext(ctx)
		g.SetLimit(forgettingSide)
		for _, x := range mapped {
			g.Go(func() error { return forgetMapped(side, facts, ids, opaque, x) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	if err := forgetPerson(ctx, facts, "Patient/"+opaque); err != nil {
		return err
	}
	return ids.Forget(ctx, "Patient", opaque)
}

// forgetPerson takes out what is kept under one reference alone.
func forgetPerson(ctx context.Context, facts store.Facts, patient string) error {
	if err := launches.Forget(ctx, facts, patient); err != nil {
		return err
	}
	return forgetHeard(ctx, facts, patient)
}

// forgetMapped forgets whom an id went out for, and the id unless it is somebody
// else's too.
func forgetMapped(ctx context.Context, facts store.Facts, ids *identity.IDMap, opaque string, x identity.Mapped) error {
	ref := x.Type + "/" + x.Opaque
	if err := facts.Delete(ctx, subjectPrefix+ref+"/"+opaque); err != nil {
		return fmt.Errorf("forget the subject of an id: %w", err)
	}
	shared, err := alsoOthers(ctx, facts, ids, opaque, x)
	if err == nil && !shared {
		err = ids.Forget(ctx, x.Type, x.Opaque)
	}
	if err != nil {
		return err
	}
	return ids.ForgetMapped(ctx, opaque, x)
}

// alsoOthers says that an id is not this Patient's alone: staff and places are
// nobody's, and a resource may have gone out for others.
func alsoOthers(ctx context.Context, facts store.Facts, ids *identity.IDMap, opaque string, x identity.Mapped) (bool, error) {
	switch {
	case upstream.IsAdministrative(x.Type):
		return true, nil
	case x.Type == "Patient" && x.Opaque != opaque:
		asked, err := ids.MappedFor(ctx, x.Opaque, 1)
		return len(asked) > 0, err
	}
	left, err := facts.Scan(ctx, subjectPrefix+x.Type+"/"+x.Opaque+"/", "", 1)
	if err != nil {
		return false, fmt.Errorf("forget the subject of an id: %w", err)
	}
	return len(left) > 0, nil
}

// forgetHeard removes what connected systems' Consents about a Patient
// ("Patient/…") are kept, and that they were about the person's other Patients.
func forgetHeard(ctx context.Context, facts store.Facts, patient string) error {
	prefix := heardOfPrefix + strings.TrimPrefix(patient, "Patient/") + "/"
	for {
		found, err := facts.Scan(ctx, prefix, "", forgetting)
		if err != nil {
			return fmt.Errorf("forget Consents that were heard: %w", err)
		}
		for _, f := range found {
			digest := strings.TrimPrefix(f.Key, prefix)
			keys := []string{heardPrefix + digest}
			var ids []string
			if err := json.Unmarshal(f.Value, &ids); err != nil && len(f.Value) > 0 {
				return fmt.Errorf("forget Consents that were heard: %w: %w", store.ErrDamaged, err)
			}
			for _, id := range ids {
				keys = append(keys, heardOf(id, digest))
			}
			for _, key := range append(keys, f.Key) { // last what it is found by
				if err := facts.Delete(ctx, key); err != nil {
					return fmt.Errorf("forget Consents that were heard: %w", err)
				}
			}
		}
		if len(found) < forgetting {
			return nil
		}
	}
}

// renew drops what is remembered of persons if somebody was expunged since, here or
// by another gateway of the store.
func (s *Server) renew(asOf int64) {
	if s.forgotten.Swap(asOf) == asOf {
		return
	}
	s.versions.drop()
	s.gatherer.Drop()
}

// notForgotten refuses an answer about a person of whom somebody was expunged while
// connected systems were asked. What was written of the person meanwhile, which the
// expunge may not have found, is taken out again.
func (s *Server) notForgotten(ctx context.Context, x *exchange) error {
	asked := len(x.event.Systems) > 0
	var people []*standing
	for _, st := range x.people {
		if !slices.Contains(people, st) {
			people = append(people, st)
		}
		asked = asked || len(st.copies) > 0
	}
	if !asked {
		return nil
	}
	ctx = epoch.Unpinned(ctx)
	count, err := s.o.IDs.Forgotten(ctx)
	if err != nil {
		return err
	}
	late := false
	for _, st := range people {
		if st.person.AsOf == count {
			continue
		}
		parted, err := s.forgetParted(ctx, st.person)
		if err != nil {
			return err
		}
		late = late || parted
	}
	if late {
		return outcome.Unavailable(errors.New("somebody was expunged while connected systems were asked"))
	}
	return nil
}

// forgetParted takes out what is kept of those who are no longer of a person, if
// nobody else here stands for them.
func (s *Server) forgetParted(ctx context.Context, p *attribute.Person) (parted bool, err error) {
	now, err := s.o.Identity.For(ctx, p.References[0])
	if err != nil {
		return false, err
	}
	if !slices.ContainsFunc(p.References, func(ref string) bool { return !slices.Contains(now.References, ref) }) {
		return false, nil
	}
	for _, ref := range p.References {
		if err := s.forgetIfGone(ctx, ref); err != nil {
			return true, err
		}
	}
	return true, nil
}

// forgetIfGone takes out what is kept of a Patient that nobody here stands for.
func (s *Server) forgetIfGone(ctx context.Context, ref string) error {
	id := strings.TrimPrefix(ref, "Patient/")
	if !s.o.IDs.IsOpaque(id) {
		_, err := s.o.Store.Read(ctx, store.Key{Type: "Patient", ID: id})
		if errors.Is(err, store.ErrNotFound) {
			return forgetHeard(ctx, s.o.Facts, ref)
		}
		return err
	}
	c, err := s.o.Identity.For(ctx, ref)
	// An id whose mapping is gone by now counts as one of the own store.
	if err != nil || slices.ContainsFunc(c.Own, func(own string) bool { return own != ref }) {
		return err
	}
	return forgetRemote(ctx, s.o.Facts, s.o.IDs, id)
}

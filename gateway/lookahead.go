package gateway

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/broker"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/upstream"
)

const (
	// maxLookups is how many references of one lot are looked up to find whether
	// the caller may see what they point at. Beyond it a reference is removed.
	maxLookups = 128
	// lookupTime bounds them all together if Options.Lookups does not; what was not
	// known by then is removed.
	lookupTime = 2 * time.Second
	// lookupsAtOnce is how many run side by side.
	lookupsAtOnce = 16
)

// A pointer is a reference that has to be looked up for one person.
type pointer struct {
	typ, id string
	st      *standing
}

// lookAhead finds which of the resources that permitted candidates refer to may
// be seen, side by side and within one time, so that carrying out the decisions
// waits for nobody. Those that will stand on the page come first.
func (s *Server) lookAhead(ctx context.Context, x *exchange, cs []*candidate) error {
	pointers := s.pointers(x, s.first(x, cs))
	if len(pointers) == 0 {
		return nil
	}
	found, err := s.fetchAll(ctx, x, pointers)
	if err != nil {
		return err
	}
	for i, p := range pointers {
		ref, effect := p.typ+"/"+p.id, policy.Deny
		if found[i] != nil {
			effect = s.target(x, p.st, found[i])
		}
		x.seen[ref], x.partial[ref] = lets(effect), effect == policy.Redact
	}
	return nil
}

// fetchAll reads what the pointers point at, side by side and within one time;
// what did not come by then is nil. That time is the gateway's own and counts
// against no system.
func (s *Server) fetchAll(ctx context.Context, x *exchange, pointers []pointer) ([]*candidate, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.o.Lookups, broker.ErrImpatient)
	defer cancel()
	found := make([]*candidate, len(pointers))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(lookupsAtOnce)
	for i, p := range pointers {
		g.Go(func() (err error) {
			found[i], err = s.fetch(gctx, x, p)
			return err
		})
	}
	if err := g.Wait(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, err
	}
	return found, nil
}

// first orders the permitted candidates as they will stand, from where the page
// starts.
func (s *Server) first(x *exchange, cs []*candidate) []*candidate {
	var out []*candidate
	for _, c := range cs {
		if lets(c.decision.Effect) {
			out = append(out, c)
		}
	}
	if x.query == nil || len(out) < 2 {
		return out
	}
	for _, c := range out {
		c.sort = x.query.SortKey(c.resource)
	}
	slices.SortStableFunc(out, func(a, b *candidate) int { return x.query.Compare(a.sort, b.sort) })
	if x.from.Last != nil {
		out = slices.DeleteFunc(out, func(c *candidate) bool { return x.query.Compare(c.sort, *x.from.Last) <= 0 })
	}
	return out
}

// pointers lists references whose targets are not judged yet and must be.
func (s *Server) pointers(x *exchange, cs []*candidate) []pointer {
	var out []pointer
	asked := map[string]bool{}
	for _, c := range cs {
		st := x.people[c.subject.Patient]
		if st == nil {
			continue
		}
		c.resource.Root().Descend(func(n resource.Node) bool {
			if n.Kind() != resource.Object || len(out) >= maxLookups {
				return true
			}
			base, typ, id, ok := resource.SplitReference(n.Get("reference").Text())
			ref := typ + "/" + id
			if !ok || (base != "" && base != s.o.Base) || openlyNamed(typ) || typ == "Patient" || asked[ref] {
				return true
			}
			if _, judged := x.seen[ref]; !judged && search.KnownType(typ) && x.allows(typ, scopeFor(x)) {
				asked[ref] = true
				out = append(out, pointer{typ, id, st})
			}
			return true
		})
	}
	return out
}

// openlyNamed says whether a reference to this type may stay: an opaque id of
// staff or a place tells nothing, and following it is judged.
func openlyNamed(typ string) bool {
	switch typ {
	case "Practitioner", "PractitionerRole", "Organization", "Location":
		return true
	}
	return false
}

// target decides on a target that is not part of the answer.
func (s *Server) target(x *exchange, st *standing, c *candidate) policy.Effect {
	if c.record == nil && !aboutPerson(c, st.person) || c.subject.Patient != "" && !st.person.Is(c.subject.Patient) {
		return policy.Deny
	}
	return s.session(x, st, c.origin).Decide(&c.subject).Effect
}

// fetch reads a resource that somebody refers to; nil if it is not there, may
// not be asked for, or does not come.
func (s *Server) fetch(ctx context.Context, x *exchange, p pointer) (*candidate, error) {
	if s.o.IDs.IsOpaque(p.id) {
		key, remote, ok, err := s.o.IDs.Resolve(ctx, p.typ, p.id)
		if err != nil || !ok || slices.Contains(p.st.unheard, key) || !slices.Contains(p.st.asked, key) {
			return nil, err
		}
		e, err := s.o.Broker.Read(ctx, key, p.typ, remote, x.share())
		for _, quiet := range []error{upstream.ErrNotFound, upstream.ErrFailed, upstream.ErrRefused, upstream.ErrSuppressed, context.DeadlineExceeded} {
			if errors.Is(err, quiet) { // not known to be visible
				return nil, nil
			}
		}
		if err != nil {
			return nil, err
		}
		return s.candidate(e.Resource, e.Origin, nil), nil
	}
	return s.fromStore(ctx, store.Key{Type: p.typ, ID: p.id})
}

// fromStore reads a resource of the own store; nil if there is none.
func (s *Server) fromStore(ctx context.Context, k store.Key) (*candidate, error) {
	rec, err := s.o.Store.Read(ctx, k)
	if errors.Is(err, store.ErrNotFound) || (err == nil && rec.Deleted) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.own(rec)
}

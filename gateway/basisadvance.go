package gateway

import (
	"slices"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/legalbasis"
	"github.com/handoff-health/handoff/gateway/policy"
)

// Acceptance in advance: what a sharing agreement or a pack accepts for named
// agencies and roles, as soon as it is declared.

// inAdvance accepts the declaration if a sharing agreement has said so before,
// for this agency, role and type; nil if none has, or not for all of it.
func (s *Server) inAdvance(x *exchange, c *legalbasis.Case, form policy.BasisForm) (*legalbasis.Case, error) {
	p := x.principal
	if c.Custodian == p.Requester.Organization || len(c.Limits.Roles) > 0 {
		return nil, nil
	}
	for _, a := range s.advances(x, c, form) {
		if len(legalbasis.CheckAcceptance(c, &a, form, s.o.Bases.longest(c.Type))) > 0 {
			continue
		}
		next, err := c.Accept(a)
		if err != nil {
			return nil, err
		}
		// What the law takes away is for a person to complete. Labels must not
		// matter: the declarer would learn them by the state of its Task.
		if session := s.sessionOf(x, next); len(session.VoidBases()) == 0 && len(session.Unmet(s.originOf(c.Custodian), nil)) == 0 {
			return next, nil
		}
	}
	return nil, nil
}

// advances are the acceptances that agreements hold ready for the declaration:
// those of the configuration, then those of packs.
func (s *Server) advances(x *exchange, c *legalbasis.Case, form policy.BasisForm) []legalbasis.Acceptance {
	p := x.principal
	base := legalbasis.Acceptance{
		Step:   legalbasis.Step{By: legalbasis.Person{Organization: c.Custodian}, At: x.at},
		Covers: c.Covers, Limits: legalbasis.Limits{Client: p.Client},
	}
	var out []legalbasis.Acceptance
	adv, ok := s.o.Directory.AcceptedInAdvance(c.Custodian, c.Recipient, c.Type, p.Requester.Roles, purposes(p.Purposes), x.at)
	// What was named stays the limit; more than was agreed is for a person.
	if ok && !slices.ContainsFunc(c.Covers, func(ref string) bool {
		_, typ, _, _ := resource.SplitReference(ref)
		return !slices.Contains(adv.Types, typ)
	}) {
		a := base
		a.Agreement, a.Limits.Roles, a.ValidUntil = adv.Agreement, adv.Roles, s.advanceUntil(x.at, c, adv)
		if form.Covers {
			a.Types = adv.Types
		}
		out = append(out, a)
	}
	asked := s.asFor(x, c)
	for _, rule := range s.o.Policy.Begin(asked).AcceptedInAdvance(&policy.LegalBasis{Type: c.Type, Covers: c.Covers, Attributes: c.Attributes}, c.Custodian) {
		a := base
		a.Rule, a.ValidUntil = rule.Rule, s.sooner(x.at.Add(s.o.Bases.longest(c.Type)), c)
		out = append(out, a)
	}
	return out
}

// asFor is a question of the declarer about the custodian's data.
func (s *Server) asFor(x *exchange, c *legalbasis.Case) *policy.Request {
	p := x.principal
	return &policy.Request{
		At: x.at, Action: "access", Jurisdiction: s.o.Directory.Jurisdiction(c.Custodian), Requester: p.Requester, Purposes: purposes(p.Purposes),
		Agreements:   s.o.Directory.Agreements(c.Custodian, c.Recipient, purposes(p.Purposes), x.at),
		Designations: s.o.Directory.Designations(c.Custodian),
	}
}

// advanceUntil is the first of: what the agreement gives, its end, what the type
// may stand, when the declarer needs it no longer.
func (s *Server) advanceUntil(at time.Time, c *legalbasis.Case, adv attribute.Advance) time.Time {
	until := at.Add(min(adv.Within, s.o.Bases.longest(c.Type)))
	if adv.Until.Before(until) {
		until = adv.Until
	}
	return s.sooner(until, c)
}

// sooner is the earlier of until and when the declarer needs it no longer.
func (s *Server) sooner(until time.Time, c *legalbasis.Case) time.Time {
	if !c.Until.IsZero() && c.Until.Before(until) {
		until = c.Until
	}
	return until.UTC().Truncate(time.Millisecond)
}

package policy

import (
	"sync"

	"github.com/handoff-health/handoff/gateway/consent"
)

// An atom is one reason as it is noted while deciding: without a text, and
// comparable, so that what was said before is said again without a copy.
type atom struct {
	what      utterance
	effect    stance
	index     int32 // of the request's legal bases or agreements
	rule      *rule
	basis     *declared
	statement consent.Statement
	detail    string // a constant
}

// A stance is a Reason's Effect.
type stance uint8

const (
	denies stance = iota
	permits
	redacts
)

func (s stance) String() string { return [...]string{"deny", "permit", "redact"}[s] }

// An utterance is a kind of reason.
type utterance uint8

const (
	byRule       utterance = iota // of a pack
	byStatement                   // of a Consent
	byAgreement                   // the rule, and which agreement
	voidBasis                     // a declared basis that is void
	unruled                       // no rule is a ground
	outsideScope                  // no scope covers it
	nothingLeft                   // nothing is within the extent
	minimum                       // not in the minimum-necessary profile
	incomplete                    // no resource or no labels
	internalOwn                   // kept for the requester's organisation
	internalElse                  // kept for another
)

// reason puts an atom into words.
func (s *Session) reason(a *atom) Reason {
	r := Reason{Effect: a.effect.String(), Detail: a.detail}
	if a.rule != nil {
		r.Rule, r.Pack, r.Citation = a.rule.id, a.rule.pack, a.rule.citation
		if r.Detail == "" && a.basis == nil {
			r.Detail = a.rule.says
		}
	}
	if a.basis != nil {
		r.Basis, r.Detail = a.basis.from.ID, a.detail
	}
	switch a.what {
	case byStatement:
		r.Rule = [...]string{consent.Permit: "consent/permit", consent.Residual: "consent/residual", consent.Deny: "consent/deny"}[a.statement.Effect]
		r.Consent, r.Path, r.Detail = a.statement.Consent(), a.statement.Path(), ""
	case byAgreement:
		r.Detail = s.req.Agreements[a.index]
	case voidBasis:
		r.Rule, r.Basis = "basis/void", s.req.LegalBases[a.index].ID
	case unruled:
		r.Rule, r.Detail = "law/none", "no rule is a ground for it"
	case outsideScope:
		r.Rule, r.Detail = "gate/scope", "no scope of the token covers it"
	case nothingLeft:
		r.Rule, r.Detail = "extent/nothing", "nothing of it is within the extent"
	case minimum:
		r.Rule, r.Citation, r.Detail = "profile/minimum-necessary", "45 CFR 164.502(b), 164.514(d)", "the profile of a crisis response does not list it"
	case incomplete:
		r.Rule, r.Detail = "input/incomplete", "the resource or its labels are missing"
	case internalOwn:
		r.Rule, r.Detail = "internal/own", "the gateway keeps it for the requester's organisation"
	case internalElse:
		r.Rule, r.Detail = "internal/not-own", "it is kept for another organisation"
	}
	return r
}

// interned keeps the chains of reasons that a Session has given, so that most
// decisions share one.
type interned struct {
	mu     sync.RWMutex
	chains map[link]*chain
}

// A link is one more atom after a chain.
type link struct {
	before *chain
	atom   atom
}

// A chain is the reasons up to one atom.
type chain struct{ reasons []Reason }

// reasonsOf returns the reasons for these atoms.
func (s *Session) reasonsOf(said []atom) []Reason {
	var c *chain
	for i := range said {
		c = s.after(c, &said[i])
	}
	if c == nil {
		return nil
	}
	return c.reasons
}

func (s *Session) after(before *chain, a *atom) *chain {
	key := link{before, *a}
	s.reasons.mu.RLock()
	c := s.reasons.chains[key]
	s.reasons.mu.RUnlock()
	if c != nil {
		return c
	}
	s.reasons.mu.Lock()
	defer s.reasons.mu.Unlock()
	if c = s.reasons.chains[key]; c != nil {
		return c
	}
	c = new(chain)
	if before != nil {
		c.reasons = before.reasons[:len(before.reasons):len(before.reasons)]
	}
	c.reasons = append(c.reasons, s.reason(a))
	if s.reasons.chains == nil {
		s.reasons.chains = map[link]*chain{}
	}
	s.reasons.chains[key] = c
	return c
}

package policy

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/gateway/consent"
)

// Options are an Engine's settings. The zero value is the usual one.
type Options struct {
	// Law is the rules that packs come to; nil: USFederal.
	Law *Law
	// Directory lists types that are about nobody in particular (Practitioner,
	// Organization …) and may be read by whoever has a scope for them, so that
	// the people whom a permitted CareTeam names can be reached. A record that
	// is labelled, or that comes from a Part 2 program or from police (whose
	// officers' names go out under an agreement only), is not among them. Types
	// that are about persons are ignored. Empty: such resources need a ground
	// like any other.
	Directory []string
}

// An Engine decides by one Law. It is immutable and safe for concurrent use.
type Engine struct {
	law       *Law
	directory map[string]bool
}

// New makes an Engine.
func New(o Options) *Engine {
	if o.Law == nil {
		o.Law = USFederal()
	}
	e := &Engine{law: o.Law, directory: map[string]bool{}}
	for _, t := range o.Directory {
		e.directory[t] = consent.Impersonal(t)
	}
	return e
}

// Law returns the rules by which the Engine decides.
func (e *Engine) Law() *Law { return e.law }

// A Session answers one Request, resource by resource. It is safe for
// concurrent use; the Request and what it points at must not be changed. The
// reasons and obligations of its Decisions are shared: they must not be changed.
type Session struct {
	law       *Law
	directory map[string]bool
	req       *Request
	asked     []asked
	police    bool        // the requester is law enforcement
	declared  bool        // an emergency is declared, with a reason
	bases     []*declared // legal bases that are valid
	void      []atom      // why the others are not
	levels    []level     // of the request's scopes
	granular  bool        // some scope has criteria
	gates     []*rule     // that are in force
	reasons   interned    // what has been said
}

// An asked is one declared purpose with what is compiled for it. Every declared
// purpose must be covered; none declared is one that is unknown.
type asked struct {
	purpose     label.Code
	consents    *consent.Set
	consent     ground   // of Consents that permit
	grounds     []ground // permits and denies in the order of the law, as far as they can apply
	emergencies []ground
	broken      *consent.Set // what Consents say of breaking the glass itself; nil: the purpose is that
}

// Begin compiles a Request. A nil Request gives a Session that denies.
func (e *Engine) Begin(req *Request) *Session {
	if req == nil {
		return &Session{law: e.law, req: &Request{}}
	}
	s := &Session{law: e.law, directory: e.directory, req: req, police: e.LawEnforcement(&req.Requester)}
	b := req.BreakGlass
	s.declared = b != nil && b.Declared && strings.TrimSpace(b.Reason) != ""
	s.readScopes()
	s.readPurposes()
	s.findGates()
	for i := range s.asked {
		s.findGrounds(&s.asked[i])
	}
	s.declareAll()
	return s
}

func (s *Session) readPurposes() {
	purposes := s.req.Purposes
	if len(purposes) == 0 {
		purposes = []label.Code{{}}
	}
	actor := s.actor()
	s.asked = make([]asked, 0, len(purposes))
	for i, p := range purposes {
		if slices.Contains(purposes[:i], p) {
			continue
		}
		s.asked = append(s.asked, asked{purpose: p, consents: s.compile(p, actor)})
	}
}

// compile is what the Consents say for one purpose.
func (s *Session) compile(purpose label.Code, actor *consent.Actor) *consent.Set {
	action := s.req.Action
	if action == "" {
		action = "access"
	}
	return consent.Compile(s.req.Consents, consent.Question{
		At: s.req.At, Action: action, DenyActions: s.req.DenyActions, Purpose: purpose, Person: s.req.Person, Actor: actor, Times: s.law.times,
	})
}

// actor is the requester as a Consent sees it. Law enforcement is no treating
// provider, whatever the directory says: a consent for treatment alone does not
// reach it (42 CFR 2.31(a)(4), 2.33(a)(2)).
func (s *Session) actor() *consent.Actor {
	r := &s.req.Requester
	a := &consent.Actor{
		Reference: r.Reference, Organization: r.Organization, CareTeams: r.CareTeams, Groups: r.Groups,
		Networks: r.Networks, Roles: r.Roles, TreatingProvider: r.TreatingProvider && !s.police,
	}
	for _, id := range r.Identifiers {
		a.Identifiers = append(a.Identifiers, consent.Identifier(id))
	}
	return a
}

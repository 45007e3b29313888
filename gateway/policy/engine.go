package policy

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/smart"
)

// Options are an Engine's settings. The zero value is the usual one.
type Options struct {
	// Law is the rules of the jurisdiction; nil: USFederal.
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

// New makes an Engine. The Law must not be changed afterwards.
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

// A Session answers one Request, resource by resource. It is immutable and safe
// for concurrent use; the Request and what it points at must not be changed.
type Session struct {
	law       *Law
	directory map[string]bool
	req       *Request
	asked     []asked
	police    bool        // the requester is law enforcement
	bases     []*declared // those that are valid
	void      []Reason    // why the others are not
	glass     bool        // the break-glass declaration counts, by 3.6
	scopes    smart.Scopes
	launched  smart.Scopes // patient/ scopes: for the patient in context only
	granular  bool         // some scope has criteria
}

// An asked is one declared purpose with what is compiled for it. Every declared
// purpose must be covered; none declared is one that is unknown.
type asked struct {
	purpose  label.Code
	consents *consent.Set
	baseline bool // in the family of treatment, payment and operations
	override bool // BTG or ETREAT: the glass may be broken for it
}

// Begin compiles a Request. A nil Request gives a Session that denies.
func (e *Engine) Begin(req *Request) *Session {
	if req == nil {
		return &Session{law: e.law, req: &Request{}}
	}
	s := &Session{law: e.law, directory: e.directory, req: req, police: req.Requester.Police}
	for _, r := range req.Requester.Roles {
		if terminology.SystemOf(r.System) == terminology.ActorRole && slices.Contains(e.law.Police, r.Code) {
			s.police = true
		}
	}
	s.readScopes()
	s.readPurposes()
	s.glass = s.glassCounts()
	s.declareAll()
	return s
}

func (s *Session) readScopes() {
	for _, sc := range s.req.Scopes {
		if sc.Context == smart.ContextPatient {
			s.launched = append(s.launched, sc)
		} else {
			s.scopes = append(s.scopes, sc)
		}
		s.granular = s.granular || len(sc.Criteria) > 0
	}
}

func (s *Session) readPurposes() {
	purposes := s.req.Purposes
	if len(purposes) == 0 {
		purposes = []label.Code{{}}
	}
	actor := s.actor()
	for i, p := range purposes {
		if slices.Contains(purposes[:i], p) {
			continue
		}
		action := s.req.Action
		if action == "" {
			action = "access"
		}
		s.asked = append(s.asked, asked{
			purpose: p,
			consents: consent.Compile(s.req.Consents, consent.Question{
				At: s.req.At, Action: action, DenyActions: s.req.DenyActions, Purpose: p, Person: s.req.Person, Actor: actor, Times: s.law.Times,
			}),
			baseline: s.law.Baseline.covers(p),
			override: terminology.SystemOf(p.System) == terminology.ActReason && (p.Code == "BTG" || p.Code == "ETREAT"),
		})
	}
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

// covers says whether a purpose is of the baseline's family.
func (b *Baseline) covers(p label.Code) bool {
	return within(p, b.Purposes) && !within(p, b.Except)
}

func within(p label.Code, families []label.Code) bool {
	system := terminology.SystemOf(p.System)
	for _, f := range families {
		if system != terminology.Unknown && system == terminology.SystemOf(f.System) &&
			terminology.Subsumes(f.System, f.Code, p.Code) {
			return true
		}
	}
	return false
}

// glassCounts says whether the declaration of an emergency counts.
func (s *Session) glassCounts() bool {
	b := s.req.BreakGlass
	return b != nil && b.Declared && strings.TrimSpace(b.Reason) != "" && s.req.Requester.MedicalPersonnel &&
		slices.ContainsFunc(s.asked, func(a asked) bool { return a.override })
}

// covers is the scope gate: does the token cover the resource in this form?
func (s *Session) covers(r *resource.Resource, patient string) bool {
	if s.scopes.Covers(r) {
		return true
	}
	return s.inContext(patient) && s.launched.Covers(r)
}

// inContext says whether the patient is the one in the token's context.
func (s *Session) inContext(patient string) bool {
	lp := s.req.LaunchPatient
	return patient != "" && lp != "" &&
		(lp == patient || slices.Contains(s.req.Person, lp) && slices.Contains(s.req.Person, patient))
}

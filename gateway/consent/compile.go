package consent

import (
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// A Question is the context that Consents are compiled for: one requester, one
// purpose, one instant.
type Question struct {
	At     time.Time // its location is the offset in which dates are read
	Action string    // consentaction code
	// DenyActions are further consentaction codes for what is asked: a deny that
	// names one of them is heard too. Permits go by Action alone.
	DenyActions []string
	Purpose     label.Code
	// Person lists references that denote one person. A Consent about any of
	// them is about all of them.
	Person []string
	Actor  *Actor
	// Times overrides [DefaultTimes]; nil leaves it.
	Times map[string]Times
}

// A Set is what is left of some Consents for one question. It is immutable and
// safe for concurrent use.
type Set struct {
	bound  []bound
	times  map[string]timeNames
	loc    *time.Location
	person []reference
	index  *index // nil: the Consents are few and are asked one after another
}

// A bound Consent is one whose context elements have been answered.
type bound struct {
	c       *Consent
	grants  bool // after period and the other versions have been looked at
	person  bool // it is about the person of the question
	context []truth
	forms   []form
}

// A form says for which gated data a permit of a rule counts, and whether a
// deny is one of the requester by name.
type form struct {
	part2   bool // 42 CFR 2.31, but for the discloser
	psyNote bool // 45 CFR 164.508(a)(2), but for the discloser
	named   bool // the requester is among the recipients that the deny states
}

// Compile takes those Consents that are in force for the question and answers
// everything about them that does not depend on the resource. The order of
// consents does not matter.
func Compile(consents []*Consent, q Question) *Set {
	s := &Set{loc: q.At.Location(), times: timesOf(q.Times)}
	for _, p := range q.Person {
		s.person = append(s.person, parseReference(p))
	}
	a := newAsker(q.Actor)
	for _, k := range current(consents, s.person, s.loc) {
		if b, ok := bind(k.c, &q, &a); ok {
			b.person = about(k.c.patient, s.person)
			b.grants = b.grants && !k.deniesOnly
			s.bound = append(s.bound, b)
		}
	}
	if len(s.bound) > walked {
		s.index = s.build()
	}
	return s
}

func timesOf(override map[string]Times) map[string]timeNames {
	if override == nil {
		return defaultTimes
	}
	return compileTimes(override)
}

var defaultTimes = compileTimes(DefaultTimes())

func about(patient reference, person []reference) bool {
	for i := range person {
		if person[i].same(patient) == yes {
			return true
		}
	}
	return false
}

// bind answers the context elements of a Consent's rules. ok is false if the
// Consent cannot state anything.
func bind(c *Consent, q *Question, a *asker) (b bound, ok bool) {
	b = bound{c: c, grants: c.canGrant() && c.ceiling.holds(q.At)}
	root := &c.rules[0]
	if root.own.period != nil {
		switch root.own.period.holds(q.At) {
		case no:
			return b, false
		case unknown:
			b.grants = false
		}
	}
	b.context = make([]truth, len(c.rules))
	b.forms = make([]form, len(c.rules))
	purpose := codingOf(q.Purpose)
	anything := false
	for i := range c.rules {
		p := &c.rules[i]
		reach, through := p.actors.reach(a)
		t := min(reach, p.purposes.covers(purpose), p.acts(q))
		if p.period != nil {
			t = min(t, p.period.holds(q.At))
		}
		b.context[i] = t
		if t == no {
			continue
		}
		anything = true
		b.forms[i].named = p.stance == denies && p.actors.names(a)
		if p.stance == permits && t == yes && b.grants {
			b.forms[i] = c.form(p, purpose, a, through)
		}
	}
	return b, anything
}

// covers answers the purpose element. A purpose that was not declared is unknown.
func (r *codingRule) covers(declared coding) truth {
	switch {
	case r == nil:
		return yes
	case declared.code == "":
		return unknown
	}
	t := truthOf(false)
	for _, p := range r.any {
		t = max(t, purposeCovers(p, declared))
	}
	if r.broken {
		t = max(t, unknown)
	}
	return t
}

// acts answers the action element.
func (p *provision) acts(q *Question) truth {
	t := p.actions.includes(q.Action)
	if p.stance == denies {
		for _, a := range q.DenyActions {
			t = max(t, p.actions.includes(a))
		}
	}
	return t
}

// includes answers one action.
func (r *codingRule) includes(action string) truth {
	if r == nil {
		return yes
	}
	want := coding{system: terminology.ConsentAction, code: action}
	t := no
	for _, c := range r.any {
		t = max(t, c.same(want))
		if !isAction(c) { // what it means is not known
			t = max(t, unknown)
		}
	}
	if r.broken || action == "" {
		t = max(t, unknown)
	}
	return t
}

// isAction says whether the code is one of R4's consentaction.
func isAction(c coding) bool {
	if c.system != terminology.ConsentAction {
		return false
	}
	switch c.code {
	case "collect", "access", "use", "disclose", "correct":
		return true
	}
	return false
}

package policy

import (
	"encoding/json"
	"slices"
	"time"
)

// An Explanation is a decision with what would change it.
type Explanation struct {
	Decision Decision
	// Remedies are changes of the facts, each of which was decided again and came
	// out otherwise. Those that let more out come first. If there is none of them,
	// nothing that was tried opens it.
	Remedies []Remedy
}

// A Remedy is a change of the facts with the answer that it gives. Changes are
// made together; most remedies are a single one.
type Remedy struct {
	Opens   bool     `json:"opens"`  // more is let out; otherwise less
	Effect  string   `json:"effect"` // of the decision then: permit, redact, deny
	Changes []Change `json:"changes"`
}

// A Change is one fact that is otherwise.
type Change struct {
	Code    ChangeCode `json:"code"`
	Detail  string     `json:"detail"`            // in plain words
	Consent string     `json:"consent,omitempty"` // the Consent that is ended, with version
	Scope   string     `json:"scope,omitempty"`
	Purpose string     `json:"purpose,omitempty"` // "system|code", instead of those declared
	Basis   string     `json:"basis,omitempty"`   // type of legal basis; of one withdrawn its id, if it has one
	// Needs are the attributes of the basis that are absent or do not hold as declared.
	Needs []string   `json:"needs,omitempty"`
	At    *time.Time `json:"at,omitempty"` // from when on it is so
	// Draft is a Consent of that form, as an entitled recorder would have to
	// record it: references and codes only.
	Draft json.RawMessage `json:"draft,omitempty"`

	apply func(*Request)
}

// A ChangeCode says what sort of change it is.
type ChangeCode string

// The changes.
const (
	NewConsent        ChangeCode = "consent/new"                     // an ordinary Consent, signed
	NewPart2          ChangeCode = "consent/new-part2"               // valid by 42 CFR 2.31
	NewPsychotherapy  ChangeCode = "consent/new-psychotherapy-notes" // an authorization by 45 CFR 164.508(a)(2)
	EndConsent        ChangeCode = "consent/end"
	ConsentPeriod     ChangeCode = "consent/period" // a period begins or ends
	AddScope          ChangeCode = "scope/add"
	AddTreating       ChangeCode = "treating/add"
	RemoveTreating    ChangeCode = "treating/remove"
	OtherPurpose      ChangeCode = "purpose/replace"
	AddBasis          ChangeCode = "basis/accept"
	WithdrawBasis     ChangeCode = "basis/withdraw"
	AddAgreement      ChangeCode = "agreement/add"
	RemoveAgreement   ChangeCode = "agreement/end"
	BreakTheGlass     ChangeCode = "break-glass/declare"
	RemoveBreakGlass  ChangeCode = "break-glass/remove"
	RemoveMedical     ChangeCode = "medical-personnel/remove"
	RemoveMemberships ChangeCode = "membership/remove" // care teams, groups, networks
)

// Explain decides and finds out, by deciding again with other facts, what would
// change the answer. It is the slow way: some dozens of decisions.
func (s *Session) Explain(subject *Subject) Explanation {
	x := explainer{s: s, subject: subject, now: s.Decide(subject)}
	e := Explanation{Decision: x.now}
	if x.now.Effect == Indeterminate {
		return e
	}
	x.moments()
	if x.now.Effect != Permit {
		x.opening()
	}
	if x.now.Effect != Deny {
		x.closing()
	}
	slices.SortStableFunc(x.remedies, func(a, b Remedy) int {
		switch {
		case a.Opens == b.Opens:
			return 0
		case a.Opens:
			return -1
		}
		return 1
	})
	e.Remedies = x.remedies
	return e
}

// An explainer collects the changes that change the answer.
type explainer struct {
	s        *Session
	subject  *Subject
	now      Decision
	remedies []Remedy
}

// decide asks again with these changes made. The Request of the session is
// left as it is.
func (x *explainer) decide(changes ...Change) Decision {
	q := *x.s.req
	for _, c := range changes {
		c.apply(&q)
	}
	e := Engine{law: x.s.law, directory: x.s.directory}
	return e.Begin(&q).Decide(x.subject)
}

// try keeps the changes as a remedy if they change the answer that way.
func (x *explainer) try(opens bool, changes ...Change) bool {
	if len(changes) == 0 {
		return false
	}
	d := x.decide(changes...)
	c := d.compare(&x.now)
	if opens && c <= 0 || !opens && c >= 0 {
		return false
	}
	x.remedies = append(x.remedies, Remedy{Opens: opens, Effect: d.Effect.String(), Changes: changes})
	return true
}

// compare says whether more (1), less (-1) or as much is let out as by o.
func (d *Decision) compare(o *Decision) int {
	rank := func(d *Decision) int {
		switch d.Effect {
		case Permit:
			return 2
		case Redact:
			return 1
		}
		return 0
	}
	if a, b := rank(d), rank(o); a != b {
		return a - b
	}
	if d.Effect != Redact {
		return 0
	}
	switch mine, theirs := d.removed(o), o.removed(d); {
	case mine && !theirs:
		return 1
	case theirs && !mine:
		return -1
	}
	return 0
}

// removed says whether o removes all that d does and more.
func (d *Decision) removed(o *Decision) bool {
	for _, n := range d.Remove {
		if !slices.ContainsFunc(o.Remove, func(m node) bool { return encloses(m, n) }) {
			return false
		}
	}
	return true
}

// String names the effect as audit and cases do.
func (e Effect) String() string {
	switch e {
	case Permit:
		return "permit"
	case Redact:
		return "redact"
	}
	return "deny"
}

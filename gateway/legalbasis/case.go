package legalbasis

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/gateway/policy"
)

// A State is how far a case has come. The zero State is none of them and lets
// nothing happen.
type State string

// The states.
const (
	Requested State = "requested"
	Accepted  State = "accepted"
	Rejected  State = "rejected"
	Withdrawn State = "withdrawn" // by the custodian
	Cancelled State = "cancelled" // by the declarer
)

// A Person is who took a step.
type Person struct {
	Organization string // "Organization/…"
	Client       string // registered client id
	User         string // id of the user, "" if the token names none
	Name         string // of the user
}

// A Document is the order or warrant as it was handed in.
type Document struct {
	Title       string
	ContentType string
	Data        string // base64, "" if none was sent
	Size        int    // bytes of the document itself
	SHA256      string // hex, of the document itself
}

// A Case is one declared basis and what became of it. A Case is not changed
// once made: each step gives a new one.
type Case struct {
	ID         string // shared by both Tasks
	Type       string // of the law, "court-order"
	State      State
	Custodian  string // "Organization/…", whose data it is about
	Recipient  string // "Organization/…", in whose favour it is
	Patient    string // "Patient/…", as the declarer knows the person
	Declared   Step
	Roles      []label.Code // of the declarer, by its registration
	Covers     []string     // as the declarer knows them
	Request    string       // in words, where the declarer cannot know ids
	Attributes map[string]any
	Document   *Document
	Until      time.Time // needed until; zero: not said
	Limits     Limits    // as the declarer asked for
	Accepted   *Acceptance
	Ended      *Step // rejection, withdrawal, cancellation
}

// A Step is who did something when, and why.
type Step struct {
	By   Person
	At   time.Time
	Note string
}

// Limits narrow who of the recipient may use a basis.
type Limits struct {
	Roles  []string // codes of the project's actor-role system; none: any
	Client string   // registered client id; "": any
}

// An Acceptance is what the custodian has determined.
type Acceptance struct {
	Step
	Agreement  string   // id of the sharing agreement that accepted it in advance; "" if none of the configuration did
	Rule       string   // "agreement/rule" of the pack that accepted it in advance; "" if none did
	Patient    string   // "Patient/…", as the custodian knows the person; "" if no other
	Covers     []string // exactly the resources, as they are known here
	Types      []string // resource types, of an acceptance in advance
	Attributes map[string]any
	ValidUntil time.Time
	Limits     Limits
}

// A StateError says that a step does not fit the state of the case.
type StateError struct {
	Step  string
	State State
}

func (e *StateError) Error() string {
	return fmt.Sprintf("a legal basis that is %s cannot be %s", e.State, e.Step)
}

// step makes the copy that a step changes, if the case is in one of the states.
func (c *Case) step(name string, states ...State) (*Case, error) {
	if !slices.Contains(states, c.State) {
		return nil, &StateError{name, c.State}
	}
	next := *c
	return &next, nil
}

// Accept makes it a fact. a is taken as it is: see CheckAcceptance.
func (c *Case) Accept(a Acceptance) (*Case, error) {
	next, err := c.step("accepted", Requested)
	if err != nil {
		return nil, err
	}
	next.State, next.Accepted = Accepted, &a
	return next, nil
}

// Reject ends a request.
func (c *Case) Reject(s Step) (*Case, error) {
	return c.end("rejected", Rejected, s, Requested)
}

// Withdraw ends an acceptance; from that instant it opens nothing.
func (c *Case) Withdraw(s Step) (*Case, error) {
	return c.end("withdrawn", Withdrawn, s, Accepted)
}

// Cancel is the declarer's end of it.
func (c *Case) Cancel(s Step) (*Case, error) {
	return c.end("cancelled", Cancelled, s, Requested, Accepted)
}

func (c *Case) end(name string, to State, s Step, from ...State) (*Case, error) {
	next, err := c.step(name, from...)
	if err != nil {
		return nil, err
	}
	next.State, next.Ended = to, &s
	return next, nil
}

// InForce says whether it is a fact at an instant: from its acceptance until
// validUntil, that instant itself no longer.
func (c *Case) InForce(at time.Time) bool {
	return c.State == Accepted && c.Accepted != nil && !at.Before(c.Accepted.At) && at.Before(c.Accepted.ValidUntil)
}

// Serves says whether the requester may use it: of the recipient, and within
// the limits of declaration and acceptance.
func (c *Case) Serves(r *policy.Requester) bool {
	return c.Accepted != nil && r.Organization != "" && r.Organization == c.Recipient &&
		c.Limits.admit(r) && c.Accepted.Limits.admit(r)
}

func (l *Limits) admit(r *policy.Requester) bool {
	if l.Client != "" && l.Client != r.Client {
		return false
	}
	return len(l.Roles) == 0 || slices.ContainsFunc(r.Roles, func(role label.Code) bool {
		return role.System == roleSystem && slices.Contains(l.Roles, role.Code)
	})
}

// Persons lists the references of the person it is about.
func (c *Case) Persons() []string {
	out := []string{c.Patient}
	if c.Accepted != nil && c.Accepted.Patient != "" && c.Accepted.Patient != c.Patient {
		out = append(out, c.Accepted.Patient)
	}
	return out
}

// Basis is the accepted fact as policy takes it; nil if it was not accepted.
// What the custodian has determined goes before what was declared. id names the
// record of the acceptance.
func (c *Case) Basis(id string) *policy.LegalBasis {
	a := c.Accepted
	if a == nil {
		return nil
	}
	attributes := maps.Clone(c.Attributes)
	if attributes == nil {
		attributes = map[string]any{}
	}
	maps.Copy(attributes, a.Attributes)
	return &policy.LegalBasis{ID: id, Type: c.Type, Covers: a.Covers, Types: a.Types, Attributes: attributes, AcceptedBy: a.Rule}
}

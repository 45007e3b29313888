package policy

import (
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/smart"
)

// An Effect is the outcome of a decision. Its zero value denies.
type Effect uint8

// The effects. Only Permit and Redact let anything out.
const (
	Deny          Effect = iota
	Indeterminate        // could not be decided; enforced as Deny, audited apart
	NotApplicable        // this policy has no opinion
	Permit
	Redact // permit without the elements in Decision.Remove
)

// A Requester is who asks: facts that the gateway has verified. A fact that is
// absent is not true.
type Requester struct {
	Client           string // client id
	Reference        string // "Practitioner/…", "" for a system
	Organization     string // "Organization/…" for which it acts
	Identifiers      []Identifier
	CareTeams        []string
	Groups           []string
	Networks         []string // exchanges of which its organisation is a participant
	Roles            []label.Code
	TreatingProvider bool
	MedicalPersonnel bool
}

// An Identifier is a business identifier.
type Identifier struct{ System, Value string }

// A Direction says which way data goes. The zero value is towards the
// requester from health systems, the strictest reading.
type Direction uint8

// The directions.
const (
	HealthToRequester Direction = iota
	PoliceToHealth
)

// A Request is one question to the decision point: everything a decision
// depends on besides the resource itself, the time included.
type Request struct {
	At         time.Time
	Action     string // consentaction code; "access" if empty
	Requester  Requester
	Purposes   []label.Code
	Scopes     smart.Scopes
	Direction  Direction
	Agreements []string // ids of sharing agreements in force between the two organisations
	LegalBasis *LegalBasis
	BreakGlass *BreakGlass
	// Person lists the references that denote the person asked about, one per
	// linked Patient ("Patient/p1"). Empty: each resource's own subject.
	Person   []string
	Consents []*consent.Consent
}

// A BreakGlass is a declaration of an emergency: design consent.md 3.6.
type BreakGlass struct {
	Declared                bool
	Reason                  string
	ConsentCannotBeObtained bool
}

// A LegalBasis is an accepted legal basis: design consent.md 3.5. Attributes
// holds what its type requires, decoded from JSON.
type LegalBasis struct {
	Type       string
	Covers     []string
	Attributes map[string]any
}

// A Subject is the resource judged.
type Subject struct {
	Resource *resource.Resource
	Labels   *label.Labels
	Origin   resource.Origin
	// Patient is the reference of the person the resource is about, "" if none.
	Patient string
}

// A Decision is an Effect with what it depends on.
type Decision struct {
	Effect      Effect
	Reasons     []Reason // in order of evaluation; never shown to the caller
	Obligations []Obligation
	// Remove lists the values to cut out when Effect is Redact; they are nodes
	// of the Subject's resource.
	Remove []resource.Node
}

// A Reason says which rule or provision spoke, in a stable, machine-readable way.
type Reason struct {
	Rule     string `json:"rule"`               // "consent/deny", "baseline/police", "gate/part2", "gate/scope" …
	Effect   string `json:"effect"`             // "permit", "deny", "redact"
	Consent  string `json:"consent,omitempty"`  // "Consent/c1/_history/3"
	Path     string `json:"path,omitempty"`     // "provision.provision[0]"
	Citation string `json:"citation,omitempty"` // "45 CFR 164.506(c)"
	Detail   string `json:"detail,omitempty"`
}

// An Obligation is a duty attached to a permit. An enforcement point that does
// not know one refuses.
type Obligation string

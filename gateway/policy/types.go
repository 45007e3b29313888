package policy

import (
	"regexp"
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
	OrganizationKind string // police, health or exchange; "" if it is not known
	// Designations say as what its organisation is designated, for instance as
	// one of the agencies that a statute lists.
	Designations     []string
	Identifiers      []Identifier
	CareTeams        []string
	Groups           []string
	Networks         []string // exchanges of which its organisation is a participant
	Roles            []label.Code
	TreatingProvider bool // has a treating provider relationship with this patient
	MedicalPersonnel bool // in the sense of 42 CFR 2.51
	// Police says that the organisation is a law-enforcement agency, and with it
	// a criminal justice agency. A role of law enforcement says so too.
	Police bool
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
	At     time.Time
	Action string // consentaction code; "access" if empty
	// DenyActions are further consentaction codes for what is asked, for which a
	// deny is heard too. Empty: Action alone.
	DenyActions []string
	Requester   Requester
	Purposes    []label.Code
	Scopes      smart.Scopes
	Direction   Direction
	Agreements  []string // ids of sharing agreements in force between the two organisations
	// Jurisdiction is of the custodian whose data are judged: a country, or a
	// country and a state ("US-TX"). "" is unknown.
	Jurisdiction string
	Designations []string // as what the custodian is designated
	// LegalBases are the accepted legal bases. Each is valid or void by itself; a
	// resource is reached if any valid one reaches it.
	LegalBases []*LegalBasis
	BreakGlass *BreakGlass
	// Person lists the references that denote the person asked about, one per
	// linked Patient ("Patient/p1"). Empty: each resource's own subject.
	Person   []string
	Consents []*consent.Consent
	// Graph knows which resources refer to which, for Consents about "related"
	// data; nil: nothing is known, and such a permit reaches only the instance.
	Graph consent.Graph
	// LaunchPatient is the patient in context of the token, who is all that
	// patient/ scopes cover; "" if there is none.
	LaunchPatient string
	// MinimumNecessary holds every answer to the minimum-necessary profile,
	// whatever the ground: for an operation that shows no more than the call needs.
	MinimumNecessary bool
	// OwnRecords lets an organisation see the records it is custodian of: that
	// is no disclosure, so only a deny that names it as recipient is followed.
	// Its own Consents it sees even then, or it could not end one.
	OwnRecords bool
}

var jurisdictionForm = regexp.MustCompile(`^[A-Z]{2}(-[A-Z0-9]{1,3})?$`)

// ValidJurisdiction says whether s has the form of a country (ISO 3166-1
// alpha-2), or of a country and a part of it (ISO 3166-2).
func ValidJurisdiction(s string) bool { return jurisdictionForm.MatchString(s) }

// A BreakGlass is a declaration of an emergency: design consent.md 3.6.
type BreakGlass struct {
	Declared                bool
	Reason                  string
	ConsentCannotBeObtained bool
}

// A LegalBasis is an accepted legal basis: design consent.md 3.5. Attributes
// holds what its type requires, decoded from JSON.
type LegalBasis struct {
	ID     string // for reasons: the record of its acceptance ("Task/…/_history/2"), "" if there is none
	Type   string
	Covers []string
	// Types limits it to these resource types. It stands in place of Covers, or
	// beside it, where a sharing agreement has accepted the basis in advance and
	// nobody has named resources.
	Types      []string
	Attributes map[string]any
	// AcceptedBy names the rule of a standing agreement that accepts the basis in
	// advance: "agreement/rule". It must be in force and reach the requester, and
	// it may limit the elements. "": somebody at the custodian accepted it, which
	// the caller has verified.
	AcceptedBy string
}

// A Subject is the resource judged.
type Subject struct {
	Resource *resource.Resource
	Labels   *label.Labels
	Origin   resource.Origin
	// Patient is the reference of the person the resource is about, "" if none.
	Patient string
	// Internal marks a record that the gateway keeps for its custodian: a
	// declaration, an acceptance, a notice. It goes to the custodian's
	// organisation alone, whatever Consents, agreements and bases say.
	Internal bool
}

// A Decision is an Effect with what it depends on.
type Decision struct {
	Effect      Effect
	Reasons     []Reason // in order of evaluation; never shown to the caller
	Obligations []Obligation
	// Remove lists the values to cut out when Effect is Redact; they are nodes
	// of the Subject's resource. What must go with them is enforce's to know:
	// the smallest optional element around each, and the narrative.
	Remove []resource.Node
}

// A Reason says which rule or provision spoke, in a stable, machine-readable way.
type Reason struct {
	Rule     string `json:"rule"`               // "consent/deny", "baseline/police", "gate/part2", "gate/scope" …
	Effect   string `json:"effect"`             // "permit", "deny", "redact"
	Consent  string `json:"consent,omitempty"`  // "Consent/c1/_history/3"
	Path     string `json:"path,omitempty"`     // "provision.provision[0]"
	Basis    string `json:"basis,omitempty"`    // LegalBasis.ID
	Pack     string `json:"pack,omitempty"`     // the rule's pack and its version: "us-federal@2026.11"
	Citation string `json:"citation,omitempty"` // "45 CFR 164.506(c)"
	Detail   string `json:"detail,omitempty"`
}

// An Obligation is a duty attached to a permit. An enforcement point that does
// not know one refuses.
type Obligation string

// The obligations: codes of v3-ActCode, and the project's own for the duties
// of 42 CFR Part 2.
const (
	Audit          Obligation = "AUDIT"
	NoRedisclosure Obligation = "NORDSCLCD" // without a consent directive
	NoReuse        Obligation = "NOREUSE"
	Account        Obligation = "AOD"    // accounting of disclosures: 45 CFR 164.528
	MinimumNeeded  Obligation = "MINEC"  // minimum necessary
	HumanApproval  Obligation = "HUAPRV" // the ground is a person's judgement
	Part2Notice    Obligation = "part2-notice-2.32(a)"
	Part2Copy      Obligation = "part2-consent-copy-2.32(b)"
	Part2Emergency Obligation = "part2-emergency-record-2.51(c)"
)

// The notices of 42 CFR 2.32(a), of which one goes with every disclosure of
// Part 2 data on a Consent, word for word.
const (
	Part2NoticeShort = "42 CFR part 2 prohibits unauthorized use or disclosure of these records."
	Part2NoticeFull  = "This record which has been disclosed to you is protected by Federal confidentiality rules (42 CFR part 2). " +
		"These rules prohibit you from using or disclosing this record, or testimony that describes the information contained in this record, " +
		"in any civil, criminal, administrative, or legislative proceedings by any Federal, State, or local authority, against the patient, " +
		"unless authorized by the consent of the patient, except as provided at 42 CFR 2.12(c)(5) or as authorized by a court in accordance with 42 CFR 2.64 or 2.65. " +
		"In addition, the Federal rules prohibit you from making any other use or disclosure of this record unless at least one of the following applies: " +
		"(i) Further use or disclosure is expressly permitted by the written consent of the individual whose information is being disclosed in this record or as otherwise permitted by 42 CFR part 2. " +
		"(ii) You are a covered entity or business associate and have received the record for treatment, payment, or health care operations, or " +
		"(iii) You have received the record from a covered entity or business associate as permitted by 45 CFR part 164, subparts A and E. " +
		"A general authorization for the release of medical or other information is NOT sufficient to meet the required elements of written consent to further use or redisclose the record (see 42 CFR 2.31)."
)

package audit

import (
	"context"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/policy"
)

// An Event is what the audit trail keeps about one interaction, permitted or
// refused: who asked what, about whom, for what, and what came of it. It holds
// ids, codes and counts, never clinical content. It is rendered as a
// BALP-shaped AuditEvent.
type Event struct {
	ID           string        `json:"id"` // of the request, also in the answer's X-Request-Id
	At           time.Time     `json:"at"` // hundredths of a second or finer, UTC
	Duration     time.Duration `json:"duration"`
	Interaction  string        `json:"interaction"`     // FHIR restful-interaction code: read, search-type, create …; "token" for the token endpoint, "webhook" for events of a feed
	Operation    string        `json:"operation"`       // "GET", "POST"
	Path         string        `json:"path"`            // without query
	Query        string        `json:"query,omitempty"` // as asked; kept base64 in the AuditEvent as BALP has it
	Outcome      Outcome       `json:"outcome"`
	Status       int           `json:"status"`           // HTTP
	Reason       string        `json:"reason,omitempty"` // stable code of a refusal
	Client       string        `json:"client,omitempty"`
	User         string        `json:"user,omitempty"`     // "Practitioner/…", or the id that the client asserted
	UserName     string        `json:"userName,omitempty"` // as asserted
	Organization string        `json:"organization,omitempty"`
	Roles        []string      `json:"roles,omitempty"`
	Purposes     []string      `json:"purposes,omitempty"`
	TokenID      string        `json:"token,omitempty"`
	Source       string        `json:"source,omitempty"` // network address of the caller
	Patients     []string      `json:"patients,omitempty"`
	Systems      []string      `json:"systems,omitempty"` // connected systems asked
	Incomplete   bool          `json:"incomplete,omitempty"`
	BytesOut     int           `json:"bytesOut,omitempty"`
	ConsentEpoch int64         `json:"consentEpoch,omitempty"`
	// Facts are what the decisions depended on; nil in events of a release that
	// did not record them, and where nothing was decided.
	Facts       *Facts   `json:"facts,omitempty"`
	Resources   []Judged `json:"resources,omitempty"`
	Unlisted    int      `json:"unlisted,omitempty"` // refused resources beyond those listed
	Obligations []string `json:"obligations,omitempty"`
}

// A Judged is one resource that was decided on.
type Judged struct {
	Reference string `json:"reference,omitempty"` // with version where known
	// Digest names the content that was decided on (resource.Digest): as stored,
	// or as it appears here where it is a connected system's.
	Digest   string `json:"digest,omitempty"`
	Decision string `json:"decision"` // permit, deny, redact: as it was carried out
	// Policy is what was decided, where it was carried out otherwise: a redact
	// that would have left nothing, or nothing that matches, becomes a deny.
	Policy string `json:"policy,omitempty"`
	// Unsent is something permitted that was not part of the answer.
	Unsent   bool            `json:"unsent,omitempty"`
	Question int             `json:"question,omitempty"` // number in Facts.Questions; 0: policy was not asked
	Patient  string          `json:"patient,omitempty"`  // whom it is about
	Origin   resource.Origin `json:"origin,omitzero"`
	Internal bool            `json:"internal,omitempty"` // kept by the gateway for its custodian
	Labels   []string        `json:"labels,omitempty"`
	Labelled string          `json:"labelled,omitempty"` // digest of all its labels, those of elements included
	Reasons  []policy.Reason `json:"reasons,omitempty"`
	// Obligations are those of this resource.
	Obligations []string `json:"obligations,omitempty"`
	// Cut lists what was cut out of a redact, as spans of bytes "from-to".
	Cut string `json:"cut,omitempty"`
}

// An Outcome is an AuditEvent outcome code: 0 success, 4 minor, 8 serious, 12 major failure.
type Outcome uint8

// The outcomes.
const (
	Success Outcome = 0
	Minor   Outcome = 4
	Serious Outcome = 8
	Major   Outcome = 12
)

// String names the outcome.
func (o Outcome) String() string {
	switch o {
	case Success:
		return "success"
	case Minor:
		return "minor failure"
	case Serious:
		return "serious failure"
	case Major:
		return "major failure"
	}
	return "unknown outcome"
}

// A Recorder makes events durable. Record returns after the event is safe, and
// no answer leaves before that; an error means no answer.
type Recorder interface {
	Record(ctx context.Context, e *Event) error
}

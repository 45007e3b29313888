package audit

import (
	"context"
	"time"

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
	Interaction  string        `json:"interaction"`     // FHIR restful-interaction code: read, search-type, create …; "token" for the token endpoint
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
	Resources    []Judged      `json:"resources,omitempty"`
	Obligations  []string      `json:"obligations,omitempty"`
}

// A Judged is one resource that was decided on.
type Judged struct {
	Reference string          `json:"reference"` // with version where known
	Decision  string          `json:"decision"`  // permit, deny, redact
	Labels    []string        `json:"labels,omitempty"`
	Reasons   []policy.Reason `json:"reasons,omitempty"`
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

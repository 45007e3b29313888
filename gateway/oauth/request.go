package oauth

import (
	"context"
	"time"

	"github.com/handoff-health/handoff/gateway/auth"
)

// A Request is an authorization request that was checked and waits for a person:
// what launch's pages need to know of it.
type Request struct {
	ID          string // opaque, unguessable
	Client      string
	RedirectURI string
	Scope       string // as asked, known to be registered
	Launch      string // handle of an EHR launch; "" for a standalone one
	Created     time.Time
	MaxAge      time.Duration // of the sign-in, as asked (max_age); -1: not asked
	Prompt      []string
}

// A Decision is what the person let the app do.
type Decision struct {
	Provider string // where the person signed in
	Subject  string
	Session  string
	Said     auth.Asserted // who, in which role, for which purposes
	ACR      string
	MFA      bool
	SignedIn time.Time
	FHIRUser string // "Practitioner/…"
	Scope    string // of Request.Scope, what was granted
	Patient  string // "Patient/…"
	// Encounter is "Encounter/…".
	Encounter string
	// Context goes into the token answer beside patient and encounter:
	// fhirContext, need_patient_banner, intent …
	Context map[string]any
}

// Requests is what the pages may do with requests that wait. A request can be
// answered once.
type Requests interface {
	Request(ctx context.Context, id string) (*Request, error) // ErrNoRequest
	// Approve keeps the decision and returns where to send the browser.
	Approve(ctx context.Context, id string, d Decision) (redirect string, err error)
	// Refuse ends the request with an error for the app.
	Refuse(ctx context.Context, id string, r Refusal) (redirect string, err error)
}

// A Refusal is how a request ends without a grant. The app learns code and
// description; reason and by are for the audit trail.
type Refusal struct {
	Code        string   // OAuth or OpenID Connect error: access_denied, login_required …
	Description string   // plain ASCII
	Reason      string   // stable
	By          Decision // who was there, and what they had chosen, as far as it is known
}

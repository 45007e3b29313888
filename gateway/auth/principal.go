package auth

import (
	"time"

	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/smart"
)

// A Principal is who a verified access token speaks for. Organisation, roles
// and purposes come from the client's registration as it stands now, narrowed
// by what the client asserted when it asked for the token, never from a header
// or a body. Its slices are shared and must not be changed.
type Principal struct {
	TokenID    string // jti
	Issuer     string
	Client     string
	Requester  policy.Requester
	Police     bool     // the client's organisation is a law-enforcement agency
	Purposes   []string // "system|code"
	Agreements []string // ids of sharing agreements that the registration names
	Manages    []string // organisations whose clients it may manage beside its own's
	Scopes     smart.Scopes
	Patient    string // in context, "Patient/…"; "" if none
	Encounter  string // in context, "Encounter/…"; "" if none
	Expires    time.Time
	// Authorization is the family of tokens of a person's sign-in to an app, and
	// Session the sign-in; "" for a token of the client's own.
	Authorization, Session string
	// User is the person for whom the client asks; the zero User where the token
	// names none.
	User User
	// Operations are the granted scopes that open an operation of their own, as
	// canonical URLs: [ScopeExplainAccess] …
	Operations []string
	// ContextScopes are those of the token that open no resource: openid, fhirUser …
	ContextScopes []string
}

// ForPerson says whether the token is a person's, who signed in: user/ and
// patient/ scopes count for it. A client's own has system/ scopes, also where the
// client names a person.
func (p *Principal) ForPerson() bool { return p.Authorization != "" || p.User.Subject != "" }

// A User is a person behind a client, as the token names them.
type User struct {
	ID   string // of the person at the client's organisation: an NPI, a badge number …
	Name string
	// Methods are the values of amr as asserted; MFA says what is believed.
	Methods []string
	MFA     bool // signed in with more than one factor
	// Subject is the sub of the person's tokens; "" where a client asserts the person.
	Subject string
	ACR     string
	// SignedIn is when; zero where it is not known.
	SignedIn time.Time
}

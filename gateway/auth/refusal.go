package auth

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// OAuth error codes (RFC 6749 5.2, RFC 6750 3.1, RFC 8707 2).
const (
	codeInvalidRequest   = "invalid_request"
	codeInvalidClient    = "invalid_client"
	codeInvalidGrant     = "invalid_grant"
	codeInvalidScope     = "invalid_scope"
	codeInvalidTarget    = "invalid_target"
	codeUnsupportedGrant = "unsupported_grant_type"
	codeUnauthorized     = "unauthorized_client"
	codeTooMany          = "temporarily_unavailable"
	codeServerError      = "server_error"
	codeInvalidToken     = "invalid_token"

	codeInsufficientScope = "insufficient_scope"
)

// A Refusal says why a request was not authenticated. Code and Description may
// be shown to the caller; Reason and Err are for the audit trail and the log.
type Refusal struct {
	Status      int    // HTTP
	Code        string // OAuth error code; "" when no credentials came
	Description string // plain ASCII, tells nothing about other clients
	Reason      string // stable: "signature", "expired", "replay", "client-unknown" …
	Err         error  // what happened, nil if Reason says all
	// RetryAfter is when it may be worth another try, of a 429.
	RetryAfter time.Duration
}

func (r *Refusal) Error() string {
	if r.Err != nil {
		return fmt.Sprintf("refused (%s): %v", r.Reason, r.Err)
	}
	return "refused (" + r.Reason + ")"
}

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// AsRefusal is err as a refusal: what is none is the server's own trouble, of
// which the caller learns nothing but whether it will pass (RFC 7009 2.2.1). nil stays
// nil.
func AsRefusal(err error) *Refusal {
	if err == nil {
		return nil
	}
	if r := (*Refusal)(nil); errors.As(err, &r) {
		return r
	}
	if errors.Is(err, store.ErrAway) || errors.Is(err, store.ErrLocked) || errors.Is(err, store.ErrFull) {
		return &Refusal{
			Status: http.StatusServiceUnavailable, Code: codeTooMany, Description: "the server cannot answer now; try again later",
			Reason: reasonOf(err), Err: err, RetryAfter: comeAgain,
		}
	}
	return &Refusal{Status: http.StatusInternalServerError, Code: codeServerError, Reason: reasonOf(err), Err: err}
}

// comeAgain is when a store that could not be reached is worth another try.
const comeAgain = 5 * time.Second

// TooMany refuses a caller above its rate; wait is when one request more is let
// through.
func TooMany(wait time.Duration) *Refusal {
	return &Refusal{Status: http.StatusTooManyRequests, Code: codeTooMany, Description: "too many requests; try again later", Reason: "rate", RetryAfter: wait}
}

// RetryAfter writes a time to wait as the header has it: whole seconds, at least one.
func RetryAfter(wait time.Duration) string {
	return strconv.FormatInt(max(1, int64((wait+time.Second-1)/time.Second)), 10)
}

// A fault is why one signed token is not believed.
type fault struct {
	reason string
	err    error
}

func (f *fault) Error() string { return f.reason + ": " + f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

func faultf(reason, format string, args ...any) error {
	return &fault{reason, fmt.Errorf(format, args...)}
}

// reasonOf returns the stable reason in err, "error" if it has none.
func reasonOf(err error) string {
	if f := (*fault)(nil); errors.As(err, &f) {
		return f.reason
	}
	return "error"
}

// Challenge turns an error of [BearerFromRequest] or [Verifier.Verify] into the
// status and the WWW-Authenticate header of the answer (RFC 6750 3). An error
// that is no Refusal is the server's own trouble: 503 and no header.
func Challenge(realm string, err error) (status int, header string) {
	r := (*Refusal)(nil)
	if !errors.As(err, &r) {
		return http.StatusServiceUnavailable, ""
	}
	header = fmt.Sprintf("Bearer realm=%q", realm)
	if r.Code != "" {
		header += fmt.Sprintf(", error=%q", r.Code)
	}
	if r.Description != "" {
		header += fmt.Sprintf(", error_description=%q", r.Description)
	}
	return r.Status, header
}

// multiFactor is the authentication context class of a sign-in with more than one
// factor (OpenID PAPE 1.0, 4).
const multiFactor = "http://schemas.openid.net/pape/policies/2007/06/multi-factor"

// InsufficientAuthentication is the WWW-Authenticate header of an answer to a
// token whose user signed in with one factor where more are asked for (RFC 9470 3).
func InsufficientAuthentication(realm string) string {
	return fmt.Sprintf("Bearer realm=%q, error=%q, acr_values=%q", realm, "insufficient_user_authentication", multiFactor)
}

// InsufficientScope is the WWW-Authenticate header of a 403 for a token whose
// scopes do not allow the interaction.
func InsufficientScope(realm string) string {
	return fmt.Sprintf("Bearer realm=%q, error=%q", realm, "insufficient_scope")
}

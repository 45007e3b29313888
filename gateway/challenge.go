package gateway

import (
	"errors"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/gateway/auth"
)

// A challenge tells a client which other token would do. A refusal that no other
// token would lift, because of who the client or its organisation is, has none.

var (
	errScope  = errors.New("the scopes do not suffice")
	errFactor = errors.New("the user signed in with one factor")
)

// beyondScope refuses a token whose scopes do not suffice (RFC 6750 3.1).
func beyondScope(format string, args ...any) *outcome.Error {
	return outcome.Forbidden(format, args...).Because(errScope)
}

// oneFactor refuses a token of a user who signed in with one factor (RFC 9470 3).
func oneFactor(format string, args ...any) *outcome.Error {
	return outcome.Forbidden(format, args...).Because(errFactor)
}

// challengeOf is the WWW-Authenticate header of a 403; "" for none.
func challengeOf(err error) string {
	switch {
	case errors.Is(err, errScope):
		return auth.InsufficientScope(realm)
	case errors.Is(err, errFactor):
		return auth.InsufficientAuthentication(realm)
	}
	return ""
}

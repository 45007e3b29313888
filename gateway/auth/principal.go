package auth

import (
	"time"

	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/smart"
)

// A Principal is who a verified access token speaks for. Organisation, roles
// and purposes come from the client's registration as it stands now (and,
// later, the user's), never from a header or a body. Its slices are shared and
// must not be changed.
type Principal struct {
	TokenID    string // jti
	Issuer     string
	Client     string
	Requester  policy.Requester
	Police     bool     // the client's organisation is a law-enforcement agency
	Purposes   []string // "system|code"
	Agreements []string // ids of sharing agreements that the registration names
	Scopes     smart.Scopes
	Patient    string // launch context, "" if none
	Expires    time.Time
}

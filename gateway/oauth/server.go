package oauth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
)

// Paths at the origin of the server.
const (
	AuthorizePath = "/oauth/authorize"
	TokenPath     = "/oauth/token"
	UserInfoPath  = "/oauth/userinfo"
	KeysPath      = "/oauth/jwks"
	// PagePath is where the browser goes with a request that was checked, in the
	// parameter id: package launch answers there.
	PagePath = "/oauth/launch/authorize"
)

// Lifetimes.
const (
	// CodeLife is that of an authorization code (SMART 2.2: about one minute).
	CodeLife = time.Minute
	// RequestLife is how long a person may take to sign in and to decide.
	RequestLife = 15 * time.Minute
	// OfflineIdle ends a refresh token of offline_access that is not used, and
	// OfflineAbsolute every one, so long after the person's decision.
	OfflineIdle     = 30 * 24 * time.Hour
	OfflineAbsolute = auth.MaxFamilyLife
	// OnlineAbsolute ends refresh tokens of online_access so long after the
	// sign-in, if the session has not ended before.
	OnlineAbsolute = 12 * time.Hour
	idTokenLife    = 5 * time.Minute
)

// Sessions says whether somebody is still signed in.
type Sessions interface {
	// Alive is false for a session that has ended, by the person, by an
	// administrator, by idleness or by age. An error is no answer.
	Alive(ctx context.Context, session string) (bool, error)
}

// A Verifier says for whom a bearer token speaks.
type Verifier interface {
	Verify(ctx context.Context, bearer string) (*auth.Principal, error)
}

// Options are the parts of an authorization server. All are required unless said
// otherwise.
type Options struct {
	Issuer   string // its URL: the origin under which the paths are mounted
	Base     string // FHIR base URL: what aud must be
	Registry *auth.Registry
	Facts    store.Facts
	Tokens   *auth.TokenEndpoint // signs access tokens, authenticates clients, grants to backend services
	IDKey    *auth.PrivateKey    // RS256: signs id tokens
	Verifier Verifier            // of the tokens that userinfo gets
	Auditor  auth.Auditor        // token requests
	Recorder audit.Recorder      // authorizations
	// Sessions is asked before online_access is refreshed; optional, without it
	// online_access is never granted.
	Sessions Sessions
	// Refused shows a person that an authorization request cannot be answered, where
	// its app cannot be told; id is the request's in the audit trail. Optional.
	Refused func(w http.ResponseWriter, r *http.Request, status int, id, text string)
	NewID   func() string // of audit events
	// Pin gives the context of a request that starts now, where the verifier's facts
	// have memory; optional.
	Pin func(context.Context) (context.Context, error)
	// Source is the caller's address; optional, its peer's.
	Source func(*http.Request) string
	Now    func() time.Time // optional
}

// A Server is the authorization server. It implements [Requests] for the pages
// and is safe for concurrent use.
type Server struct {
	o      Options
	names  *auth.Authenticator
	engine http.Handler // zitadel/oidc's state machine around [provider]
	keys   keyStore
}

// New checks the options.
func New(o Options) (*Server, error) {
	for name, s := range map[string]string{"Issuer": o.Issuer, "Base": o.Base} {
		if u, err := url.Parse(s); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
			return nil, fmt.Errorf("authorization server: %s %q is not an absolute http URL", name, s)
		}
	}
	if o.Registry == nil || o.Facts == nil || o.Tokens == nil || o.IDKey == nil || o.Verifier == nil || o.Auditor == nil || o.Recorder == nil || o.NewID == nil {
		return nil, errors.New("authorization server: registry, facts, tokens, key, verifier, auditor, recorder or ids are missing")
	}
	if o.IDKey.Algorithm() != auth.RS256 {
		return nil, fmt.Errorf("authorization server: id tokens are signed with RS256 (SMART 2.2), not %s", o.IDKey.Algorithm())
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Source == nil {
		o.Source = peer
	}
	if o.Pin == nil {
		o.Pin = func(ctx context.Context) (context.Context, error) { return ctx, nil }
	}
	if o.Refused == nil {
		o.Refused = plainRefusal
	}
	s := &Server{o: o, names: o.Tokens.Authenticator(), keys: keyStore{o.Facts}}
	s.engine = op.RegisterServer(&provider{Server: s}, op.Endpoints{
		Authorization: op.NewEndpoint(AuthorizePath), Token: op.NewEndpoint(TokenPath),
	}, op.WithServerCORSOptions(nil), op.WithEncoder(issuerEncoder(o.Issuer)))
	return s, nil
}

// peer is the address at the other end of the connection.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// Handlers are what the server mounts, by path.
func (s *Server) Handlers() map[string]http.Handler {
	return map[string]http.Handler{
		AuthorizePath: http.HandlerFunc(s.authorize),
		TokenPath:     http.HandlerFunc(s.token),
		UserInfoPath:  http.HandlerFunc(s.userinfo),
		KeysPath:      http.HandlerFunc(s.publicKeys),
	}
}

// A call is one request on its way through zitadel/oidc: what was read and
// checked before it, and what came of it. The library sees no credential and no
// parameter that it would judge otherwise than SMART does.
type call struct {
	form    map[string]string
	client  *auth.Authenticated // of a token request
	app     *auth.Client        // of an authorization request
	attempt *auth.Attempt       // of a token request
	event   *audit.Event        // of an authorization request
	refusal *auth.Refusal
}

type callKey struct{}

func withCall(ctx context.Context, c *call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// callOf returns the call of a request; an empty one, which permits nothing, if
// something else than the server's own handlers asks.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{attempt: &auth.Attempt{}, event: &audit.Event{}}
}

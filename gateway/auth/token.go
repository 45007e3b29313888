package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// MaxTokenLife is the longest life of an access token (SMART 2.2 Backend
// Services: expires_in should not exceed 300).
const MaxTokenLife = 5 * time.Minute

// An Auditor keeps a record of every token request, granted or refused. It is
// called before the answer leaves; an error means that no token leaves.
type Auditor interface {
	TokenRequested(ctx context.Context, a *Attempt) error
}

// An Attempt is one token request and what came of it. It holds no assertion
// and no token.
type Attempt struct {
	At            time.Time
	Duration      time.Duration
	Source        string // network address of the caller
	Method        string
	GrantType     string // as asked
	Client        string // as claimed; "" if none was
	Authenticated bool   // the claim was proven
	Locked        bool   // this failure locked the client out at this address
	Organization  string // of an authenticated client
	User          User   // for whom an authenticated client asks; zero: for nobody
	Reference     string // of the user, where the directory knows it
	Roles         []string
	Purposes      []string
	Requested     string // scope, of an authenticated client
	Granted       string // scope
	TokenID       string // jti of the token; "" if refused
	Authorization string // family of the token; "" for a client's own
	Expires       time.Time
	Status        int    // HTTP
	Error         string // OAuth error code; "" if granted
	Reason        string // stable code of a refusal; "" if granted
}

// TokenOptions says how tokens are issued.
type TokenOptions struct {
	URL      string // of the endpoint, absolute: the audience of assertions
	Issuer   string // iss of access tokens, an absolute URL
	Audience string // aud of access tokens: the FHIR base URL
	Registry *Registry
	Facts    store.Facts
	Key      *PrivateKey   // signs access tokens
	Life     time.Duration // of an access token; 0 is MaxTokenLife, its most
	Skew     time.Duration // 0 is DefaultSkew
	Auditor  Auditor
	Limiter  Limiter                    // of clients that authenticate; nil: none
	Now      func() time.Time           // nil is time.Now
	Source   func(*http.Request) string // the caller's address; nil is RemoteAddr
}

// A TokenEndpoint is the SMART Backend Services token endpoint: client
// credentials with a signed assertion, nothing else.
type TokenEndpoint struct {
	o     TokenOptions
	names *Authenticator
}

// NewTokenEndpoint checks the options.
func NewTokenEndpoint(o TokenOptions) (*TokenEndpoint, error) {
	if u, err := url.Parse(o.Audience); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fmt.Errorf("token endpoint: Audience %q is not an absolute http URL", o.Audience)
	}
	if o.Registry == nil || o.Facts == nil || o.Key == nil || o.Auditor == nil {
		return nil, errors.New("token endpoint: registry, facts, key or auditor is missing")
	}
	if o.Life == 0 {
		o.Life = MaxTokenLife
	}
	if o.Life < time.Second || o.Life > MaxTokenLife {
		return nil, fmt.Errorf("token endpoint: tokens live from 1s to %v, not %v", MaxTokenLife, o.Life)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Source == nil {
		o.Source = func(r *http.Request) string { return r.RemoteAddr }
	}
	names, err := NewAuthenticator(AuthenticatorOptions{TokenURL: o.URL, Issuer: o.Issuer, Registry: o.Registry, Facts: o.Facts, Skew: o.Skew, Limiter: o.Limiter, Now: o.Now})
	if err != nil {
		return nil, err
	}
	return &TokenEndpoint{o: o, names: names}, nil
}

// AccessTokens signs what the endpoint's issuer issues.
func (e *TokenEndpoint) AccessTokens() AccessTokens {
	return AccessTokens{Issuer: e.o.Issuer, Audience: e.o.Audience, Key: e.o.Key, Now: e.o.Now}
}

// Authenticator is what the endpoint knows its clients by.
func (e *TokenEndpoint) Authenticator() *Authenticator { return e.names }

func checkSkew(d time.Duration) (time.Duration, error) {
	if d == 0 {
		d = DefaultSkew
	}
	if d < 0 || d > maxSkew {
		return 0, fmt.Errorf("clock skew %v is not between 0 and %v", d, maxSkew)
	}
	return d, nil
}

// A Grant is the answer of RFC 6749 5.1 to a client that asks for itself.
type Grant struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
	Scope       string `json:"scope"`
}

// problem is the answer of RFC 6749 5.2.
type problem struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// ServeHTTP answers one token request.
func (e *TokenEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := &Attempt{At: e.o.Now(), Source: e.o.Source(r), Method: r.Method}
	g, err := e.answer(r, a)
	refusal := AsRefusal(err)
	a.Close(refusal, e.o.Now())
	// A caller that hangs up must not leave the trail without the attempt.
	if err := e.o.Auditor.TokenRequested(context.WithoutCancel(r.Context()), a); err != nil {
		refusal = &Refusal{Status: http.StatusInternalServerError, Code: codeServerError, Reason: "audit", Err: err}
	}
	if refusal != nil {
		WriteRefusal(w, r, refusal)
		return
	}
	WriteJSON(w, http.StatusOK, g)
}

// Close notes what came of the attempt; refusal nil: a token leaves.
func (a *Attempt) Close(refusal *Refusal, now time.Time) {
	a.Status, a.Duration = http.StatusOK, now.Sub(a.At)
	if refusal != nil {
		a.Status, a.Error, a.Reason = refusal.Status, refusal.Code, refusal.Reason
		a.Granted, a.TokenID, a.Expires = "", "", time.Time{}
	}
}

// WriteRefusal answers with an OAuth error (RFC 6749 5.2).
func WriteRefusal(w http.ResponseWriter, r *http.Request, f *Refusal) {
	switch {
	case f.Status == http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	case f.Reason == reasonAuthorizationHeader:
		// A client that tried a scheme is told about that scheme.
		w.Header().Set("WWW-Authenticate", attemptedScheme(r)+` realm="token"`)
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", RetryAfter(f.RetryAfter))
	}
	// The rest of a refused body is not read.
	if f.Code == codeInvalidRequest {
		w.Header().Set("Connection", "close")
	}
	WriteJSON(w, f.Status, problem{f.Code, f.Description})
}

// WriteJSON answers with v, which can be encoded, and lets nobody keep it (RFC
// 6749 5.1): for every answer below /oauth that may hold a token or a handle.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // strings only: cannot happen
		status, body = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller has gone if this fails
}

package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/guard"
)

// How clients authenticate (RFC 7591 2, token_endpoint_auth_method).
const (
	MethodPrivateKeyJWT = "private_key_jwt"
	MethodSecretBasic   = "client_secret_basic"
	MethodSecretPost    = "client_secret_post"
	MethodNone          = "none" // a public app: its code_verifier stands in
)

// AuthenticatorOptions says against what clients prove who they are.
type AuthenticatorOptions struct {
	TokenURL string // the audience of assertions, whichever endpoint gets them
	Issuer   string // the audience that some clients are registered to use instead
	Registry *Registry
	Facts    store.Facts      // used assertions
	Skew     time.Duration    // 0 is DefaultSkew
	Limiter  Limiter          // nil: none
	Now      func() time.Time // nil is time.Now
}

// An Authenticator says which client sent a form: to the token endpoint, or to
// ask or to end a token.
type Authenticator struct {
	o     AuthenticatorOptions
	decoy *decoy
}

// NewAuthenticator checks the options.
func NewAuthenticator(o AuthenticatorOptions) (*Authenticator, error) {
	for name, s := range map[string]string{"URL": o.TokenURL, "Issuer": o.Issuer} {
		if u, err := url.Parse(s); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
			return nil, fmt.Errorf("client authentication: %s %q is not an absolute http URL", name, s)
		}
	}
	if o.Registry == nil || o.Facts == nil {
		return nil, errors.New("client authentication: registry or facts are missing")
	}
	var err error
	if o.Skew, err = checkSkew(o.Skew); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	d, err := newDecoy()
	if err != nil {
		return nil, err
	}
	return &Authenticator{o: o, decoy: d}, nil
}

// Authenticated is a client that has proven its name or, with MethodNone, a
// public one that has only said it.
type Authenticated struct {
	client *registered
	claims *claims // of its assertion; nil without one
	// generation of what it is given: that of before its registration was looked at.
	generation string
	Method     string
}

// Client returns the registration as it stood when the client authenticated.
// Its slices are shared and must not be changed.
func (a *Authenticated) Client() *Client { return &a.client.Client }

// find looks a client up that claims a name; nil if there is none. Its generation is
// read first: a client that is ended once it was found gets nothing of the new one.
func (n *Authenticator) find(ctx context.Context, id string) (client *registered, generation string, err error) {
	if generation, err = ReadGeneration(ctx, n.o.Facts, id, ""); err != nil {
		return nil, "", faultf("store", "read the generation: %w", err)
	}
	client, err = n.o.Registry.client(ctx, id)
	return client, generation, err
}

// Proven says whether the client had to prove its name.
func (a *Authenticated) Proven() bool { return a.Method != MethodNone }

// Authenticate says which client sent a form with these headers. Exactly one
// method counts in one request (RFC 6749 2.3). It notes in a what was claimed and
// whether it was proven. An error that is no [*Refusal] is the server's trouble.
func (n *Authenticator) Authenticate(ctx context.Context, h http.Header, form map[string]string, a *Attempt) (*Authenticated, error) {
	basic := len(h.Values("Authorization")) > 0
	assertion := form["client_assertion"] != "" || form["client_assertion_type"] != ""
	secret := form["client_secret"] != ""
	if several(basic, assertion, secret) && !guard.Off(guard.ClientOneMethod) {
		return nil, badRequest("several-methods", "authenticate in one way only: client_assertion, the Authorization header or client_secret")
	}
	got, err := n.limited(ctx, a, func() (*Authenticated, error) {
		return n.byMethod(ctx, h, form, a, assertion, basic, secret)
	})
	if err != nil {
		return nil, err
	}
	a.Authenticated, a.Organization = got.Proven(), got.client.Organization
	return got, nil
}

func (n *Authenticator) byMethod(ctx context.Context, h http.Header, form map[string]string, a *Attempt, assertion, basic, secret bool) (got *Authenticated, err error) {
	switch {
	case assertion && form["client_assertion_type"] != assertionType && !guard.Off(guard.ClientAssertionType):
		err = badRequest("assertion-type", "client_assertion_type must be "+assertionType)
	case assertion && form["client_assertion"] == "":
		err = badRequest("assertion-missing", "client_assertion is missing")
	case assertion:
		got, err = n.byAssertion(ctx, form, a)
	case basic:
		got, err = n.byHeader(ctx, h, form, a)
	case secret:
		got, err = n.bySecret(ctx, form["client_id"], form["client_secret"], MethodSecretPost, a)
	default:
		got, err = n.byName(ctx, form["client_id"], a)
	}
	return got, err
}

func several(given ...bool) bool {
	n := 0
	for _, g := range given {
		if g {
			n++
		}
	}
	return n > 1
}

// byHeader reads RFC 6749 2.3.1: both parts are form-encoded before they are
// joined.
func (n *Authenticator) byHeader(ctx context.Context, h http.Header, form map[string]string, a *Attempt) (*Authenticated, error) {
	failed := func(why string) error {
		return &Refusal{Status: http.StatusUnauthorized, Code: codeInvalidClient, Description: "client authentication failed", Reason: reasonAuthorizationHeader, Err: errors.New(why)}
	}
	if len(h.Values("Authorization")) > 1 {
		return nil, badRequest("several-methods", "send one Authorization header")
	}
	id, secret, ok := (&http.Request{Header: h}).BasicAuth()
	if !ok {
		return nil, failed("the Authorization header is not HTTP Basic")
	}
	id, err := url.QueryUnescape(id)
	if err != nil {
		return nil, failed("the client id is not form-encoded")
	}
	if secret, err = url.QueryUnescape(secret); err != nil {
		return nil, failed("the secret is not form-encoded")
	}
	if given := form["client_id"]; given != "" && given != id && !guard.Off(guard.ClientIDAgrees) {
		return nil, failed("client_id is not the header's")
	}
	got, err := n.bySecret(ctx, id, secret, MethodSecretBasic, a)
	if r := (*Refusal)(nil); errors.As(err, &r) && r.Status == http.StatusUnauthorized {
		return nil, failed(r.Reason)
	}
	return got, err
}

// bySecret compares hashes in constant time, for a client that does not exist
// too. Secrets are made here at random, so that a plain hash keeps them.
func (n *Authenticator) bySecret(ctx context.Context, id, secret, method string, a *Attempt) (*Authenticated, error) {
	if checkClientID(id) == nil {
		a.Client = id
	}
	if err := n.unlocked(ctx, id, a.Source); err != nil {
		return nil, err
	}
	client, generation, err := n.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := n.guessed(ctx, id, a, func() error { return n.compare(client, secret) }); err != nil {
		return nil, err
	}
	return &Authenticated{client: client, generation: generation, Method: method}, nil
}

// compare asks nobody: others wait meanwhile.
func (n *Authenticator) compare(client *registered, secret string) error {
	hashes := []string{secretHashPrefix + strings.Repeat("0", hex.EncodedLen(sha256.Size))}
	if client != nil && len(client.SecretHashes) > 0 {
		hashes = client.secretHashesAt(n.o.Now())
	}
	sum := sha256.Sum256([]byte(secret))
	want := []byte(secretHashPrefix + hex.EncodeToString(sum[:]))
	same := 0
	for _, h := range hashes {
		same |= subtle.ConstantTimeCompare([]byte(strings.ToLower(h)), want)
	}
	switch {
	case client == nil || client.Disabled && !guard.Off(guard.ClientDisabled):
		return unknownClient(whyNot(client))
	case len(client.SecretHashes) == 0:
		return unknownClient(faultf("client-method", "the client has no secret"))
	case same != 1 && !guard.Off(guard.ClientSecret):
		return unknownClient(faultf("client-secret", "the secret is wrong"))
	}
	return nil
}

// byName takes a public app at its word, and nobody else.
func (n *Authenticator) byName(ctx context.Context, id string, a *Attempt) (*Authenticated, error) {
	if id == "" {
		return nil, unknownClient(faultf("client-missing", "no client is named"))
	}
	if checkClientID(id) == nil {
		a.Client = id
	}
	client, generation, err := n.find(ctx, id)
	if err != nil {
		return nil, err
	}
	switch {
	case client == nil || client.Disabled && !guard.Off(guard.ClientDisabled):
		return nil, unknownClient(whyNot(client))
	case !client.public() && !guard.Off(guard.ClientAuthentication):
		return nil, unknownClient(faultf("client-method", "the client has to authenticate"))
	}
	return &Authenticated{client: client, generation: generation, Method: MethodNone}, nil
}

// public says whether the client has nothing to prove its name with.
func (c *registered) public() bool {
	return c.Public && c.keys == nil && len(c.SecretHashes) == 0
}

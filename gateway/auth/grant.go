package auth

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/smart"
)

const (
	grantClientCredentials    = "client_credentials"
	reasonAuthorizationHeader = "authorization-header"
	maxGrantedBytes           = 4 << 10 // of scope in an access token
)

// answer does everything but audit and writing: read, authenticate, grant.
func (e *TokenEndpoint) answer(r *http.Request, a *Attempt) (*Grant, error) {
	form, err := e.read(r)
	if err != nil {
		return nil, err
	}
	a.GrantType = grantClientCredentials
	client, err := e.names.Authenticate(r.Context(), r.Header, form, a)
	if err != nil {
		return nil, err
	}
	return e.ClientCredentials(form, client, a)
}

// ClientCredentials grants a backend service a token for itself
// (grant_type=client_credentials). It must have proven its name by an assertion:
// SMART keeps secrets out of backend services. It notes in a what was granted.
func (e *TokenEndpoint) ClientCredentials(form map[string]string, by *Authenticated, a *Attempt) (*Grant, error) {
	client := by.client
	if by.Method != MethodPrivateKeyJWT {
		return nil, &Refusal{Status: http.StatusUnauthorized, Code: codeInvalidClient, Description: "a backend service authenticates with client_assertion (private_key_jwt)", Reason: "client-method"}
	}
	if !client.May(GrantClientCredentials) {
		return nil, &Refusal{Status: http.StatusBadRequest, Code: codeUnauthorized, Description: "this client is not registered for client_credentials", Reason: "grant-not-registered"}
	}
	if aud := form["resource"]; aud != "" && aud != e.o.Audience && !guard.Off(guard.ClientResource) {
		return nil, &Refusal{Status: http.StatusBadRequest, Code: codeInvalidTarget, Description: "resource is not this server's FHIR base URL", Reason: "resource"}
	}
	a.Requested = form["scope"]
	asserted, err := e.asserted(by.claims, client, a)
	if err != nil {
		return nil, err
	}
	granted, err := grantable(form["scope"], client)
	if err != nil {
		return nil, err
	}
	return e.issue(by, granted, asserted, a)
}

// asserted reads for whom and what the client asks, and whether it may.
func (e *TokenEndpoint) asserted(claims *claims, client *registered, a *Attempt) (*Asserted, error) {
	said, err := readAsserted(claims.node)
	if err != nil {
		return nil, badRequest("asserted", err.Error())
	}
	p, err := client.principal(nil, nil, said, e.o.Audience, nil)
	if err != nil {
		return nil, &Refusal{Status: http.StatusBadRequest, Code: codeInvalidGrant, Description: errors.Unwrap(err).Error(), Reason: reasonOf(err), Err: err}
	}
	a.User, a.Purposes, a.Reference = p.User, p.Purposes, p.Requester.Reference
	for _, r := range p.Requester.Roles {
		a.Roles = append(a.Roles, r.String())
	}
	return said, nil
}

// read checks what can be judged without knowing who asks.
func (e *TokenEndpoint) read(r *http.Request) (map[string]string, error) {
	if r.Method != http.MethodPost {
		return nil, &Refusal{Status: http.StatusMethodNotAllowed, Code: codeInvalidRequest, Description: "POST only", Reason: "method"}
	}
	if len(r.Header.Values("Authorization")) > 0 {
		return nil, &Refusal{Status: http.StatusUnauthorized, Code: codeInvalidClient, Description: "authenticate with client_assertion (private_key_jwt) only", Reason: reasonAuthorizationHeader}
	}
	form, err := ReadForm(r)
	if err != nil {
		return nil, err
	}
	switch {
	case form["grant_type"] == "":
		return nil, badRequest("grant-type", "grant_type is missing")
	case form["grant_type"] != grantClientCredentials:
		return nil, &Refusal{Status: http.StatusBadRequest, Code: codeUnsupportedGrant, Description: "only client_credentials is supported", Reason: "grant-type"}
	case form["client_secret"] != "":
		return nil, badRequest("client-secret", "authenticate with client_assertion (private_key_jwt) only")
	case form["client_assertion_type"] != assertionType && !guard.Off(guard.ClientAssertionType):
		return nil, badRequest("assertion-type", "client_assertion_type must be "+assertionType)
	case form["client_assertion"] == "":
		return nil, badRequest("assertion-missing", "client_assertion is missing")
	}
	return form, nil
}

func badRequest(reason, description string) error {
	return &Refusal{Status: http.StatusBadRequest, Code: codeInvalidRequest, Description: description, Reason: reason}
}

// grantable reads the requested scopes and cuts them down to the registered
// ones: resource scopes, then operations.
func grantable(requested string, client *registered) (string, error) {
	if strings.TrimSpace(requested) == "" {
		return "", badScope("scope-missing", "scope is missing", nil)
	}
	asked, rest := splitScopes(requested)
	granted := client.operations(asked)
	if rest != "" {
		scopes, err := restrict(rest, client.Scopes)
		if err != nil {
			return "", err
		}
		granted = append(strings.Fields(scopes.String()), granted...)
	}
	if len(granted) == 0 {
		return "", badScope("scope-not-registered", "none of the requested scopes is registered for this client", nil)
	}
	scope := strings.Join(granted, " ")
	if n := len(scope); n > maxGrantedBytes {
		return "", badScope("scope-size", "ask for fewer scopes at once", fmt.Errorf("%d bytes of scope", n))
	}
	return scope, nil
}

func badScope(reason, description string, err error) error {
	return &Refusal{Status: http.StatusBadRequest, Code: codeInvalidScope, Description: description, Reason: reason, Err: err}
}

// unreadable refuses scopes that are malformed, unknown or not supported, and says
// which one and why.
func unreadable(err error) error { return badScope("scope-syntax", describe(err), err) }

// maxDescription is the longest error_description that quotes a request, in bytes.
const maxDescription = 300

// describe writes an error in the characters of an error_description: RFC 6749 5.2.
func describe(err error) string {
	text := strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r < ' ' || r > '~' || r == '\\':
			return '?'
		}
		return r
	}, err.Error())
	return text[:min(len(text), maxDescription)]
}

// restrict reads resource scopes.
func restrict(requested string, registered smart.Scopes) (smart.Scopes, error) {
	asked, err := smart.ParseRequested(requested)
	if err != nil {
		return nil, unreadable(err)
	}
	for _, s := range asked {
		if s.Context != smart.ContextSystem {
			return nil, badScope("scope-context", "only system/ scopes are granted to a backend service, not "+s.Context+"/", nil)
		}
	}
	if guard.Off(guard.ClientRegisteredScopes) {
		return smart.Normalize(asked), nil
	}
	return smart.Restrict(asked, registered), nil
}

// accessClaims are the claims of an access token: RFC 9068 2.2. What it may is
// not among them: the verifier takes that from the registration of the day.
type accessClaims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	ClientID string `json:"client_id"`
	Scope    string `json:"scope"`
	Expires  int64  `json:"exp"`
	IssuedAt int64  `json:"iat"`
	ID       string `json:"jti"`
	// Generation is the claim of claimGeneration.
	Generation string `json:"generation"`
	// For whom and what, as the client asserted it (UDAP hl7-b2b, RFC 8176).
	Extensions *extensions `json:"extensions,omitempty"`
	Methods    []string    `json:"amr,omitempty"`
	personClaims
}

// accessType is the typ of access tokens (RFC 9068 2.1).
const accessType = "at+jwt"

func (e *TokenEndpoint) issue(by *Authenticated, scope string, said *Asserted, a *Attempt) (*Grant, error) {
	id := by.client.ID
	t, err := e.AccessTokens().sign(accessClaims{
		Subject: id, ClientID: id, Scope: scope, Generation: by.generation, Extensions: said.claim(), Methods: said.methods(),
	}, e.o.Life)
	if err != nil {
		return nil, err
	}
	a.Granted, a.TokenID, a.Expires = t.Scope, t.ID, t.Expires
	return &Grant{AccessToken: t.Token, TokenType: "bearer", ExpiresIn: int(e.o.Life / time.Second), Scope: t.Scope}, nil
}

// attemptedScheme names the scheme that the client tried, if it is a known one.
func attemptedScheme(r *http.Request) string {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Basic") {
		return "Basic"
	}
	return "Bearer"
}

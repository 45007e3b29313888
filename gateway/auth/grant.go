package auth

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/handoff-health/handoff/gateway/smart"
)

const (
	grantClientCredentials    = "client_credentials"
	reasonAuthorizationHeader = "authorization-header"
	maxGrantedBytes           = 4 << 10 // of scope in an access token
)

// answer does everything but audit and writing: read, authenticate, grant.
func (e *TokenEndpoint) answer(r *http.Request, a *Attempt) (*grant, error) {
	form, err := e.read(r)
	if err != nil {
		return nil, err
	}
	client, err := e.authenticate(r.Context(), form, a)
	if err != nil {
		return nil, err
	}
	if aud := form["resource"]; aud != "" && aud != e.o.Audience {
		return nil, &Refusal{Status: http.StatusBadRequest, Code: codeInvalidTarget, Description: "resource is not this server's FHIR base URL", Reason: "resource"}
	}
	a.Requested = form["scope"]
	scopes, err := restrict(form["scope"], client.Scopes)
	if err != nil {
		return nil, err
	}
	return e.issue(client, scopes, a)
}

// read checks what can be judged without knowing who asks.
func (e *TokenEndpoint) read(r *http.Request) (map[string]string, error) {
	if r.Method != http.MethodPost {
		return nil, &Refusal{Status: http.StatusMethodNotAllowed, Code: codeInvalidRequest, Description: "POST only", Reason: "method"}
	}
	if len(r.Header.Values("Authorization")) > 0 {
		return nil, &Refusal{Status: http.StatusUnauthorized, Code: codeInvalidClient, Description: "authenticate with client_assertion (private_key_jwt) only", Reason: reasonAuthorizationHeader}
	}
	form, err := readForm(r)
	if err != nil {
		return nil, badRequest("form", err.Error())
	}
	switch {
	case form["grant_type"] == "":
		return nil, badRequest("grant-type", "grant_type is missing")
	case form["grant_type"] != grantClientCredentials:
		return nil, &Refusal{Status: http.StatusBadRequest, Code: codeUnsupportedGrant, Description: "only client_credentials is supported", Reason: "grant-type"}
	case form["client_secret"] != "":
		return nil, badRequest("client-secret", "authenticate with client_assertion (private_key_jwt) only")
	case form["client_assertion_type"] != assertionType:
		return nil, badRequest("assertion-type", "client_assertion_type must be "+assertionType)
	case form["client_assertion"] == "":
		return nil, badRequest("assertion-missing", "client_assertion is missing")
	}
	return form, nil
}

func badRequest(reason, description string) error {
	return &Refusal{Status: http.StatusBadRequest, Code: codeInvalidRequest, Description: description, Reason: reason}
}

// restrict reads the requested scopes and cuts them down to the registered ones.
func restrict(requested string, registered smart.Scopes) (smart.Scopes, error) {
	refuse := func(reason, description string, err error) error {
		return &Refusal{Status: http.StatusBadRequest, Code: codeInvalidScope, Description: description, Reason: reason, Err: err}
	}
	if strings.TrimSpace(requested) == "" {
		return nil, refuse("scope-missing", "scope is missing", nil)
	}
	asked, err := smart.ParseRequested(requested)
	if err != nil {
		return nil, refuse("scope-syntax", "a requested scope is malformed, unknown or not supported", err)
	}
	for _, s := range asked {
		if s.Context != smart.ContextSystem {
			return nil, refuse("scope-context", "only system/ scopes are granted to a backend service", nil)
		}
	}
	granted := smart.Restrict(asked, registered)
	if len(granted) == 0 {
		return nil, refuse("scope-not-registered", "none of the requested scopes is registered for this client", nil)
	}
	if n := len(granted.String()); n > maxGrantedBytes {
		return nil, refuse("scope-size", "ask for fewer scopes at once", fmt.Errorf("%d bytes of scope", n))
	}
	return granted, nil
}

// accessClaims are the claims of an access token: RFC 9068 2.2, nothing about
// the organisation, which the verifier takes from the registration of the day.
type accessClaims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	ClientID string `json:"client_id"`
	Scope    string `json:"scope"`
	Expires  int64  `json:"exp"`
	IssuedAt int64  `json:"iat"`
	ID       string `json:"jti"`
}

// accessType is the typ of access tokens (RFC 9068 2.1).
const accessType = "at+jwt"

func (e *TokenEndpoint) issue(client *registered, scopes smart.Scopes, a *Attempt) (*grant, error) {
	now := e.o.Now().Truncate(time.Second)
	c := accessClaims{
		Issuer: e.o.Issuer, Subject: client.ID, Audience: e.o.Audience, ClientID: client.ID,
		Scope: scopes.String(), Expires: now.Add(e.o.Life).Unix(), IssuedAt: now.Unix(), ID: rand.Text(),
	}
	token, err := e.o.Key.sign(c, accessType)
	if err != nil {
		return nil, fmt.Errorf("issue token: %w", err)
	}
	a.Granted, a.TokenID, a.Expires = c.Scope, c.ID, time.Unix(c.Expires, 0).UTC()
	return &grant{AccessToken: token, TokenType: "bearer", ExpiresIn: int(e.o.Life / time.Second), Scope: c.Scope}, nil
}

// attemptedScheme names the scheme that the client tried, if it is a known one.
func attemptedScheme(r *http.Request) string {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Basic") {
		return "Basic"
	}
	return "Bearer"
}

package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/handoff-health/handoff/gateway/auth"
)

// A provider is the server as zitadel/oidc's state machine sees it. What is not
// here (device flow, token exchange, assertions as grants) the library refuses.
type provider struct {
	op.UnimplementedServer
	*Server
}

var _ op.Server = (*provider)(nil)

// VerifyClient hands over the client that was authenticated before the library
// was asked.
func (p *provider) VerifyClient(ctx context.Context, _ *op.Request[op.ClientCredentials]) (op.Client, error) {
	c := callOf(ctx)
	if c.client == nil {
		return nil, c.refuse(&auth.Refusal{Status: http.StatusUnauthorized, Code: "invalid_client", Description: "client authentication failed", Reason: "client-missing"})
	}
	return client{c.client.Client(), c.client.Method}, nil
}

// ClientCredentialsExchange is auth's.
func (p *provider) ClientCredentialsExchange(ctx context.Context, _ *op.ClientRequest[oidc.ClientCredentialsRequest]) (*op.Response, error) {
	c := callOf(ctx)
	g, err := p.o.Tokens.ClientCredentials(c.form, c.client, c.attempt)
	if err != nil {
		return nil, c.refuse(err)
	}
	return op.NewResponse(g), nil
}

// refuse keeps why the call is refused, and says it in the library's words.
func (c *call) refuse(err error) error {
	c.refusal = auth.AsRefusal(err)
	return op.NewStatusError(oidcError(c.refusal), c.refusal.Status)
}

// redirected is refuse for an error that goes to the app's redirect_uri.
func (c *call) redirected(code, description, reason string) error {
	c.refusal = &auth.Refusal{Status: http.StatusFound, Code: code, Description: description, Reason: reason}
	return oidcError(c.refusal)
}

// oidcError holds nothing but what the caller may read.
func oidcError(r *auth.Refusal) error {
	e := oidc.ErrServerError()
	// The codes of OAuth go beyond those that the library names.
	e.ErrorType = errorType(r.Code, e.ErrorType)
	e.Description = r.Description
	return e
}

// errorType makes a value of the library's type of error codes, which it does
// not export.
func errorType[T ~string](code string, _ T) T { return T(code) }

// A client is a registration as the library wants to see one.
type client struct {
	*auth.Client
	method string
}

var _ op.Client = client{}

func (c client) GetID() string                    { return c.ID }
func (c client) RedirectURIs() []string           { return c.Client.RedirectURIs }
func (c client) PostLogoutRedirectURIs() []string { return nil }
func (c client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}
func (c client) LoginURL(id string) string { return PagePath + "?id=" + url.QueryEscape(id) }
func (c client) AccessTokenType() op.AccessTokenType {
	return op.AccessTokenTypeJWT
}
func (c client) IDTokenLifetime() time.Duration       { return idTokenLife }
func (c client) DevMode() bool                        { return false }
func (c client) IDTokenUserinfoClaimsAssertion() bool { return true }
func (c client) ClockSkew() time.Duration             { return 0 }

// IsScopeAllowed lets every scope through: which count is said by auth.
func (c client) IsScopeAllowed(string) bool { return true }

// ApplicationType decides which schemes the library lets a redirect_uri have. A
// public app may use one of its own; all are compared byte for byte before.
func (c client) ApplicationType() op.ApplicationType {
	if c.Public {
		return op.ApplicationTypeNative
	}
	return op.ApplicationTypeWeb
}

func (c client) AuthMethod() oidc.AuthMethod {
	if c.method == "" {
		return oidc.AuthMethodNone
	}
	return oidc.AuthMethod(c.method)
}

func (c client) GrantTypes() []oidc.GrantType {
	var out []oidc.GrantType
	for _, g := range [...]string{auth.GrantClientCredentials, auth.GrantAuthorizationCode, auth.GrantRefreshToken} {
		if c.May(g) {
			out = append(out, oidc.GrantType(g))
		}
	}
	return out
}

func (c client) RestrictAdditionalIdTokenScopes() func([]string) []string { return asTheyAre }

func (c client) RestrictAdditionalAccessTokenScopes() func([]string) []string { return asTheyAre }

func asTheyAre(scopes []string) []string { return scopes }

// issuerEncoder adds iss to the answers that go to an app's redirect_uri (RFC
// 9207), errors included.
type encoder struct {
	httphelper.Encoder
	issuer string
}

func issuerEncoder(issuer string) httphelper.Encoder {
	return encoder{oidc.NewEncoder(), issuer}
}

// Encode implements httphelper.Encoder.
func (e encoder) Encode(src any, dst map[string][]string) error {
	if err := e.Encoder.Encode(src, dst); err != nil {
		return errors.New("the answer cannot be encoded")
	}
	dst["iss"] = []string{e.issuer}
	return nil
}

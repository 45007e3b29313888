package auth

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/smart"
)

// ScopeIntrospect lets a client ask what any client's token is worth.
const ScopeIntrospect = smart.ScopeIntrospect

// An IntrospectionEndpoint tells resource servers what a token of the gateway's
// own is worth now (RFC 7662, SMART 2.2 token introspection). Only clients that are
// registered for [ScopeIntrospect] may ask, by client authentication or with an
// access token of their own that has the scope. Whatever is no live token is
// answered with the same bytes.
type IntrospectionEndpoint struct{ o TokenInquiries }

// NewIntrospectionEndpoint checks the options.
func NewIntrospectionEndpoint(o TokenInquiries) (*IntrospectionEndpoint, error) {
	o, err := o.check()
	if err != nil {
		return nil, err
	}
	return &IntrospectionEndpoint{o}, nil
}

// ServeHTTP answers one request.
func (e *IntrospectionEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.o.serve(w, r, "introspect", e.answer)
}

// inactive is all that is said of what is no live token (RFC 7662 2.2).
type inactive struct {
	Active bool `json:"active"` // false
}

func (e *IntrospectionEndpoint) answer(ctx context.Context, r *http.Request, q *Inquiry) (any, error) {
	form, err := e.o.read(r)
	if err != nil {
		return nil, err
	}
	if err := e.admit(ctx, r, form, q); err != nil {
		return nil, err
	}
	token, err := about(form)
	if err != nil {
		return nil, err
	}
	t, p, err := e.o.access(ctx, token)
	if err != nil {
		return nil, err
	}
	if t != nil {
		q.Asked, q.AskedOf, q.AskedFor, q.Effective = t.claims.id, t.client, t.person.Authorization, true
		return e.accessToken(ctx, t, p)
	}
	f, client, err := e.o.refresh(ctx, token)
	if err != nil {
		return nil, err
	}
	if f != nil {
		q.AskedOf, q.AskedFor, q.Effective = f.Authorization.Client, f.Authorization.ID, true
		return e.refreshToken(ctx, f, client)
	}
	return inactive{}, nil
}

// admit says whether the caller may ask at all.
func (e *IntrospectionEndpoint) admit(ctx context.Context, r *http.Request, form map[string]string, q *Inquiry) error {
	if bearerScheme(r) {
		if (form["client_assertion"] != "" || form["client_assertion_type"] != "" || form["client_secret"] != "") && !guard.Off(guard.ClientOneMethod) {
			return badRequest("several-methods", "authenticate in one way only: a bearer token or client authentication")
		}
		return e.admitBearer(ctx, r, q)
	}
	by, err := e.o.Clients.Authenticate(ctx, r.Header, form, &q.Attempt)
	if err != nil {
		return err
	}
	c := by.Client()
	if (!by.Proven() || !slices.Contains(c.operations([]string{ScopeIntrospect}), ScopeIntrospect)) && !guard.Off(guard.ClientIntrospects) {
		return mayNotAsk()
	}
	return nil
}

func (e *IntrospectionEndpoint) admitBearer(ctx context.Context, r *http.Request, q *Inquiry) error {
	bearer, err := BearerFromRequest(r)
	if err != nil {
		return err
	}
	p, err := e.o.Verifier.Verify(ctx, bearer)
	if err != nil {
		return err
	}
	q.Client, q.Authenticated, q.Organization, q.TokenID = p.Client, true, p.Requester.Organization, p.TokenID
	// A person's app is no resource server: the scope counts in a client's own token.
	if (p.Authorization != "" || !p.MayUse(ScopeIntrospect)) && !guard.Off(guard.ClientIntrospects) {
		return mayNotAsk()
	}
	return nil
}

func mayNotAsk() error {
	return &Refusal{Status: http.StatusForbidden, Code: codeInsufficientScope, Description: "this client is not registered for token introspection", Reason: "introspection-not-registered"}
}

// accessToken tells of a live access token: what is in it, as far as it still counts.
func (e *IntrospectionEndpoint) accessToken(ctx context.Context, t *verified, p *Principal) (any, error) {
	answer := map[string]any{
		"active": true, "client_id": t.client, "token_type": "Bearer", "jti": t.claims.id,
		"iss": t.issuer.ID, "sub": t.claims.subject, "aud": t.issuer.Audience,
		"exp": t.claims.expires.Unix(), "iat": t.claims.issuedAt.Unix(),
	}
	if t.person.Authorization == "" {
		answer["scope"] = joinScopes(nil, p.Scopes, p.Operations)
		return answer, nil
	}
	client, err := e.o.Registry.Client(ctx, t.client)
	if err != nil {
		return inactive{}, unlessFault(err) // disabled just now
	}
	answer["scope"] = client.registeredScopes(t.context, t.scopes, t.operations)
	return answer, e.launched(ctx, answer, &Authorization{
		ID: t.person.Authorization, FHIRUser: t.person.FHIRUser, Patient: t.person.Patient, Encounter: t.person.Encounter,
	})
}

// refreshToken tells of a refresh token that could be used now. It has no audience:
// it is for this server alone.
func (e *IntrospectionEndpoint) refreshToken(ctx context.Context, f *RefreshToken, client *Client) (any, error) {
	a := &f.Authorization
	scope, err := client.Permits(a, e.o.Base)
	if err != nil {
		return inactive{}, unlessFault(err) // nothing of it is registered any more
	}
	answer := map[string]any{
		"active": true, "client_id": a.Client, "token_type": "refresh_token", "scope": scope,
		"iss": e.o.Clients.o.Issuer, "sub": a.Subject, "exp": f.Expires.Unix(), "iat": f.Issued.Unix(),
	}
	return answer, e.launched(ctx, answer, a)
}

// launched adds who and what the app was launched for, as the token answer told it.
// Nothing that is already there is overwritten.
func (e *IntrospectionEndpoint) launched(ctx context.Context, answer map[string]any, a *Authorization) error {
	for name, value := range map[string]string{"patient": id(a.Patient), "encounter": id(a.Encounter)} {
		if value != "" {
			answer[name] = value
		}
	}
	if a.FHIRUser != "" {
		answer["fhirUser"] = e.o.Base + "/" + a.FHIRUser
	}
	if e.o.Families == nil {
		return nil
	}
	more, err := e.o.Families.LaunchContext(ctx, a.ID)
	for name, value := range more {
		if _, taken := answer[name]; !taken && name != "username" {
			answer[name] = value
		}
	}
	return err
}

// id is the id of a reference "Type/id".
func id(reference string) string { return reference[strings.LastIndexByte(reference, '/')+1:] }

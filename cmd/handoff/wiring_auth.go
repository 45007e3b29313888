package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/handoff-health/handoff/gateway"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/oauth"
	"github.com/handoff-health/handoff/gateway/page"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/smart"
)

// An access is what says who asks: the registered clients, the authorization
// server and the verifier of its tokens, with what of them is mounted.
type access struct {
	registry  *auth.Registry
	verifier  *auth.Verifier
	tokens    *auth.TokenEndpoint
	server    *oauth.Server // nil where nobody signs in
	discovery smart.Discovery
	handlers  map[string]http.Handler // by path
}

// newAccess makes them. sessions says who is still signed in; nil: nobody signs in
// here, and there are backend services alone.
func newAccess(c *config.Config, g *running, sessions oauth.Sessions) (*access, error) {
	key, err := auth.LoadOrGenerateKey(c.Path(c.Issuer.KeyFile), auth.ES256)
	if err != nil {
		return nil, err
	}
	a := &access{handlers: map[string]http.Handler{}}
	clients := make([]auth.Client, len(c.Clients))
	for i, cl := range c.Clients {
		if clients[i], err = registration(c, cl); err != nil {
			return nil, fmt.Errorf("client %s: %w", cl.ID, err)
		}
	}
	if a.registry, err = auth.NewRegistry(clients, auth.NewHTTPFetcher(), nil); err != nil {
		return nil, err
	}
	a.tokens, err = auth.NewTokenEndpoint(auth.TokenOptions{
		URL: tokenURL(c), Issuer: origin(c), Audience: c.Server.Base, Registry: a.registry, Facts: g.store, Key: key,
		Life: c.Issuer.Lifetime, Auditor: tokenAuditor{g.trail},
	})
	if err != nil {
		return nil, err
	}
	issuer, err := auth.OwnIssuer(origin(c), c.Server.Base, key)
	if err != nil {
		return nil, err
	}
	if a.verifier, err = auth.NewVerifier(auth.VerifierOptions{Issuers: []auth.Issuer{issuer}, Registry: a.registry, Facts: g.cache}); err != nil {
		return nil, err
	}
	a.handlers[tokenPath] = a.tokens
	if sessions != nil {
		if err := a.serve(c, g, sessions); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// serve adds the authorization server for people.
func (a *access) serve(c *config.Config, g *running, sessions oauth.Sessions) error {
	file := c.Issuer.SigningKeyFile
	if file == "" {
		file = filepath.Join(filepath.Dir(c.Issuer.KeyFile), "idtoken.jwk")
	}
	key, err := auth.LoadOrGenerateKey(c.Path(file), auth.RS256)
	if err != nil {
		return err
	}
	a.server, err = oauth.New(oauth.Options{
		Issuer: origin(c), Base: c.Server.Base, Registry: a.registry, Facts: g.store, Tokens: a.tokens, IDKey: key,
		Verifier: a.verifier, Pin: g.cache.Pin, Auditor: tokenAuditor{g.trail}, Recorder: g.trail, Sessions: sessions,
		Refused: refusedPage, NewID: newRequestID,
	})
	if err != nil {
		return err
	}
	for path, h := range a.server.Handlers() {
		a.handlers[path] = h
	}
	return nil
}

// refusedPage tells a person that an app's request cannot be answered.
func refusedPage(w http.ResponseWriter, _ *http.Request, status int, id, text string) {
	if text == "" {
		text = "The gateway could not do this. Try again in a minute."
	}
	_ = page.Show(w, status, page.Message{ // the person has gone if this fails
		Title: "The app cannot be opened", RequestID: id,
		Text: []string{text, "The app sent a request that is not answered here. Tell whoever looks after the app."},
	})
}

// announce says in the discovery documents what is mounted, and mounts those of
// the origin. It comes last.
func (a *access) announce(c *config.Config) error {
	url := func(path string) string {
		if a.handlers[path] == nil {
			return ""
		}
		return origin(c) + path
	}
	a.discovery = smart.Discovery{
		TokenEndpoint: tokenURL(c), Algorithms: []string{auth.RS384, auth.ES384},
		IntrospectionEndpoint: url(introspectPath), RevocationEndpoint: url(revokePath), RegistrationEndpoint: url(registerPath),
		Scopes: gateway.SupportedScopes(smart.ContextSystem),
	}
	// Without the pages on which a person decides there is nothing to authorize.
	if a.server == nil || a.handlers[oauth.PagePath] == nil {
		return nil
	}
	d := &a.discovery
	d.Issuer, d.Online = origin(c), true
	d.AuthorizationEndpoint, d.KeysEndpoint, d.UserInfoEndpoint = url(oauth.AuthorizePath), url(oauth.KeysPath), url(oauth.UserInfoPath)
	d.Scopes = append(gateway.SupportedScopes(smart.ContextPatient, smart.ContextUser, smart.ContextSystem), smart.ContextScopes()...)
	document, err := d.OpenID()
	if err != nil {
		return err
	}
	for _, path := range []string{smart.WellKnownOpenID, smart.WellKnownServer} {
		a.handlers[path] = smart.Document(document)
	}
	return nil
}

// Paths of the authorization server that packages besides oauth answer.
const (
	tokenPath      = oauth.TokenPath
	introspectPath = "/oauth/introspect"
	revokePath     = "/oauth/revoke"
	registerPath   = "/oauth/register"
)

// registration turns a client of the file into one of auth.
func registration(c *config.Config, cl config.Client) (auth.Client, error) {
	org := c.Organization(cl.Organization)
	out := auth.Client{
		ID: cl.ID, Name: cl.Name, JWKSURL: cl.JWKSURL, AcceptIssuerAudience: cl.AcceptIssuerAud,
		Grants: cl.Grants, RedirectURIs: cl.RedirectURIs, LaunchURL: cl.LaunchURL, Origins: cl.Origins, Providers: cl.Providers,
		Life: cl.Lifetime, Public: cl.Public, SecretHashes: cl.SecretHashes,
		Organization: attribute.Reference(org.ID), OrganizationKind: auth.Kind(org.Kind),
		MedicalPersonnel: cl.MedicalPersonnel, Disabled: cl.Disabled,
		AssertsUsers: cl.Users == "asserted", BelievesMFA: cl.MFA == "asserted",
	}
	if cl.JWKS != "" {
		out.JWKS = []byte(cl.JWKS)
	}
	for text := range strings.FieldsSeq(cl.Scopes) {
		if operation, _ := smart.OperationScope(text); operation {
			out.Operations = append(out.Operations, text)
			continue
		}
		if smart.ContextScope(text) {
			out.ContextScopes = append(out.ContextScopes, text)
			continue
		}
		s, err := smart.ParseScope(text)
		if err != nil {
			return out, err
		}
		out.Scopes = append(out.Scopes, s)
	}
	out.Identifiers = identifiers(org.Identifiers)
	for _, p := range org.Practitioners {
		out.Practitioners = append(out.Practitioners, auth.Practitioner{Reference: "Practitioner/" + p.ID, Identifiers: identifiers(p.Identifiers)})
	}
	for _, n := range org.Networks {
		out.Networks = append(out.Networks, attribute.Reference(n))
	}
	for _, r := range cl.Roles {
		out.Roles = append(out.Roles, attribute.Role(r))
	}
	for _, p := range cl.Purposes {
		out.Purposes = append(out.Purposes, attribute.Purpose(p).String())
	}
	return out, nil
}

func identifiers(list []config.Identifier) []policy.Identifier {
	var out []policy.Identifier
	for _, id := range list {
		out = append(out, policy.Identifier{System: id.System, Value: id.Value})
	}
	return out
}

// tokenAuditor puts token requests into the same trail as everything else.
type tokenAuditor struct{ trail audit.Recorder }

// TokenRequested implements auth.Auditor. A client that did not prove its name
// is kept as a claim, apart from those that did.
func (t tokenAuditor) TokenRequested(ctx context.Context, a *auth.Attempt) error {
	about := url.Values{"scope": {a.Requested}, "granted": {a.Granted}, "grant_type": {a.GrantType}}
	e := &audit.Event{
		ID: newRequestID(), At: a.At, Duration: a.Duration, Interaction: "token", Operation: a.Method, Path: tokenPath,
		Status: a.Status, Reason: a.Reason, Organization: a.Organization, TokenID: a.TokenID, Source: a.Source,
		User: a.Reference, UserName: a.User.Name, Roles: a.Roles, Purposes: a.Purposes,
	}
	if e.User == "" {
		e.User = a.User.ID
	}
	if len(a.User.Methods) > 0 {
		about["amr"] = a.User.Methods
		about.Set("mfa", strconv.FormatBool(a.User.MFA))
	}
	if a.Authenticated {
		e.Client = a.Client
	} else if a.Client != "" {
		about.Set("claimed_client", a.Client)
	}
	if a.Authorization != "" {
		about.Set("authorization", a.Authorization)
	}
	e.Query = about.Encode()
	if a.Error != "" {
		e.Outcome = audit.Minor
	}
	return t.trail.Record(context.WithoutCancel(ctx), e)
}

package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"

	"github.com/handoff-health/handoff/gateway"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/oauth"
	"github.com/handoff-health/handoff/gateway/page"
	"github.com/handoff-health/handoff/gateway/peers"
	"github.com/handoff-health/handoff/gateway/registration"
	"github.com/handoff-health/handoff/gateway/smart"
)

// An access is what says who asks: the registered clients, the authorization
// server and the verifier of its tokens, with what of them is mounted.
type access struct {
	registry  *auth.Registry
	clients   *registration.Store // of the registry, those beside the configuration's
	limits    meter
	verifier  *auth.Verifier
	tokens    *auth.TokenEndpoint
	server    *oauth.Server // nil where nobody signs in
	discovery smart.Discovery
	handlers  map[string]http.Handler // by path
}

// newAccess makes them. people: they sign in here; else there are backend services
// alone.
func newAccess(c *config.Config, g *running, people bool, log *slog.Logger) (*access, error) {
	key, err := g.sharedKey(peers.IssuerKey, c.Path(c.Issuer.KeyFile), auth.ES256)
	if err != nil {
		return nil, err
	}
	a := &access{handlers: map[string]http.Handler{}}
	if err := a.register(c, g); err != nil {
		return nil, err
	}
	a.tokens, err = auth.NewTokenEndpoint(auth.TokenOptions{
		URL: tokenURL(c), Issuer: origin(c), Audience: c.Server.Base, Registry: a.registry, Facts: g.store, Key: key,
		Life: c.Issuer.Lifetime, Auditor: tokenAuditor{g.trail}, Limiter: a.limits, Now: g.store.Now,
	})
	if err != nil {
		return nil, err
	}
	issuer, err := auth.OwnIssuer(origin(c), c.Server.Base, key)
	if err != nil {
		return nil, err
	}
	outside, err := outsideIssuers(c)
	if err != nil {
		return nil, err
	}
	if a.verifier, err = auth.NewVerifier(auth.VerifierOptions{Issuers: append(outside, issuer), Registry: a.registry, Facts: g.cache, Now: g.store.Now}); err != nil {
		return nil, err
	}
	a.handlers[tokenPath] = a.tokens
	if err := a.manage(c, g); err != nil {
		return nil, err
	}
	if people {
		if err := a.serve(c, g); err != nil {
			return nil, err
		}
	}
	if err := a.inquire(c, g); err != nil || !people {
		return a, err
	}
	return a, a.mountLaunch(c, g, log)
}

// serve adds the authorization server for people.
func (a *access) serve(c *config.Config, g *running) error {
	file := c.Issuer.SigningKeyFile
	if file == "" {
		file = filepath.Join(filepath.Dir(c.Issuer.KeyFile), "idtoken.jwk")
	}
	key, err := g.sharedKey(peers.IDTokenKey, c.Path(file), auth.RS256)
	if err != nil {
		return err
	}
	a.server, err = oauth.New(oauth.Options{
		Now:    g.signInClock(),
		Issuer: origin(c), Base: c.Server.Base, Registry: a.registry, Facts: g.store, Tokens: a.tokens, IDKey: key,
		Verifier: a.verifier, Pin: g.cache.Pin, Auditor: tokenAuditor{g.trail}, Recorder: g.trail, Sessions: g.signIn,
		Refused: refusedPage, NewID: newRequestID,
	})
	if err != nil {
		return err
	}
	for path, h := range a.server.Handlers() {
		a.handlers[path] = h
	}
	// A request to authorize leaves something in the store, whoever sends it.
	a.handlers[oauth.AuthorizePath] = a.limits.Pages(a.handlers[oauth.AuthorizePath], func(r *http.Request) string { return r.RemoteAddr })
	return nil
}

// refusedPage tells a person that an app's request cannot be answered.
func refusedPage(w http.ResponseWriter, _ *http.Request, status int, id, text string) {
	if status >= http.StatusInternalServerError { // nothing is wrong with the app
		_ = page.Fail(w, id)
		return
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
	if a.Locked {
		about.Set("locked", "true")
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

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-health/handoff/conformance/ig"
	"github.com/handoff-health/handoff/fhir/client"
	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/store/epoch"
	"github.com/handoff-health/handoff/fhir/store/sqlite"
	"github.com/handoff-health/handoff/gateway"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/broker"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/crisis"
	"github.com/handoff-health/handoff/gateway/enforce"
	"github.com/handoff-health/handoff/gateway/identity"
	"github.com/handoff-health/handoff/gateway/law"
	"github.com/handoff-health/handoff/gateway/notify"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/smart"
	"github.com/handoff-health/handoff/gateway/upstream"
)

// A running gateway holds what has to be closed in the end, and what commands
// besides serve need of it.
type running struct {
	config    *config.Config
	store     *sqlite.DB
	cache     *epoch.Cache // what requests read through
	trail     *audit.Trail
	ids       *identity.IDMap
	links     *identity.Links
	labeller  *label.Labeller
	directory *attribute.Directory
	outbox    *notify.Outbox
	registry  *auth.Registry
	handler   *gateway.Server
}

// assemble builds a gateway from its configuration. This is the one place where
// the parts meet.
func assemble(ctx context.Context, c *config.Config, log *slog.Logger) (_ *running, err error) {
	g := &running{config: c, labeller: label.New(label.Options{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Close())
		}
	}()
	if g.store, err = sqlite.Open(ctx, c.Path(c.Store.SQLite.Path), sqlite.Options{}); err != nil {
		return nil, err
	}
	g.cache = epoch.New(g.store, 0, nil)
	if g.trail, err = openTrail(c, log); err != nil {
		return nil, err
	}
	if g.ids, err = identity.NewIDMap(g.cache, []byte(c.Site.Key.Reveal()), slugs(c)); err != nil {
		return nil, err
	}
	g.links = identity.NewLinks(g.cache, g.ids, time.Now)
	if g.directory, err = attribute.NewDirectory(c); err != nil {
		return nil, err
	}
	rules, err := loadLaw(c, log)
	if err != nil {
		return nil, err
	}
	b, err := newBroker(c, g.directory, g.ids, log)
	if err != nil {
		return nil, err
	}
	token, verifier, err := newAuth(c, g)
	if err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(c.Site.TimeZone)
	if err != nil {
		return nil, err
	}
	if g.outbox, err = newOutbox(c, g, log); err != nil {
		return nil, err
	}
	engine := policy.New(policy.Options{Law: rules, Directory: []string{"Practitioner", "PractitionerRole", "Organization"}})
	if err := keepPacks(c.Path(c.Audit.Dir), engine.Law()); err != nil {
		return nil, err
	}
	published, err := ig.Resources()
	if err != nil {
		return nil, err
	}
	g.handler, err = gateway.New(gateway.Options{
		Base: c.Server.Base, MaxBody: c.Server.MaxBody, SiteKey: []byte(c.Site.Key.Reveal()),
		Store: g.cache, Facts: g.cache, Verifier: verifier,
		Discovery: smart.Discovery{
			TokenEndpoint: tokenURL(c), Algorithms: []string{auth.RS384, auth.ES384},
			Scopes: gateway.SupportedScopes(smart.ContextSystem),
		},
		Directory: g.directory, Identity: g.links, IDs: g.ids, Broker: b,
		Labeller: g.labeller, Policy: engine, Audit: g.trail,
		Other:  map[string]http.Handler{tokenPath: token, "/healthz": http.HandlerFunc(healthy), "/readyz": ready(g, log)},
		Crisis: offered(c.Crisis), Published: published,
		Proxies: c.Server.Proxies(), Origins: g.registry.RegisteredOrigin,
		Capture: gateway.CaptureLimits{Verbal: c.Capture.Verbal, Written: c.Capture.Written, Backlog: c.Capture.Backlog},
		Bases:   basisLimits(c), Emergency: emergencyLimits(c),
		Location: zone, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	return g, g.handler.KeepConfigured(ctx)
}

// loadLaw compiles the rule packs, and tells by which the gateway decides.
func loadLaw(c *config.Config, log *slog.Logger) (*policy.Law, error) {
	rules, err := law.Load(c)
	if err != nil {
		return nil, err
	}
	for _, p := range rules.Packs() {
		log.Info("decides by a rule pack", "pack", p.ID, "version", p.Version, "kind", p.Kind, "hash", p.Hash, "enabled", p.Enabled)
		if len(p.Off) > 0 {
			log.Warn("rules are off, because they were not compared with the text of the law", "pack", p.ID, "rules", p.Off)
		}
	}
	if states := law.Uncovered(c, rules); len(states) > 0 {
		log.Warn("federal law alone decides about these states: no overlay of theirs is in force", "states", states)
	}
	if ended := law.Ended(c, time.Now()); len(ended) > 0 {
		log.Warn("these sharing agreements have ended and open nothing", "agreements", ended)
	}
	if strange := enforce.Unknown(rules.Obligations()); len(strange) > 0 {
		log.Warn("these obligations cannot be carried out here: what they go with is withheld", "obligations", strange)
	}
	return rules, nil
}

// Close ends the trail with a checkpoint and closes the store.
func (g *running) Close() error {
	var errs []error
	if g.trail != nil {
		errs = append(errs, g.trail.Close())
	}
	if g.store != nil {
		errs = append(errs, g.store.Close())
	}
	return errors.Join(errs...)
}

// offered is what the site offers whoever is asked about.
func offered(c config.Crisis) gateway.Crisis {
	out := gateway.Crisis{Pace: c.Pace, Site: crisis.Site{Guidance: c.Guidance}}
	for _, x := range c.Contacts {
		out.Site.Contacts = append(out.Site.Contacts, crisis.Contact{Name: x.Name, Role: x.Role, Phone: x.Phone, Hours: x.Hours, Address: x.Address})
	}
	for _, x := range c.Places {
		out.Site.Places = append(out.Site.Places, crisis.Contact{Name: x.Name, Role: x.Role, Phone: x.Phone, Hours: x.Hours, Address: x.Address})
	}
	return out
}

const tokenPath = "/oauth/token"

// origin is scheme and host of the public base.
func origin(c *config.Config) string {
	u, err := url.Parse(c.Server.Base)
	if err != nil { // config has checked it
		return ""
	}
	return u.Scheme + "://" + u.Host
}

func tokenURL(c *config.Config) string { return origin(c) + tokenPath }

func slugs(c *config.Config) map[string]string {
	out := map[string]string{}
	for _, s := range c.Systems {
		if s.Kind == "fhir" {
			out[s.Key] = s.Slug
		}
	}
	return out
}

// openTrail opens the audit trail with its anchor and signing key.
func openTrail(c *config.Config, log *slog.Logger) (*audit.Trail, error) {
	key, err := audit.LoadOrCreateKey(c.Path(c.Audit.KeyFile))
	if err != nil {
		return nil, err
	}
	return audit.Open(audit.Options{Dir: c.Path(c.Audit.Dir), Anchor: &audit.FileAnchor{Path: c.Path(c.Audit.Anchor)}, Key: key,
		Alert: func(err error) {
			log.Error("the audit trail has failed; requests are refused until it works", "error", err)
		},
	})
}

// newBroker connects the upstream systems.
func newBroker(c *config.Config, d *attribute.Directory, ids *identity.IDMap, log *slog.Logger) (*broker.Broker, error) {
	o := broker.Options{IDs: ids, Timeout: c.Broker.Timeout, Overall: c.Broker.Overall, Concurrency: c.Broker.Concurrency}
	o.Observe = func(system string, took time.Duration, err error) {
		log.Debug("asked a connected system", "system", system, "took", took, "error", err)
	}
	for _, s := range d.Upstreams() {
		u, err := newUpstream(c, d, s)
		if err != nil {
			return nil, fmt.Errorf("system %s: %w", s.Key, err)
		}
		o.Systems = append(o.Systems, broker.System{Upstream: u, Timeout: s.Timeout})
	}
	return broker.New(o)
}

func newUpstream(c *config.Config, d *attribute.Directory, s config.System) (upstream.Upstream, error) {
	transport := client.NewTransport()
	o := client.Options{System: s.Key, Base: s.Base, Transport: transport, MaxPageBytes: s.MaxPage}
	if s.Auth.ClientID != "" {
		key, err := auth.ReadPrivateKey(c.Path(s.Auth.KeyFile))
		if err != nil {
			return nil, err
		}
		signer, err := auth.NewSigner(s.Auth.ClientID, key, 0, nil)
		if err != nil {
			return nil, err
		}
		scope := s.Auth.Scope
		if scope == "" {
			scope = "system/*.rs"
		}
		o.Tokens, err = client.NewBackendTokens(client.BackendOptions{
			System: s.Key, Base: s.Base, TokenURL: s.Auth.TokenURL, Scope: scope, Signer: signer, Transport: transport,
		})
		if err != nil {
			return nil, err
		}
	}
	cl, err := client.New(o)
	if err != nil {
		return nil, err
	}
	from, ok := d.Origin(s.Key)
	if !ok {
		return nil, errors.New("has no origin")
	}
	return upstream.NewFHIR(upstream.FHIROptions{Client: cl, Origin: from, Units: d.Units(s.Key), Types: s.Types})
}

// newAuth makes the token endpoint and the verifier of its tokens.
func newAuth(c *config.Config, g *running) (http.Handler, *auth.Verifier, error) {
	key, err := auth.LoadOrGenerateKey(c.Path(c.Issuer.KeyFile), auth.ES256)
	if err != nil {
		return nil, nil, err
	}
	clients := make([]auth.Client, len(c.Clients))
	for i, cl := range c.Clients {
		if clients[i], err = registration(c, cl); err != nil {
			return nil, nil, fmt.Errorf("client %s: %w", cl.ID, err)
		}
	}
	registry, err := auth.NewRegistry(clients, auth.NewHTTPFetcher(), nil)
	if err != nil {
		return nil, nil, err
	}
	g.registry = registry
	token, err := auth.NewTokenEndpoint(auth.TokenOptions{
		URL: tokenURL(c), Issuer: origin(c), Audience: c.Server.Base, Registry: registry, Facts: g.store, Key: key,
		Life: c.Issuer.Lifetime, Auditor: tokenAuditor{g.trail},
	})
	if err != nil {
		return nil, nil, err
	}
	issuer, err := auth.OwnIssuer(origin(c), c.Server.Base, key)
	if err != nil {
		return nil, nil, err
	}
	verifier, err := auth.NewVerifier(auth.VerifierOptions{Issuers: []auth.Issuer{issuer}, Registry: registry, Facts: g.cache})
	return token, verifier, err
}

// registration turns a client of the file into one of auth.
func registration(c *config.Config, cl config.Client) (auth.Client, error) {
	org := c.Organization(cl.Organization)
	out := auth.Client{
		ID: cl.ID, Name: cl.Name, JWKSURL: cl.JWKSURL, AcceptIssuerAudience: cl.AcceptIssuerAud,
		Origins:      cl.Origins,
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
	about := url.Values{"scope": {a.Requested}, "granted": {a.Granted}}
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
	e.Query = about.Encode()
	if a.Error != "" {
		e.Outcome = audit.Minor
	}
	return t.trail.Record(context.WithoutCancel(ctx), e)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/handoff-health/handoff/conformance/ig"
	"github.com/handoff-health/handoff/fhir/client"
	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/epoch"
	"github.com/handoff-health/handoff/fhir/store/lease"
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
	"github.com/handoff-health/handoff/gateway/peers"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/registration"
	"github.com/handoff-health/handoff/gateway/rollback"
	"github.com/handoff-health/handoff/gateway/signin"
	"github.com/handoff-health/handoff/gateway/upstream"
)

// A running gateway holds what has to be closed in the end, and what commands
// besides serve need of it.
type running struct {
	config     *config.Config
	log        *slog.Logger
	store      backend.Backend
	peers      *peers.Peers // nil until the gateway is whole
	keys       peers.Keys   // fingerprints of what all gateways of the store must hold
	cache      *epoch.Cache // what requests read through
	trail      *audit.Trail
	ids        *identity.IDMap
	links      *identity.Links
	labeller   *label.Labeller
	directory  *attribute.Directory
	outbox     *notify.Outbox
	background *lease.Lease // of what one gateway of the store does
	registry   *auth.Registry
	signIn     *signin.Server
	handler    *gateway.Server
	feeds      []*liveFeed
	age        *rollback.Watch       // of the store
	outdated   atomic.Pointer[error] // why the store does not count any more; nil while it does
	giveUp     context.CancelFunc    // ends serving; nil where nobody waits for it
}

// clock, if set, is the time by which people sign in and apps are authorized, in
// place of the store's. A test sets it on.
var clock func() time.Time

// signInClock is the time by which people sign in and apps are authorized.
func (g *running) signInClock() func() time.Time {
	if clock != nil {
		return clock
	}
	return g.store.Now
}

// assemble builds a gateway from its configuration. This is the one place where
// the parts meet. users are where people sign in beside the configured providers:
// the demo's.
func assemble(ctx context.Context, c *config.Config, log *slog.Logger, users ...signin.Provider) (_ *running, err error) {
	g := &running{config: c, log: log, labeller: label.New(label.Options{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Close())
		}
	}()
	if g.store, err = openStore(ctx, c, useNamed("serve"), log); err != nil {
		return nil, err
	}
	log.Info("keeps its data in", "store", storeName(c))
	g.cache = epoch.New(g.store, 0, g.store.Now)
	g.cache.Along(registration.FactVersion, identity.FactChanges, identity.FactForgotten)
	if g.trail, err = openTrail(c, log, g.store.Now); err != nil {
		return nil, err
	}
	if err := g.compareAge(ctx); err != nil {
		return nil, err
	}
	if g.ids, err = identity.NewIDMap(g.cache, []byte(c.Site.Key.Reveal()), slugs(c)); err != nil {
		return nil, err
	}
	g.links = identity.NewLinks(g.cache, g.ids, g.store.Now)
	if g.directory, err = attribute.NewDirectory(c); err != nil {
		return nil, err
	}
	rules, err := loadLaw(c, log, g.store.Now())
	if err != nil {
		return nil, err
	}
	b, err := newBroker(c, g.directory, g.ids, g.store.Now, log)
	if err != nil {
		return nil, err
	}
	if g.signIn, err = newSignIn(c, g, users, log); err != nil {
		return nil, err
	}
	who, err := newAccess(c, g, peopleSignIn(c, users), log)
	if err != nil {
		return nil, err
	}
	g.registry = who.registry
	if err := checkIssuers(ctx, c, who.verifier, log); err != nil {
		return nil, err
	}
	who.handlers["/healthz"], who.handlers["/readyz"] = http.HandlerFunc(healthy), ready(g, log)
	if err := who.announce(c); err != nil {
		return nil, err
	}
	if err := g.openFeeds(ctx, who); err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(c.Site.TimeZone)
	if err != nil {
		return nil, err
	}
	if g.background, err = g.newLease("gateways/background"); err != nil {
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
		Store: g.cache, Facts: g.cache, Verifier: who.verifier, Discovery: who.discovery,
		Directory: g.directory, Identity: g.links, IDs: g.ids, Broker: b,
		Labeller: g.labeller, Policy: engine, Audit: g.trail,
		Other: who.handlers, Limits: who.limits,
		Crisis: offered(c.Crisis), Published: published,
		Proxies: c.Server.Proxies(), Origins: g.registry.RegisteredOrigin,
		Capture: gateway.CaptureLimits{Verbal: c.Capture.Verbal, Written: c.Capture.Written, Backlog: c.Capture.Backlog},
		Bases:   basisLimits(c), Emergency: emergencyLimits(c),
		Location: zone, Now: g.store.Now, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	if err := g.handler.KeepConfigured(ctx); err != nil {
		return nil, err
	}
	if err := g.enter(ctx); err != nil {
		return nil, err
	}
	return g, g.age.Mark(ctx)
}

// loadLaw compiles the rule packs, and tells by which the gateway decides.
func loadLaw(c *config.Config, log *slog.Logger, now time.Time) (*policy.Law, error) {
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
	if ended := law.Ended(c, now); len(ended) > 0 {
		log.Warn("these sharing agreements have ended and open nothing", "agreements", ended)
	}
	if strange := enforce.Unknown(rules.Obligations()); len(strange) > 0 {
		log.Warn("these obligations cannot be carried out here: what they go with is withheld", "obligations", strange)
	}
	return rules, nil
}

// leaveWithin is how long a gateway that stops tries to say so to the others.
const leaveWithin = 3 * time.Second

// Close ends the trail with a checkpoint and closes the store.
func (g *running) Close() error {
	var errs []error
	if g.peers != nil {
		ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
		defer cancel()
		if err := g.peers.Leave(ctx); err != nil {
			errs = append(errs, fmt.Errorf("the list of gateways still says that this one serves, as if it had been killed: %w", err))
		}
	}
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
func openTrail(c *config.Config, log *slog.Logger, now func() time.Time) (*audit.Trail, error) {
	key, err := audit.LoadOrCreateKey(c.Path(c.Audit.KeyFile))
	if err != nil {
		return nil, err
	}
	return audit.Open(audit.Options{Dir: c.Path(c.Audit.Dir), Anchor: &audit.FileAnchor{Path: c.Path(c.Audit.Anchor)}, Key: key, Now: now,
		Alert: func(err error) {
			log.Error("the audit trail has failed; requests are refused until it works", "error", err)
		},
	})
}

// newBroker connects the upstream systems. now is the store's clock, by which the
// gateway proves to them who it is.
func newBroker(c *config.Config, d *attribute.Directory, ids *identity.IDMap, now func() time.Time, log *slog.Logger) (*broker.Broker, error) {
	o := broker.Options{IDs: ids, Timeout: c.Broker.Timeout, Overall: c.Broker.Overall, Concurrency: c.Broker.Concurrency}
	o.Observe = func(system string, took time.Duration, err error) {
		log.Debug("asked a connected system", "system", system, "took", took, "error", err)
	}
	for _, s := range d.Upstreams() {
		u, err := newUpstream(c, d, s, now)
		if err != nil {
			return nil, fmt.Errorf("system %s: %w", s.Key, err)
		}
		o.Systems = append(o.Systems, broker.System{Upstream: u, Timeout: s.Timeout})
	}
	return broker.New(o)
}

func newUpstream(c *config.Config, d *attribute.Directory, s config.System, now func() time.Time) (upstream.Upstream, error) {
	transport := client.NewTransport()
	o := client.Options{System: s.Key, Base: s.Base, Transport: transport, MaxPageBytes: s.MaxPage}
	if s.Auth.ClientID != "" {
		key, err := auth.ReadPrivateKey(c.Path(s.Auth.KeyFile))
		if err != nil {
			return nil, err
		}
		signer, err := auth.NewSigner(s.Auth.ClientID, key, 0, now)
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

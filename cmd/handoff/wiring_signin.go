package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/registration"
	"github.com/handoff-health/handoff/gateway/signin"
)

// newSignIn makes what signs people in. more are providers that no configuration
// has: those of the demo.
func newSignIn(c *config.Config, g *running, more []signin.Provider, log *slog.Logger) (*signin.Server, error) {
	providers := make([]signin.Provider, 0, len(c.SignIn.Providers)+len(more))
	fetcher := auth.NewHTTPFetcher()
	for _, p := range c.SignIn.Providers {
		made, err := identityProvider(c, p, fetcher, g.store.Now)
		if err != nil {
			return nil, fmt.Errorf("provider %s: %w", p.ID, err)
		}
		providers = append(providers, made)
	}
	return signin.New(signin.Options{
		Now:  g.signInClock(),
		Base: origin(c), SiteKey: []byte(c.Site.Key.Reveal()), Facts: g.store, Audit: g.trail,
		Providers: append(providers, more...), Banner: c.SignIn.Banner, Idle: c.SignIn.Idle, Absolute: c.SignIn.Absolute,
		Failures: c.Limits.Failures, Window: c.Limits.Window, NewID: newRequestID, Logger: log,
		EndTokens: func(ctx context.Context, session string, until time.Time) error {
			return auth.EndSession(ctx, g.store, session, until)
		},
	})
}

// identityProvider turns a provider of the file into one of signin.
func identityProvider(c *config.Config, p config.IdentityProvider, fetcher auth.Fetcher, now func() time.Time) (signin.Provider, error) {
	o := signin.OpenIDOptions{Issuer: p.Issuer, Client: p.ClientID, Secret: p.ClientSecret.Reveal(), Algorithms: p.Algorithms, Fetcher: fetcher, Now: now}
	if p.KeyFile != "" {
		key, err := auth.ReadPrivateKey(c.Path(p.KeyFile))
		if err != nil {
			return signin.Provider{}, err
		}
		o.Key = key
	}
	openid, err := signin.NewOpenID(o)
	if err != nil {
		return signin.Provider{}, err
	}
	out := signin.Provider{
		ID: p.ID, Name: p.Name, Organization: attribute.Reference(p.Organization), Exempt: p.Exempt, OptionalMFA: p.MFA == "optional",
		ACRValues: p.ACRValues, Claims: signin.Claims{User: p.Claims.User, System: p.Claims.System, Name: p.Claims.Name, Roles: p.Claims.Roles},
		Roles: map[string]label.Code{}, People: practitioners(c, p.Organization), OpenID: openid,
	}
	for value, role := range p.Roles {
		out.Roles[value] = attribute.Role(role)
	}
	return out, nil
}

// practitioners are the people of an organisation whom the file knows.
func practitioners(c *config.Config, organization string) []signin.Known {
	var out []signin.Known
	if org := c.Organization(organization); org != nil {
		for _, p := range org.Practitioners {
			for _, id := range p.Identifiers {
				out = append(out, signin.Known{Reference: "Practitioner/" + p.ID, System: id.System, Value: id.Value})
			}
		}
	}
	return out
}

// recordUnlocks puts into the trail what administrators did by 'handoff users' and
// 'handoff clients' while this process held it, until the context ends.
func (g *running) recordUnlocks(ctx context.Context) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		if err := signin.RecordNotes(ctx, g.store, g.trail, newRequestID); err != nil && ctx.Err() == nil {
			g.log.Error("the unlocking of a user could not be recorded", "error", err)
		}
		if err := registration.RecordNotes(ctx, g.store, g.trail); err != nil && ctx.Err() == nil {
			g.log.Error("what the operator did with a client or a person could not be recorded", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

package main

import (
	"context"
	"time"

	"github.com/handoff-health/handoff/gateway"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/law"
	"github.com/handoff-health/handoff/gateway/limit"
	"github.com/handoff-health/handoff/gateway/registration"
)

// A meter holds callers to their limits, and notes which clients are still used.
type meter struct {
	*limit.Limits
	store *registration.Store
}

// Request implements gateway.Limiter and registration.Limiter.
func (m meter) Request(p *auth.Principal) (wait time.Duration, ok bool) {
	m.store.Used(p.Client)
	return m.Limits.Request(p)
}

// Proven implements auth.Limiter.
func (m meter) Proven(ctx context.Context, client string) error {
	m.store.Used(client)
	return m.Limits.Proven(ctx, client)
}

// register makes the registry of clients, of the configuration and of the API, and
// the limits that they are held to.
func (a *access) register(c *config.Config, g *running) error {
	clients, err := registration.Configured(c)
	if err != nil {
		return err
	}
	a.clients = registration.NewStore(g.cache, c, g.store.Now, g.log)
	if a.registry, err = auth.FollowingRegistry(clients, a.clients, auth.NewHTTPFetcher(), g.store.Now); err != nil {
		return err
	}
	limits, err := newLimits(c, g)
	if err != nil {
		return err
	}
	a.limits = meter{limits, a.clients}
	return nil
}

func newLimits(c *config.Config, g *running) (*limit.Limits, error) {
	l := c.Limits
	return limit.New(limit.Options{
		Requests: l.Requests, Users: l.Users, Tokens: l.Tokens, Failures: l.Failures, Window: l.Window, Facts: g.store,
		Shared: g.others, Now: g.store.Now, Logger: g.log,
	})
}

// manage mounts the registration API.
func (a *access) manage(c *config.Config, g *running) error {
	world, err := newWorld(c)
	if err != nil {
		return err
	}
	s, err := registration.New(registration.Options{
		Origin: origin(c), Config: c, Store: a.clients, Registry: a.registry, Verifier: a.verifier, Limits: a.limits,
		Audit: g.trail, World: world, NewID: newRequestID, Pin: g.cache.Pin, Now: g.store.Now, Logger: g.log,
	})
	if err != nil {
		return err
	}
	for path, h := range s.Handlers() {
		a.handlers[path] = h
	}
	return nil
}

// newWorld is what lint compares registrations with.
func newWorld(c *config.Config) (*registration.World, error) {
	served, err := law.Served(c)
	if err != nil {
		return nil, err
	}
	return &registration.World{Config: c, Served: gateway.Served(), Purpose: served}, nil
}

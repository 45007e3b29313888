package main

import (
	"context"
	"log/slog"
	"net/http"
	"slices"

	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/launch"
	"github.com/handoff-health/handoff/gateway/signin"
)

// peopleSignIn says whether there is an app that people sign in to, and a provider
// at which they can. Without both nothing of it is mounted or announced.
func peopleSignIn(c *config.Config, users []signin.Provider) bool {
	providers := map[string]bool{}
	for _, p := range c.SignIn.Providers {
		providers[p.ID] = true
	}
	for _, p := range users {
		providers[p.ID] = true
	}
	return slices.ContainsFunc(c.Clients, func(cl config.Client) bool {
		return slices.Contains(cl.Grants, auth.GrantAuthorizationCode) && slices.ContainsFunc(cl.Providers, func(id string) bool { return providers[id] })
	})
}

// mountLaunch adds the pages on which people sign in and decide.
func (a *access) mountLaunch(c *config.Config, g *running, log *slog.Logger) error {
	pages, err := launch.New(launch.Options{
		Origin: origin(c), Base: c.Server.Base, Registry: a.registry, Verifier: a.verifier, Pin: g.cache.Pin, Facts: g.store,
		Requests: a.server, Sessions: g.signIn, Records: records{g}, Audit: g.trail, Organization: g.directory.Name,
		NewID: newRequestID, Logger: log,
	})
	if err != nil {
		return err
	}
	for path, h := range pages.Handlers() {
		a.handlers[path] = h
	}
	for _, path := range g.signIn.Paths() {
		a.handlers[path] = g.signIn
	}
	return nil
}

// records are those of the gateway, which is made after the pages that ask it.
type records struct{ g *running }

// Ask implements launch.Records.
func (r records) Ask(ctx context.Context, p *auth.Principal, target string, from *http.Request) (int, []byte) {
	if r.g.handler == nil {
		return http.StatusServiceUnavailable, nil
	}
	return r.g.handler.Ask(ctx, p, target, from)
}

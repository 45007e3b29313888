package main

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/launch"
	"github.com/handoff-health/handoff/gateway/signin"
)

// peopleSignIn says whether there is a provider at which people sign in. Without
// one nothing of it is mounted or announced; apps may come while the gateway runs.
func peopleSignIn(c *config.Config, users []signin.Provider) bool {
	return len(c.SignIn.Providers)+len(users) > 0
}

// mountLaunch adds the pages on which people sign in and decide.
func (a *access) mountLaunch(c *config.Config, g *running, log *slog.Logger) error {
	pages, err := launch.New(launch.Options{
		Now:    g.signInClock(),
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

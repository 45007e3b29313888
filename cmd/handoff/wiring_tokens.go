package main

import (
	"context"
	"net/http"
	"net/url"

	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
)

// inquire mounts the endpoints that tell of tokens and end them.
func (a *access) inquire(c *config.Config, g *running) error {
	o := auth.TokenInquiries{
		Clients: a.tokens.Authenticator(), Verifier: a.verifier, Registry: a.registry, Facts: g.cache, Base: c.Server.Base,
		Auditor: inquiryAuditor{g.trail}, Pin: g.cache.Pin, Now: g.store.Now,
	}
	if a.server != nil {
		o.Families = a.server.Families()
	}
	introspect, err := auth.NewIntrospectionEndpoint(o)
	if err != nil {
		return err
	}
	revoke, err := auth.NewRevocationEndpoint(o)
	if err != nil {
		return err
	}
	a.handlers[introspectPath], a.handlers[revokePath] = introspect, revoke
	return nil
}

// inquiryAuditor puts introspections and revocations into the same trail as
// everything else.
type inquiryAuditor struct{ trail audit.Recorder }

// TokenInquired implements auth.InquiryAuditor. The event's token is the one asked
// about: a search for a token finds who asked.
func (t inquiryAuditor) TokenInquired(ctx context.Context, q *auth.Inquiry) error {
	about := url.Values{}
	for name, value := range map[string]string{"token_client": q.AskedOf, "authorization": q.AskedFor, "bearer": q.TokenID} {
		if value != "" {
			about.Set(name, value)
		}
	}
	e := &audit.Event{
		ID: newRequestID(), At: q.At, Duration: q.Duration, Interaction: q.Kind, Operation: q.Method, Path: q.Path,
		Status: q.Status, Reason: q.Reason, Organization: q.Organization, TokenID: q.Asked, Source: q.Source,
	}
	if q.Authenticated {
		e.Client = q.Client
	} else if q.Client != "" {
		about.Set("claimed_client", q.Client)
	}
	if q.Error == "" && q.Status == http.StatusOK && !q.Effective {
		about.Set("effect", "none")
	}
	e.Query = about.Encode()
	if q.Status != http.StatusOK {
		e.Outcome = audit.Minor
	}
	return t.trail.Record(context.WithoutCancel(ctx), e)
}

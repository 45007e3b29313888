package oauth

import (
	"context"
	"errors"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/smart"
)

// RefreshToken gives new tokens for a refresh token, which is used up.
func (p *provider) RefreshToken(ctx context.Context, _ *op.ClientRequest[oidc.RefreshTokenRequest]) (*op.Response, error) {
	c := callOf(ctx)
	answer, err := p.refresh(ctx, c)
	if err != nil {
		return nil, c.refuse(err)
	}
	return op.NewResponse(answer), nil
}

// refresh checks a refresh token and exchanges it. One that comes twice, or from
// another client, was stolen from one of two: both lose what came of it. There is
// no grace for a second use: nobody could tell the app from the thief.
func (s *Server) refresh(ctx context.Context, c *call) (map[string]any, error) {
	key, t := secretKey(refreshFacts, c.form["refresh_token"]), &ticket{}
	version, err := s.keys.get(ctx, key, t)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, invalidGrant("refresh-unknown", "the refresh token is not known, or over")
	case err != nil:
		return nil, err
	}
	f, err := s.keys.family(ctx, t.Authorization)
	if err != nil || f == nil {
		return nil, errors.Join(err, invalidGrant("refresh-unknown", "the refresh token is not known, or over"))
	}
	s.describe(c, f)
	reused := invalidGrant("refresh-reused", "the refresh token was used before: everything that came of it has ended")
	switch {
	case t.Client != c.client.Client().ID && !guard.Off(guard.AuthorizeRefreshOf):
		return nil, s.stolen(ctx, f, invalidGrant("refresh-client", "the refresh token is another client's"))
	case t.Used && !guard.Off(guard.AuthorizeRefreshOnce):
		return nil, s.stolen(ctx, f, reused)
	case !s.o.Now().Before(t.Expires) && !guard.Off(guard.AuthorizeRefreshLife):
		return nil, invalidGrant("refresh-expired", "the refresh token is over")
	}
	permitted, err := s.refreshable(ctx, c, f)
	if err != nil {
		return nil, err
	}
	scope, err := auth.NarrowScope(permitted, c.form["scope"])
	if err != nil {
		return nil, err
	}
	t.Used = true
	err = s.keys.replace(ctx, key, version, t, f.Ends)
	switch {
	case errors.Is(err, errTaken) && guard.Off(guard.AuthorizeRefreshOnce):
	case errors.Is(err, errTaken):
		return nil, s.stolen(ctx, f, reused)
	case err != nil:
		return nil, err
	}
	return s.issue(ctx, c, f, scope, permitted)
}

// refreshable says what may still be refreshed: online_access only while the
// session lives.
func (s *Server) refreshable(ctx context.Context, c *call, f *family) (string, error) {
	permitted, err := s.inForce(ctx, c, f)
	if err != nil {
		return "", err
	}
	switch refreshKind(permitted, c.client.Client()) {
	case smart.ScopeOffline:
		return permitted, nil
	case smart.ScopeOnline:
		alive, err := s.alive(ctx, f)
		if err != nil {
			return "", err
		}
		if alive || guard.Off(guard.AuthorizeRefreshLife) {
			return permitted, nil
		}
		return "", invalidGrant("session-ended", "the person is no longer signed in")
	}
	return "", invalidGrant("refresh-not-registered", "the client's registration no longer covers refresh tokens")
}

func (s *Server) alive(ctx context.Context, f *family) (bool, error) {
	if s.o.Sessions == nil {
		return false, nil
	}
	return s.o.Sessions.Alive(ctx, f.Authorization.Session)
}

// newRefresh keeps a fresh refresh token, if the app gets one; kept is the scope
// that it carries.
func (s *Server) newRefresh(ctx context.Context, f *family, app *auth.Client, kept string) (string, error) {
	kind := refreshKind(kept, app)
	if kind == "" {
		return "", nil
	}
	secret, expires := newSecret(), f.Ends
	if idle := s.o.Now().Add(OfflineIdle); kind == smart.ScopeOffline && idle.Before(expires) {
		expires = idle
	}
	err := s.keys.put(ctx, secretKey(refreshFacts, secret), &ticket{Authorization: f.Authorization.ID, Client: app.ID, Expires: expires}, expires)
	return secret, err
}

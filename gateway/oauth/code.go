package oauth

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/guard"
)

// CodeExchange gives tokens for a code, once.
func (p *provider) CodeExchange(ctx context.Context, _ *op.ClientRequest[oidc.AccessTokenRequest]) (*op.Response, error) {
	c := callOf(ctx)
	answer, err := p.redeem(ctx, c)
	if err != nil {
		return nil, c.refuse(err)
	}
	return op.NewResponse(answer), nil
}

// redeem checks a code against the client, the redirect_uri and the verifier, and
// uses it up. A code that comes twice or in other hands was stolen: it ends with
// all that came of it.
func (s *Server) redeem(ctx context.Context, c *call) (map[string]any, error) {
	key, t := secretKey(codeFacts, c.form["code"]), &ticket{}
	version, err := s.keys.get(ctx, key, t)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, invalidGrant("code-unknown", "the code is not known, or over")
	case err != nil:
		return nil, err
	}
	f, err := s.keys.family(ctx, t.Authorization)
	if err != nil || f == nil {
		return nil, errors.Join(err, invalidGrant("code-unknown", "the code is not known, or over"))
	}
	s.describe(c, f)
	if t.Used && !guard.Off(guard.AuthorizeCodeOnce) {
		return nil, s.stolen(ctx, f, invalidGrant("code-reused", "the code was used before: everything that came of it has ended"))
	}
	wrong := s.checkCode(c, t)
	t.Used = true
	err = s.keys.replace(ctx, key, version, t, later(f.Ends, s.o.Now().Add(CodeLife)))
	switch {
	case wrong != nil:
		return nil, s.stolen(ctx, f, wrong)
	case errors.Is(err, errTaken) && guard.Off(guard.AuthorizeCodeOnce):
	case errors.Is(err, errTaken):
		return nil, s.stolen(ctx, f, invalidGrant("code-reused", "the code was used before: everything that came of it has ended"))
	case err != nil:
		return nil, err
	}
	scope, err := s.inForce(ctx, c, f)
	if err != nil {
		return nil, err
	}
	return s.issue(ctx, c, f, scope, scope)
}

// checkCode says what is wrong with how a code comes.
func (s *Server) checkCode(c *call, t *ticket) error {
	verifier := c.form["code_verifier"]
	switch {
	case !s.o.Now().Before(t.Expires) && !guard.Off(guard.AuthorizeCodeAge):
		return invalidGrant("code-expired", "the code is older than a minute")
	case t.Client != c.client.Client().ID && !guard.Off(guard.AuthorizeCodeClient):
		return invalidGrant("code-client", "the code is another client's")
	case t.RedirectURI != c.form["redirect_uri"] && !guard.Off(guard.AuthorizeCodeRedirect):
		return invalidGrant("code-redirect-uri", "redirect_uri is not the one of the authorization request")
	case !verifies(t.Challenge, verifier) && !guard.Off(guard.AuthorizeVerifier):
		return invalidGrant("code-verifier", "code_verifier is missing or does not fit the code_challenge")
	}
	return nil
}

// verifies compares a verifier with its challenge: 43 to 128 unreserved
// characters (RFC 7636 4.1), method S256.
func verifies(challenge, verifier string) bool {
	if len(verifier) < 43 || len(verifier) > 128 || challenge == "" {
		return false
	}
	odd := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._~", c)
	}
	return !strings.ContainsFunc(verifier, odd) &&
		oidc.VerifyCodeChallenge(&oidc.CodeChallenge{Challenge: challenge, Method: oidc.CodeChallengeMethodS256}, verifier)
}

// stolen ends a family and gives why the request is refused.
func (s *Server) stolen(ctx context.Context, f *family, why error) error {
	// A caller that hangs up must not keep the family alive.
	if err := s.end(context.WithoutCancel(ctx), f); err != nil {
		return err
	}
	return why
}

// inForce says what is left of an authorization: nothing if it or its session
// was ended, else what the client's registration of today leaves of its scope. One of
// an older release gets for what is issued now the generation of before it is judged.
func (s *Server) inForce(ctx context.Context, c *call, f *family) (string, error) {
	a := &f.Authorization
	generation := a.Generation
	if generation == "" {
		var err error
		if generation, err = auth.ReadGeneration(ctx, s.o.Facts, a.Client, a.Subject); err != nil {
			return "", err
		}
	}
	over, err := auth.FamilyEnded(ctx, s.o.Facts, a, f.Began)
	if err != nil {
		return "", err
	}
	a.Generation = generation
	if over && !guard.Off(guard.AuthorizeFamily) {
		return "", invalidGrant("ended", "the authorization was ended")
	}
	if !s.o.Now().Before(f.Ends) && !guard.Off(guard.AuthorizeRefreshLife) {
		return "", invalidGrant("expired", "the authorization is over")
	}
	scope, err := c.client.Client().Permits(a, s.o.Base)
	if err != nil && guard.Off(guard.AuthorizePolicy) {
		return a.Scope, nil
	}
	if err != nil {
		return "", &auth.Refusal{Status: http.StatusBadRequest, Code: "invalid_grant", Description: "the client's registration no longer covers the authorization", Reason: "policy", Err: err}
	}
	return scope, nil
}

// describe tells the trail whose authorization it is about.
func (s *Server) describe(c *call, f *family) {
	a, at := &f.Authorization, c.attempt
	at.Authorization, at.Reference, at.Purposes = a.ID, a.FHIRUser, a.Said.Purposes
	at.User = auth.User{ID: a.Said.UserID, Name: a.Said.UserName, Methods: a.Said.Methods, MFA: a.MFA, Subject: a.Subject, ACR: a.ACR, SignedIn: a.SignedIn}
	if a.Said.Role != "" {
		at.Roles = []string{a.Said.Role}
	}
	at.Requested = c.form["scope"]
}

// remaining is the life of an access token: the registration's, and not beyond
// the end of the family.
func (s *Server) remaining(f *family, app *auth.Client) time.Duration {
	return min(tokenLife(app), f.Ends.Sub(s.o.Now()).Truncate(time.Second))
}

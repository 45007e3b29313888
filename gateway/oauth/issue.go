package oauth

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/smart"
)

// ownMembers of an answer are the server's to write: launch context that has one
// of these names is left out.
var ownMembers = []string{
	"access_token", "token_type", "expires_in", "scope", "refresh_token", "id_token", "patient", "encounter",
	"error", "error_description", "error_uri", "state", "iss",
}

// issue makes the answer: tokens with this scope, and a refresh token that
// carries kept. Launch context stands in every answer.
func (s *Server) issue(ctx context.Context, c *call, f *family, scope, kept string) (map[string]any, error) {
	app, a := c.client.Client(), f.Authorization
	a.Scope = scope
	life := s.remaining(f, app)
	if life < time.Second {
		return nil, invalidGrant("expired", "the authorization is over")
	}
	access, err := s.o.Tokens.AccessTokens().ForPerson(&a, life)
	if err != nil {
		return nil, err
	}
	answer := map[string]any{}
	for name, value := range f.Context {
		if !slices.Contains(ownMembers, name) {
			answer[name] = value
		}
	}
	if id, ok := strings.CutPrefix(a.Patient, "Patient/"); ok {
		answer["patient"] = id
	}
	if id, ok := strings.CutPrefix(a.Encounter, "Encounter/"); ok {
		answer["encounter"] = id
	}
	answer["access_token"], answer["token_type"], answer["expires_in"], answer["scope"] = access.Token, "Bearer", int(life/time.Second), scope
	if has(scope, smart.ScopeOpenID) {
		if answer["id_token"], err = s.idToken(f, scope, access.Token, c.form["grant_type"] == auth.GrantAuthorizationCode); err != nil {
			return nil, err
		}
	}
	refresh, err := s.newRefresh(ctx, f, app, kept)
	if err != nil {
		return nil, err
	}
	if refresh != "" {
		answer["refresh_token"] = refresh
	}
	at := c.attempt
	at.Granted, at.TokenID, at.Expires = access.Scope, access.ID, access.Expires
	return answer, nil
}

func has(scope, word string) bool {
	return slices.Contains(strings.Fields(scope), word)
}

// idToken says who signed in, to the app alone (OpenID Connect Core 2; SMART 2.2,
// fhirUser). A refreshed one has no nonce (12.2).
func (s *Server) idToken(f *family, scope, access string, first bool) (string, error) {
	a, now := &f.Authorization, s.o.Now()
	nonce := ""
	if first {
		nonce = f.Nonce
	}
	claims := oidc.NewIDTokenClaims(s.o.Issuer, a.Subject, []string{a.Client}, now.Add(idTokenLife), a.SignedIn, nonce, a.ACR, a.Said.Methods, a.Client, 0)
	claims.IssuedAt = oidc.FromTime(now)
	claims.SessionID = a.Session
	var err error
	if claims.AccessTokenHash, err = oidc.ClaimHash(access, auth.RS256); err != nil {
		return "", fmt.Errorf("id token: %w", err)
	}
	claims.Claims = s.profile(a, scope)
	return s.o.IDKey.SignIDToken(claims)
}

// profile are the claims about the person that the scopes open.
func (s *Server) profile(a *auth.Authorization, scope string) map[string]any {
	out := map[string]any{}
	if a.FHIRUser != "" && has(scope, smart.ScopeFHIRUser) {
		out["fhirUser"] = s.o.Base + "/" + a.FHIRUser
	}
	if a.Said.UserName != "" && has(scope, smart.ScopeProfile) {
		out["name"] = a.Said.UserName
	}
	return out
}

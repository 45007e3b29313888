package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/smart"
)

// Families is what the server knows of refresh tokens, for introspection and
// revocation.
type Families struct{ s *Server }

// Families returns it.
func (s *Server) Families() Families { return Families{s} }

// RefreshToken implements auth.Families.
func (f Families) RefreshToken(ctx context.Context, token string) (*auth.RefreshToken, error) {
	s, t := f.s, &ticket{}
	switch _, err := s.keys.get(ctx, secretKey(refreshFacts, token), t); {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	of, err := s.keys.family(ctx, t.Authorization)
	if of == nil || err != nil {
		return nil, err
	}
	out := &auth.RefreshToken{Authorization: of.Authorization, Issued: of.Began, Expires: t.Expires, Used: t.Used || t.Client != of.Authorization.Client, Ends: of.Ends}
	if has(of.Authorization.Scope, smart.ScopeOffline) || out.Used {
		return out, nil
	}
	// What is for the time of being online ends with it.
	alive, err := s.alive(ctx, of)
	out.Used = !alive
	return out, err
}

// LaunchContext implements auth.Families.
func (f Families) LaunchContext(ctx context.Context, authorization string) (map[string]any, error) {
	of, err := f.s.keys.family(ctx, authorization)
	if of == nil || err != nil {
		return nil, err
	}
	return of.Context, nil
}

// EachAuthorization calls do for what people let apps do, ended or not, while tokens of
// it may be alive at now. What the apps' registrations have lost meanwhile is not looked
// at. began is when it was given; whether it was ended, auth.FamilyEnded says.
func EachAuthorization(ctx context.Context, facts store.Facts, now time.Time, do func(a *auth.Authorization, began time.Time) error) error {
	return store.EachFact(ctx, facts, authorizationFacts, func(fact store.Fact) error {
		f := &family{}
		if err := json.Unmarshal(fact.Value, f); err != nil {
			return fmt.Errorf("record of the authorization server: %w", err)
		}
		if !now.Before(f.Ends) {
			return nil
		}
		return do(&f.Authorization, f.Began)
	})
}

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
)

// outsideIssuers turns the trusted issuers of the file into those of auth.
func outsideIssuers(c *config.Config) ([]auth.Issuer, error) {
	var out []auth.Issuer
	fetcher := auth.NewHTTPFetcher()
	for _, t := range c.TrustedIssuers {
		is := auth.Issuer{ID: t.ID, Audience: t.Audience, Algorithms: t.Algorithms, Outside: true}
		var err error
		if t.JWKSURL != "" {
			is.Keys, err = auth.NewIssuerKeys(t.JWKSURL, fetcher, nil)
		} else {
			is.Keys, err = auth.ParseKeySet([]byte(t.JWKS))
		}
		if err != nil {
			return nil, fmt.Errorf("trusted issuer %s: %w", t.ID, err)
		}
		if is.Claims, err = claimMap(t); err != nil {
			return nil, fmt.Errorf("trusted issuer %s: %w", t.ID, err)
		}
		out = append(out, is)
	}
	return out, nil
}

// claimMap turns the names of the file into those of auth.
func claimMap(t config.TrustedIssuer) (auth.ClaimMap, error) {
	m := auth.ClaimMap{ScopeOf: t.Scopes, System: t.Claims.System}
	for _, x := range []struct {
		from string
		to   *auth.ClaimPath
	}{
		{t.Claims.ID, &m.ID}, {t.Claims.Person, &m.Person}, {t.Claims.User, &m.User}, {t.Claims.Name, &m.Name},
		{t.Claims.Roles, &m.Roles}, {t.Claims.Patient, &m.Patient}, {t.Claims.Methods, &m.Methods},
	} {
		var err error
		if *x.to, err = auth.ParseClaimPath(x.from); err != nil {
			return m, err
		}
	}
	for _, x := range []struct {
		from []string
		to   *[]auth.ClaimPath
	}{{[]string{t.Claims.Client}, &m.Client}, {t.Claims.Scope, &m.Scope}} {
		for _, s := range x.from {
			p, err := auth.ParseClaimPath(s)
			if err != nil {
				return m, err
			}
			if len(p) > 0 {
				*x.to = append(*x.to, p)
			}
		}
	}
	for value, code := range t.Roles {
		if m.RoleOf == nil {
			m.RoleOf = map[string]label.Code{}
		}
		m.RoleOf[value] = attribute.Role(code)
	}
	return m, nil
}

// checkIssuers fetches the keys of trusted issuers once at the start. One that
// cannot be reached keeps nothing from starting: its tokens wait for it.
func checkIssuers(ctx context.Context, c *config.Config, v *auth.Verifier, log *slog.Logger) error {
	if len(c.TrustedIssuers) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	unreachable, err := v.Check(ctx)
	for id, why := range unreachable {
		log.Warn("the keys of a trusted issuer cannot be fetched; its tokens are refused until they can", "issuer", id, "error", why)
	}
	return err
}

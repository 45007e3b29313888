package registration

import (
	"fmt"
	"slices"

	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/smart"
)

// beyond lists what of a registration only the operator may bring in. The API
// gives an organisation no new role, no new purpose and no new operation, and never
// the right to register clients; it has no members at all for what others would
// have to believe (treating provider, medical personnel, users and factors that a
// client asserts, Consents that it records).
func beyond(c *config.Config, reg *auth.Client) []auth.Problem {
	if guard.Off(guard.ClientCeiling) {
		return nil
	}
	var out []auth.Problem
	add := func(field string, i int, value, reason string) {
		out = append(out, auth.Problem{Field: fmt.Sprintf("%s[%d]", field, i), Value: value, Reason: reason})
	}
	ceiling := ofOrganization(c, reg.Organization)
	if len(reg.Roles) == 0 {
		out = append(out, auth.Problem{Field: "roles", Reason: "a client needs at least one role"})
	}
	for i, r := range reg.Roles {
		if !slices.Contains(ceiling.roles, r.String()) {
			add("roles", i, r.String(), "is not a role of any configured client of the organisation; the operator has to add it")
		}
	}
	for i, p := range reg.Purposes {
		if !slices.Contains(ceiling.purposes, p) {
			add("purposes", i, p, "is not a purpose of any configured client of the organisation; the operator has to add it")
		}
	}
	for _, s := range reg.Operations {
		if s == smart.ScopeManageClients || !slices.Contains(ceiling.operations, s) {
			out = append(out, auth.Problem{Field: "scopes", Value: s, Reason: "can be registered by the operator only"})
		}
	}
	for i, id := range reg.Providers {
		if !slices.Contains(ceiling.providers, id) {
			add("providers", i, id, "is not a provider of the organisation")
		}
	}
	return out
}

type ceiling struct{ roles, purposes, operations, providers []string }

// ofOrganization is what the configuration gives an organisation.
func ofOrganization(c *config.Config, organization string) ceiling {
	var out ceiling
	for _, cl := range c.Clients {
		if attribute.Reference(cl.Organization) != organization {
			continue
		}
		reg, err := configured(c, cl)
		if err != nil {
			continue
		}
		for _, r := range reg.Roles {
			out.roles = append(out.roles, r.String())
		}
		out.purposes = append(out.purposes, reg.Purposes...)
		out.operations = append(out.operations, reg.Operations...)
	}
	for _, p := range c.SignIn.Providers {
		if attribute.Reference(p.Organization) == organization {
			out.providers = append(out.providers, p.ID)
		}
	}
	return out
}

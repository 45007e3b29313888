package registration

import (
	"errors"
	"fmt"
	"strings"

	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/smart"
)

// Configured turns the clients of a configuration into auth's.
func Configured(c *config.Config) ([]auth.Client, error) {
	out := make([]auth.Client, len(c.Clients))
	for i, cl := range c.Clients {
		var err error
		if out[i], err = configured(c, cl); err != nil {
			return nil, fmt.Errorf("client %s: %w", cl.ID, err)
		}
	}
	return out, nil
}

// Faults are what auth's rules say of a client of a configuration, for
// [config.Checks]. A client of which the file says too little for them, which the
// configuration's own checks tell, has none.
func Faults(c *config.Config, cl config.Client) []config.ClientFault {
	out, err := configured(c, cl)
	if err != nil {
		return nil
	}
	var faults []config.ClientFault
	for _, p := range out.Check() {
		faults = append(faults, config.ClientFault{Field: p.Field, Value: p.Value, Reason: p.Reason, Err: p.Err})
	}
	return faults
}

func configured(c *config.Config, cl config.Client) (auth.Client, error) {
	out := auth.Client{
		ID: cl.ID, Name: cl.Name, JWKSURL: cl.JWKSURL, AcceptIssuerAudience: cl.AcceptIssuerAud, Issuer: cl.Issuer,
		Grants: cl.Grants, RedirectURIs: cl.RedirectURIs, LaunchURL: cl.LaunchURL, Origins: cl.Origins, Providers: cl.Providers,
		Life: cl.Lifetime, Public: cl.Public, SecretHashes: cl.SecretHashes,
		MedicalPersonnel: cl.MedicalPersonnel, Disabled: cl.Disabled,
		AssertsUsers: cl.Users == "asserted", BelievesMFA: cl.MFA == "asserted",
	}
	if cl.JWKS != "" {
		out.JWKS = []byte(cl.JWKS)
	}
	for _, id := range cl.ManagesClientsOf {
		out.Manages = append(out.Manages, attribute.Reference(id))
	}
	if err := party(c, &out, cl.Organization, cl.Roles, cl.Purposes); err != nil {
		return out, err
	}
	return out, scopes(&out, cl.Scopes)
}

// party fills in what follows from the organisation.
func party(c *config.Config, out *auth.Client, organization string, roles, purposes []string) error {
	org := c.Organization(organization)
	if org == nil {
		return errors.New("the organisation is not among those of the configuration")
	}
	out.Organization, out.OrganizationKind = attribute.Reference(org.ID), auth.Kind(org.Kind)
	out.Identifiers = identifiers(org.Identifiers)
	for _, p := range org.Practitioners {
		out.Practitioners = append(out.Practitioners, auth.Practitioner{Reference: "Practitioner/" + p.ID, Identifiers: identifiers(p.Identifiers)})
	}
	for _, n := range org.Networks {
		out.Networks = append(out.Networks, attribute.Reference(n))
	}
	for _, r := range roles {
		out.Roles = append(out.Roles, attribute.Role(r))
	}
	for _, p := range purposes {
		out.Purposes = append(out.Purposes, attribute.Purpose(p).String())
	}
	return nil
}

// scopes sorts scopes by their kinds. An error names the one that cannot be
// granted.
func scopes(out *auth.Client, list string) error {
	for text := range strings.FieldsSeq(list) {
		if operation, _ := smart.OperationScope(text); operation {
			out.Operations = append(out.Operations, text)
			continue
		}
		if smart.ContextScope(text) {
			out.ContextScopes = append(out.ContextScopes, text)
			continue
		}
		s, err := smart.ParseScope(text)
		if err != nil {
			return err
		}
		out.Scopes = append(out.Scopes, s)
	}
	return nil
}

func identifiers(list []config.Identifier) []policy.Identifier {
	var out []policy.Identifier
	for _, id := range list {
		out = append(out, policy.Identifier{System: id.System, Value: id.Value})
	}
	return out
}

package auth

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/policy"
)

// A Practitioner is one of an organisation's people whom the directory knows.
type Practitioner struct {
	Reference   string // "Practitioner/…"
	Identifiers []policy.Identifier
}

// narrow cuts a principal of this client down to what it asserted. base is the
// FHIR base URL, which own URLs start with. Everything that is asserted must be
// the registration's: a fault says what is not. signedIn: it is not the client that
// says it, but the gateway's own authorization server.
func (c *Client) narrow(p *Principal, a *Asserted, base string, signedIn bool) error {
	if a == nil {
		return nil
	}
	if a.UserID != "" && !c.AssertsUsers && !signedIn && !guard.Off(guard.ClientNamesUsers) {
		return faultf("user-not-registered", "this client is not registered to ask for a person")
	}
	if !c.ownOrganization(a.Organization, base) && !guard.Off(guard.ClientOwnOrganization) {
		return faultf("user-organization", "organization_id is not the client's own organisation")
	}
	p.Purposes = nil
	for _, asserted := range a.Purposes {
		purpose, ok := among(asserted, codes(c.Purposes))
		if !ok && !guard.Off(guard.ClientOwnPurpose) {
			return faultf("user-purpose", "a purpose_of_use is not among the client's")
		}
		if text := purpose.String(); !slices.Contains(p.Purposes, text) {
			p.Purposes = append(p.Purposes, text)
		}
	}
	if a.Role != "" {
		role, ok := among(a.Role, c.Roles)
		if !ok && !guard.Off(guard.ClientOwnRole) {
			return faultf("user-role", "subject_role is not among the client's roles")
		}
		p.Requester.Roles = []label.Code{role}
		// A client that speaks for law enforcement too stays law enforcement.
		p.Requester.Police = p.Requester.Police || c.lawEnforcement()
	}
	if a.UserID == "" {
		return nil
	}
	p.User = User{ID: a.UserID, Name: a.UserName, Methods: a.Methods, MFA: (c.BelievesMFA || guard.Off(guard.ClientBelievedMFA)) && severalFactors(a.Methods)}
	if known := c.practitioner(a.UserID, base); known != nil {
		p.Requester.Reference = known.Reference
		p.Requester.Identifiers = slices.Concat(p.Requester.Identifiers, known.Identifiers)
	}
	return nil
}

// among finds the registered code that a text names: "system#code", as the
// guide prefers, "system|code", or the code alone where it is unambiguous. A
// code below a registered one is another code.
func among(text string, registered []label.Code) (label.Code, bool) {
	i := strings.LastIndexByte(text, '#')
	if i < 0 {
		i = strings.LastIndexByte(text, '|')
	}
	var found []label.Code
	for _, r := range registered {
		if i < 0 && r.Code == text || i >= 0 && r.Code == text[i+1:] && r.System == terminology.Canonical(text[:i]) {
			found = append(found, r)
		}
	}
	if len(found) == 0 || slices.ContainsFunc(found, func(f label.Code) bool { return f != found[0] }) {
		return label.Code{}, false
	}
	return found[0], true
}

// codes reads the registration's "system|code".
func codes(list []string) []label.Code {
	out := make([]label.Code, len(list))
	for i, s := range list {
		k := strings.LastIndexByte(s, '|')
		out[i] = label.Code{System: s[:max(k, 0)], Code: s[k+1:]}
	}
	return out
}

// ownOrganization says whether the URI is the client's organisation: its URL or
// reference here, or one of its identifiers.
func (c *Client) ownOrganization(uri, base string) bool {
	return uri == c.Organization || uri == base+"/"+c.Organization || identified(uri, c.Identifiers)
}

// practitioner finds the person in the organisation's directory. Nobody can
// assert somebody of another organisation.
func (c *Client) practitioner(id, base string) *Practitioner {
	for i := range c.Practitioners {
		p := &c.Practitioners[i]
		if id == p.Reference || id == base+"/"+p.Reference || identified(id, p.Identifiers) {
			return p
		}
	}
	return nil
}

// identified says whether "system#value" is one of the identifiers.
func identified(uri string, ids []policy.Identifier) bool {
	i := strings.LastIndexByte(uri, '#')
	return i > 0 && slices.ContainsFunc(ids, func(id policy.Identifier) bool {
		return id.Value != "" && id.Value == uri[i+1:] && sameNamespace(id.System, uri[:i])
	})
}

// sameNamespace compares naming systems. That of the NPI has two names, of which
// UDAP's examples use the OID.
func sameNamespace(a, b string) bool {
	npi := func(s string) string {
		if s == "urn:oid:2.16.840.1.113883.4.6" {
			return "http://hl7.org/fhir/sid/us-npi"
		}
		return s
	}
	return a != "" && npi(a) == npi(b)
}

// lawEnforcementRoles are those of the actor-role system.
var lawEnforcementRoles = []string{"law-enforcement-officer", "custody-officer", "dispatcher"}

// lawEnforcement says whether the client speaks for a law-enforcement agency or
// in one of law enforcement's roles.
func (c *Client) lawEnforcement() bool {
	return c.OrganizationKind == Police || slices.ContainsFunc(c.Roles, func(r label.Code) bool {
		return terminology.SystemOf(r.System) == terminology.ActorRole && slices.Contains(lawEnforcementRoles, r.Code)
	})
}

// factors are the values of amr (RFC 8176 section 2) that prove one, by what
// they rest on: something known, held, or inherent.
var factors = map[string]byte{
	"kba": 'k', "pin": 'k', "pwd": 'k',
	"hwk": 'h', "otp": 'h', "pop": 'h', "sc": 'h', "sms": 'h', "swk": 'h', "tel": 'h',
	"face": 'i', "fpt": 'i', "iris": 'i', "retina": 'i', "vbm": 'i',
}

// severalFactors says whether the methods amount to multi-factor
// authentication: "mfa" itself, or factors of two kinds. mca (several channels),
// user, geo, rba and wia are no factors; values are case-sensitive.
func severalFactors(methods []string) bool {
	seen := map[byte]bool{}
	for _, m := range methods {
		if m == "mfa" {
			return true
		}
		if kind, ok := factors[m]; ok {
			seen[kind] = true
		}
	}
	return len(seen) > 1
}

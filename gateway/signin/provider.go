package signin

import (
	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/gateway/guard"
)

// A Provider is where an organisation's people sign in: an OpenID Provider, or,
// in the demo alone, a list of users.
type Provider struct {
	ID           string
	Name         string // as people know it
	Organization string // "Organization/…" whose people sign in here
	// Exempt lets sessions stay open while unused (CJIS AC-11: terminals in a
	// police vehicle or a secure dispatch room).
	Exempt bool
	// OptionalMFA lets in people who signed in with one factor.
	OptionalMFA bool
	ACRValues   []string // each proves more than one factor
	Claims      Claims
	Roles       map[string]label.Code // by a value of the roles claim
	People      []Known

	OpenID *OpenID // how to ask the provider
	Users  *Users  // of the demo
}

// Claims are names of claims of an id token; a name that is no claim is read as a
// path into objects, with dots.
type Claims struct {
	User   string // the person's id; default sub
	System string // naming system of that id; "": none
	Name   string // default name
	Roles  string // default roles
}

// Known is a person of the organisation whom the directory knows.
type Known struct {
	Reference     string // "Practitioner/…"
	System, Value string // of an identifier
}

// practitioner finds whom an id of the organisation denotes; "" if nobody.
func (p *Provider) practitioner(id string) string {
	if p.Claims.System == "" {
		return ""
	}
	for _, k := range p.People {
		if k.System == p.Claims.System && k.Value == id {
			return k.Reference
		}
	}
	return ""
}

// roles are those to which the values of the claim are turned, each once.
func (p *Provider) roles(values []string) []label.Code {
	var out []label.Code
	seen := map[label.Code]bool{}
	for _, v := range values {
		if c, ok := p.Roles[v]; ok && !seen[c] {
			out, seen[c] = append(out, c), true
		}
	}
	return out
}

// Why a person is not let in: stable reasons of the audit trail.
const (
	reasonNoMFA = "one-factor"
	reasonRole  = "no-role"
)

// refusal says why a person who signed in is not let in; "" if they are.
func (p *Provider) refusal(who *Person) string {
	switch {
	case !who.MFA && !p.OptionalMFA && !guard.Off(guard.SignInMFA):
		return reasonNoMFA
	case len(who.Roles) == 0 && !guard.Off(guard.SignInRole):
		return reasonRole
	}
	return ""
}

package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/terminology"
)

// defaultBanner is the system use notification of a site that has none of its own
// (CJIS AC-8 asks for these four points).
const defaultBanner = `You are accessing a restricted information system.
Its use may be monitored, recorded and audited.
Unauthorized use is prohibited and may be subject to criminal and civil penalties.
Use of the system means that you consent to monitoring and recording.`

// Bounds of sessions and of failures to sign in (CJIS AC-7, AC-11, IA-11).
const (
	maxIdle     = 30 * time.Minute
	maxAbsolute = 12 * time.Hour
	maxFailures = 5
	maxWindow   = 15 * time.Minute
	maxBanner   = 8000 // bytes
)

// SignIn is how people sign in.
type SignIn struct {
	// Banner is the notice that everybody sees and confirms before signing in.
	Banner string `yaml:"banner"`
	// Idle ends a session that is not used, Absolute every session; default and
	// most 30m and 12h.
	Idle      time.Duration      `yaml:"idle"`
	Absolute  time.Duration      `yaml:"absolute"`
	Providers []IdentityProvider `yaml:"providers"`
}

// IdentityProvider is an OpenID Provider at which an organisation's people sign in.
type IdentityProvider struct {
	ID           string `yaml:"id"`
	Name         string `yaml:"name"`         // as people know it
	Issuer       string `yaml:"issuer"`       // its issuer URL; all else comes from its discovery document
	ClientID     string `yaml:"clientId"`     // of this gateway there
	ClientSecret Secret `yaml:"clientSecret"` // or a key file
	KeyFile      string `yaml:"keyFile"`      // private JWK, for private_key_jwt
	Organization string `yaml:"organization"` // id of the organisation whose people sign in here
	// ACRValues are asked for, and one of them in the id token proves more than one
	// factor; so does amr. MFA is "required" (default) or "optional".
	ACRValues []string `yaml:"acrValues"`
	MFA       string   `yaml:"mfa"`
	// Algorithms are those of its id tokens; default RS256.
	Algorithms []string `yaml:"algorithms"`
	// Exempt lets sessions of this provider stay open while unused: terminals in a
	// police vehicle or a secure dispatch room (CJIS AC-11).
	Exempt bool       `yaml:"exempt"`
	Claims UserClaims `yaml:"claims"`
	// Roles turns a value of the roles claim into a role code; a person without any
	// is not let in.
	Roles map[string]string `yaml:"roles"`
}

// UserClaims are names of claims of an id token.
type UserClaims struct {
	User   string `yaml:"user"`   // the person's id at the organisation; default sub
	System string `yaml:"system"` // naming system of that id: a person of organizations[].practitioners with this identifier is that Practitioner
	Name   string `yaml:"name"`   // default name
	Roles  string `yaml:"roles"`  // default roles
}

func (c *Config) signInDefaults() {
	s := &c.SignIn
	if strings.TrimSpace(s.Banner) == "" {
		s.Banner = defaultBanner
	}
	if s.Idle == 0 {
		s.Idle = maxIdle
	}
	if s.Absolute == 0 {
		s.Absolute = maxAbsolute
	}
	if c.Limits.Failures == 0 {
		c.Limits.Failures = maxFailures
	}
	if c.Limits.Window == 0 {
		c.Limits.Window = maxWindow
	}
	for i := range s.Providers {
		p := &s.Providers[i]
		if p.MFA == "" {
			p.MFA = "required"
		}
		if p.Name == "" {
			p.Name = p.ID
		}
		if len(p.Algorithms) == 0 {
			p.Algorithms = []string{"RS256"} // what OpenID Connect has every provider offer
		}
	}
}

func (k *checker) checkSignIn() {
	s := &k.SignIn
	if len(s.Banner) > maxBanner {
		k.fault("$.signIn.banner", fmt.Sprintf("has %d bytes, at most %d: people have to read it", len(s.Banner), maxBanner))
	}
	if s.Idle < time.Minute || s.Idle > maxIdle {
		k.fault("$.signIn.idle", "must be from 1m to 30m (CJIS AC-11)")
	}
	if s.Absolute < s.Idle || s.Absolute > maxAbsolute {
		k.fault("$.signIn.absolute", "must be from signIn.idle to 12h (CJIS IA-11)")
	}
	if f := k.Limits.Failures; f < 1 || f > maxFailures {
		k.fault("$.limits.failures", "must be from 1 to 5 (CJIS AC-7)")
	}
	if w := k.Limits.Window; w < time.Minute || w > maxWindow {
		k.fault("$.limits.window", "must be from 1m to 15m (CJIS AC-7)")
	}
	seen := map[string]bool{}
	for i, p := range s.Providers {
		at := fmt.Sprintf("$.signIn.providers[%d]", i)
		switch {
		case !idForm.MatchString(p.ID):
			k.value(at+".id", p.ID, "is not a name of letters, digits, - and .")
		case seen[p.ID]:
			k.value(at+".id", p.ID, "stands twice")
		}
		seen[p.ID] = true
		k.provider(at, p)
	}
	for i, cl := range k.Clients {
		for n, id := range cl.Providers {
			k.clientProvider(fmt.Sprintf("$.clients[%d].providers[%d]", i, n), cl, id)
		}
	}
}

func (k *checker) provider(at string, p IdentityProvider) {
	k.organization(at+".organization", p.Organization)
	if !isServiceURL(p.Issuer) {
		k.value(at+".issuer", p.Issuer, "is not an absolute https URL without query (http only to this machine)")
	}
	if strings.TrimSpace(p.ClientID) == "" {
		k.fault(at+".clientId", "is missing: the id of this gateway at the provider")
	}
	if (p.ClientSecret == "") == (p.KeyFile == "") {
		k.fault(at, "exactly one of clientSecret and keyFile is needed")
	}
	if p.KeyFile != "" {
		k.privateKey(at+".keyFile", p.KeyFile)
	}
	if p.MFA != "required" && p.MFA != "optional" {
		k.value(at+".mfa", p.MFA, "is none of required, optional")
	}
	for n, v := range p.ACRValues {
		if v == "" || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' }) {
			k.value(fmt.Sprintf("%s.acrValues[%d]", at, n), v, "is no value of acr: visible ASCII characters without blanks")
		}
	}
	for n, a := range p.Algorithms {
		if !slices.Contains([]string{"RS256", "RS384", "ES256", "ES384"}, a) {
			k.value(fmt.Sprintf("%s.algorithms[%d]", at, n), a, "is none of RS256, RS384, ES256, ES384")
		}
	}
	if s := p.Claims.System; s != "" && !strings.Contains(s, ":") {
		k.value(at+".claims.system", s, "is no URI of a naming system")
	}
	if len(p.Roles) == 0 {
		k.fault(at+".roles", "is missing: without a role nobody is let in")
	}
	for _, value := range slices.Sorted(maps.Keys(p.Roles)) {
		k.providerRole(at+".roles", value, p.Roles[value])
	}
}

// providerRole wants a role as a client has it. It names the value of the claim,
// because a path cannot: the value may hold any character.
func (k *checker) providerRole(at, value, role string) {
	system, code, ok := strings.Cut(role, "|")
	if !ok {
		system, code = terminology.ActorRole.URI(), role
	}
	known := terminology.SystemOf(system)
	switch {
	case code == "" || known == terminology.Unknown && !strings.Contains(system, ":"),
		known == terminology.ActorRole && !slices.Contains(terminology.ActorRoles(), code):
		k.value(at, role, fmt.Sprintf("(of %.40q) is no role; known are %s", value, strings.Join(terminology.ActorRoles(), ", ")))
	}
}

// clientProvider wants a provider of the client's own organisation: whose people
// sign in there are that organisation's.
func (k *checker) clientProvider(at string, cl Client, id string) {
	i := slices.IndexFunc(k.SignIn.Providers, func(p IdentityProvider) bool { return p.ID == id })
	switch {
	case i < 0:
		k.value(at, id, "is not among signIn.providers")
	case k.SignIn.Providers[i].Organization != cl.Organization:
		k.value(at, id, "is a provider of another organization than the client's")
	}
}

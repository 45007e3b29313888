package config

import (
	"errors"
	"strings"
	"testing"
	"time"
)

const signInBlock = `signIn:
  providers:
    - id: county
      issuer: https://login.county.example/realms/pd
      clientId: handoff
      clientSecret: a-secret-of-the-county
      organization: pd
      roles: {patrol: law-enforcement-officer}
`

func withSignIn(old, new string) string {
	return strings.Replace(minimal, "    scopes: system/*.rs\n", "    scopes: system/*.rs\n    providers: [county]\n", 1) + strings.Replace(signInBlock, old, new, 1)
}

func TestSignInDefaults(t *testing.T) {
	c, err := Parse("handoff.yaml", []byte(withSignIn("", "")))
	if err != nil {
		t.Fatal(err)
	}
	p := c.SignIn.Providers[0]
	if c.SignIn.Idle != 30*time.Minute || c.SignIn.Absolute != 12*time.Hour || c.Limits.Failures != 5 || c.Limits.Window != 15*time.Minute ||
		p.MFA != "required" || p.Name != "county" || p.Algorithms[0] != "RS256" || !strings.Contains(c.SignIn.Banner, "monitored") {
		t.Errorf("%+v %+v", c.SignIn, c.Limits)
	}
}

func TestFaultsOfSignIn(t *testing.T) {
	for _, c := range []struct{ name, old, new, at, says string }{
		{"id", "id: county", "id: a/b", "providers[0].id", "letters"},
		{"plain http", "https://login", "http://login", "providers[0].issuer", "https"},
		{"query", "realms/pd", "realms/pd?x=1", "providers[0].issuer", "without query"},
		{"no client", "clientId: handoff", "clientId: ''", "providers[0].clientId", "missing"},
		{"no credential", "clientSecret: a-secret-of-the-county", "name: x", "providers[0]", "exactly one"},
		{"two credentials", "clientId: handoff", "clientId: handoff\n      keyFile: k.jwk", "providers[0]", "exactly one"},
		{"organization", "organization: pd", "organization: nobody", "providers[0].organization", "not among"},
		{"another's organization", "organization: pd", "organization: clinic", "clients[0].providers[0]", "another organization"},
		{"unknown provider", "id: county", "id: state", "clients[0].providers[0]", "not among signIn.providers"},
		{"no roles", "roles: {patrol: law-enforcement-officer}", "name: x", "providers[0].roles", "missing"},
		{"no such role", "law-enforcement-officer}", "chief}", "providers[0].roles", "patrol"},
		{"mfa", "clientId: handoff", "clientId: handoff\n      mfa: never", "providers[0].mfa", "required, optional"},
		{"algorithm", "clientId: handoff", "clientId: handoff\n      algorithms: [HS256]", "providers[0].algorithms[0]", "RS256"},
		{"acr", "clientId: handoff", "clientId: handoff\n      acrValues: ['a b']", "providers[0].acrValues[0]", "acr"},
		{"system", "clientId: handoff", "clientId: handoff\n      claims: {system: badges}", "providers[0].claims.system", "URI"},
		{"idle", "signIn:", "signIn:\n  idle: 31m", "signIn.idle", "AC-11"},
		{"absolute", "signIn:", "signIn:\n  absolute: 13h", "signIn.absolute", "IA-11"},
		{"failures", "signIn:", "limits: {failures: 6}\nsignIn:", "limits.failures", "AC-7"},
		{"window", "signIn:", "limits: {window: 16m}\nsignIn:", "limits.window", "AC-7"},
	} {
		_, err := Parse("handoff.yaml", []byte(withSignIn(c.old, c.new)))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		found := false
		for _, f := range e.Faults {
			if f.At == "$.signIn."+c.at || f.At == "$."+c.at {
				found = found || strings.Contains(f.Reason, c.says) && f.Line > 0
			}
		}
		if !found || strings.Contains(err.Error(), "a-secret") {
			t.Errorf("%s: want %s %q in: %v", c.name, c.at, c.says, err)
		}
	}
}

package auth_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/smart"
)

// service and app are registrations with nothing wrong.
func service() auth.Client {
	return auth.Client{
		ID: "svc", Organization: "Organization/clinic", OrganizationKind: auth.Health, Purposes: []string{"s|TREAT"},
		Scopes: smart.ParseGranted("system/*.rs"), JWKS: jwks(keys()["es"]),
	}
}

func app() auth.Client {
	c := service()
	c.ID, c.JWKS, c.Public = "app", nil, true
	c.Grants = []string{auth.GrantAuthorizationCode, auth.GrantRefreshToken}
	c.Scopes, c.ContextScopes = smart.ParseGranted("user/*.rs patient/Observation.rs"), []string{"openid", "offline_access"}
	c.RedirectURIs, c.Providers = []string{"https://app.example/back"}, []string{"idp"}
	return c
}

const hash = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestEveryRuleOfARegistration(t *testing.T) {
	both := []string{auth.GrantClientCredentials, auth.GrantAuthorizationCode}
	for _, c := range []struct {
		name   string
		of     auth.Client
		change func(*auth.Client)
		field  string // "" and no reason: nothing is wrong
		reason string
	}{
		{"a service", service(), func(*auth.Client) {}, "", ""},
		{"an app", app(), func(*auth.Client) {}, "", ""},
		{"an app with a secret", app(), func(c *auth.Client) { c.Public, c.SecretHashes = false, []string{hash} }, "", ""},
		{"an app with a key", app(), func(c *auth.Client) { c.Public, c.JWKS = false, jwks(keys()["es"]) }, "", ""},
		{"an app that is a service too", app(), func(c *auth.Client) {
			c.Public, c.JWKS, c.Grants, c.ContextScopes, c.Scopes = false, jwks(keys()["es"]), both, nil, smart.ParseGranted("user/*.rs system/*.rs")
		}, "", ""},
		{"a client of an outside issuer", service(), func(c *auth.Client) {
			c.JWKS, c.Issuer, c.Scopes = nil, "https://idp.example", smart.ParseGranted("user/*.rs system/*.rs")
		}, "", ""},

		{"no organisation", service(), func(c *auth.Client) { c.Organization = "" }, "organization", "missing"},
		{"no purpose", service(), func(c *auth.Client) { c.Purposes = nil }, "purposes", "at least one"},
		{"no scope", service(), func(c *auth.Client) { c.Scopes = nil }, "scopes", "can do nothing"},
		{"an unknown context scope", app(), func(c *auth.Client) { c.ContextScopes = []string{"launch/everything"} }, "scopes", "not known"},
		{"an unknown operation", service(), func(c *auth.Client) { c.Operations = []string{"https://x.example/scope"} }, "scopes", "no operation's"},
		{"police explaining", service(), func(c *auth.Client) {
			c.OrganizationKind, c.Operations = auth.Police, []string{smart.ScopeExplainAccess}
		}, "scopes", "never granted to law enforcement"},
		{"police managing others", service(), func(c *auth.Client) {
			c.OrganizationKind, c.Operations, c.Manages = auth.Police, []string{smart.ScopeManageClients}, []string{"Organization/other"}
		}, "managesClientsOf", "never manages"},
		{"managing without the scope", service(), func(c *auth.Client) { c.Manages = []string{"Organization/other"} }, "managesClientsOf", "needs the scope"},

		{"an unknown grant", app(), func(c *auth.Client) { c.Grants = append(c.Grants, "password") }, "grants[2]", "none of"},
		{"a grant twice", app(), func(c *auth.Client) { c.Grants = append(c.Grants, "authorization_code") }, "grants[2]", "twice"},
		{"refresh of a service", service(), func(c *auth.Client) { c.Grants = []string{"client_credentials", "refresh_token"} }, "grants[1]", "needs authorization_code"},
		{"a service without system/", app(), func(c *auth.Client) { c.Public, c.JWKS, c.Grants = false, jwks(keys()["es"]), both }, "grants", "needs a system/ scope"},
		{"offline without refresh", app(), func(c *auth.Client) { c.Grants = c.Grants[:1] }, "scopes", "needs the grant refresh_token"},
		{"user/ of a service", service(), func(c *auth.Client) { c.Scopes = smart.ParseGranted("system/*.rs user/*.rs") }, "scopes", "needs the grant authorization_code"},
		{"system/ of an app", app(), func(c *auth.Client) { c.Scopes = smart.ParseGranted("user/*.rs system/*.rs") }, "scopes", "needs the grant client_credentials"},
		{"an app for nobody", app(), func(c *auth.Client) { c.Providers = nil }, "providers", "at least one provider"},
		{"an app without an address", app(), func(c *auth.Client) { c.RedirectURIs = nil }, "redirectUris", "at least one redirect URI"},
		{"an app without scopes for people", app(), func(c *auth.Client) { c.Scopes, c.ContextScopes = nil, []string{"openid"} }, "scopes", ""},
		{"a long life", app(), func(c *auth.Client) { c.Life = 2 * time.Hour }, "lifetime", "is not from"},
		{"a short life", app(), func(c *auth.Client) { c.Life = time.Second }, "lifetime", "is not from"},
		{"an address of a service", service(), func(c *auth.Client) { c.RedirectURIs = []string{"https://a.example/b"} }, "redirectUris", "is an app's"},
		{"a launch of a service", service(), func(c *auth.Client) { c.LaunchURL = "https://a.example/l" }, "launchUrl", "is an app's"},
		{"a provider of a service", service(), func(c *auth.Client) { c.Providers = []string{"idp"} }, "providers", "is an app's"},
		{"a life of a service", service(), func(c *auth.Client) { c.Life = time.Hour }, "lifetime", "is an app's"},
		{"openid of a service", service(), func(c *auth.Client) { c.ContextScopes = []string{"openid"} }, "scopes", "is an app's"},

		{"public and secret", app(), func(c *auth.Client) { c.SecretHashes = []string{hash} }, "", "one of them only"},
		{"public and key", app(), func(c *auth.Client) { c.JWKSURL = "https://a.example/jwks" }, "", "one of them only"},
		{"secret and key", app(), func(c *auth.Client) { c.Public, c.SecretHashes, c.JWKS = false, []string{hash}, jwks(keys()["es"]) }, "", "one of them only"},
		{"nothing to prove with", app(), func(c *auth.Client) { c.Public = false }, "jwks", "nothing to prove"},
		{"a service with a secret", service(), func(c *auth.Client) { c.JWKS, c.SecretHashes = nil, []string{hash} }, "jwks", "client_credentials needs a key"},
		{"a public service", service(), func(c *auth.Client) { c.JWKS, c.Public = nil, true }, "jwks", "client_credentials needs a key"},
		{"a secret in clear", app(), func(c *auth.Client) { c.Public, c.SecretHashes = false, []string{"hunter2"} }, "secretHashes[0]", "sha256:"},
		{"a short hash", app(), func(c *auth.Client) { c.Public, c.SecretHashes = false, []string{hash[:40]} }, "secretHashes[0]", "sha256:"},
		{"three secrets", app(), func(c *auth.Client) { c.Public, c.SecretHashes = false, []string{hash, hash, hash} }, "secretHashes", "at most 2"},
		{"a private key", service(), func(c *auth.Client) { c.JWKS = marshal(map[string]any{"keys": []any{keys()["es"].jwk(true)}}) }, "jwks", "not a usable"},
		{"keys of an outsider", service(), func(c *auth.Client) { c.Issuer = "https://idp.example" }, "jwks", "outside issuer"},
		{"grants of an outsider", app(), func(c *auth.Client) { c.Issuer = "https://idp.example" }, "grants", "outside issuer"},
		{"a reused kid", service(), func(c *auth.Client) {
			other := keys()["other"]
			other.kid = keys()["es"].kid
			c.Retiring = []auth.Retiring{{JWKS: jwks(other), Until: time.Now().Add(time.Hour)}}
		}, "jwks", "not a usable"},
	} {
		reg := c.of
		c.change(&reg)
		got := reg.Check()
		if c.field == "" && c.reason == "" {
			if len(got) > 0 {
				t.Errorf("%s: %v", c.name, got)
			}
			continue
		}
		if !slices.ContainsFunc(got, func(p auth.Problem) bool { return p.Field == c.field && strings.Contains(p.Reason, c.reason) }) {
			t.Errorf("%s: no problem at %q with %q in %v", c.name, c.field, c.reason, got)
		}
		for _, p := range got {
			if strings.Contains(p.Error(), "hunter2") {
				t.Errorf("%s: the secret is told: %v", c.name, p)
			}
		}
	}
}

func TestAddressesThatCanBeRegistered(t *testing.T) {
	with := map[string]func(string) []auth.Problem{
		"redirect": func(s string) []auth.Problem { c := app(); c.RedirectURIs = []string{s}; return c.Check() },
		"launch":   func(s string) []auth.Problem { c := app(); c.LaunchURL = s; return c.Check() },
		"origin":   func(s string) []auth.Problem { c := app(); c.Origins = []string{s}; return c.Check() },
	}
	for _, c := range []struct {
		address string
		good    string // kinds of address that it may be
	}{
		{"https://app.example/back", "redirect launch"}, {"https://app.example/back?x=1", "redirect launch"}, {"https://app.example:8443/", "redirect launch"},
		{"https://app.example", "redirect launch origin"}, {"https://app.example:8443", "redirect launch origin"},
		{"http://127.0.0.1:4000/cb", "redirect launch"}, {"http://[::1]:4000", "redirect launch origin"}, {"http://localhost", "redirect launch origin"},
		{"com.example.app:/callback", "redirect"}, {"com.example-2.app:/", "redirect"},
		{"http://app.example/back", ""}, {"http://127.0.0.1.app.example/", ""}, {"http://localhost.app.example", ""},
		{"https://app.example/back#x", ""}, {"https://app.example/#", ""}, {"https://*.app.example/", ""}, {"https://app.example/*", ""},
		{"https://user@app.example/", ""}, {"https://user:pw@app.example", ""}, {"https:///back", ""}, {"https:app.example", ""}, {"//app.example/back", ""}, {"/back", ""}, {"", ""},
		{"https://app.example/../x", ""}, {"https://app.example/a/%2e%2E/b", ""}, {"https://app.example/a b", ""}, {"https://app.example\\@evil.example/", ""},
		{"https://app.exam\u0440le/", ""}, {"https://app.example/\x00", ""}, {"HTTPS://app.example/", ""}, {"https://app.example:/", ""}, {"https://app%2eexample/", ""},
		{"myapp:/callback", ""}, {"javascript:alert(1)", ""}, {"data:text/html,x", ""}, {"com.example.app:callback", ""}, {"com.example.app://callback", ""}, {"com.example.app:///callback", ""},
		{"urn:ietf:wg:oauth:2.0:oob", ""}, {"file:///etc/passwd", ""}, {"https://" + strings.Repeat("a", 3000) + ".example/", ""},
		{"https://app.example:443", "redirect launch"}, {"https://App.example", "redirect launch"}, {"https://app.example/", "redirect launch"}, {"null", ""}, {"*", ""},
	} {
		for kind, check := range with {
			if c.address == "" && kind == "launch" {
				continue // an app needs none
			}
			if got := check(c.address); (len(got) == 0) != strings.Contains(c.good, kind) {
				t.Errorf("%s %.60q: %v", kind, c.address, got)
			}
		}
	}
	c := app()
	c.RedirectURIs = []string{"https://app.example/back", "https://app.example/back"}
	if len(c.Check()) == 0 {
		t.Error("one address twice")
	}
}

func TestASecretIsLongAndItsHashFits(t *testing.T) {
	one, hashed := auth.NewSecret()
	other, _ := auth.NewSecret()
	if len(one) < 43 || one == other {
		t.Errorf("%d characters", len(one))
	}
	c := app()
	c.Public, c.SecretHashes = false, []string{hashed}
	if p := c.Check(); len(p) > 0 || strings.Contains(hashed, one) {
		t.Error(p)
	}
}

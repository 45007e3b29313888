package config

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

const trusting = `server: {listen: "127.0.0.1:8080", base: "https://gw.example/fhir"}
site:
  key: 0123456789abcdef0123456789abcdef
trustedIssuers:
  - id: https://idp.example
    jwksUrl: https://idp.example/jwks
    algorithms: [RS256]
    claims: {person: sid, user: badge, roles: groups}
    roles: {officers: law-enforcement-officer}
    scopes: {read: system/Patient.rs}
  - id: https://other.example/
    jwks: '{"keys":["b"]}'
    algorithms: [ES384]
organizations:
  - {id: pd, name: Police, kind: police}
clients:
  - {id: c1, organization: pd, roles: [law-enforcement-officer], purposes: [CRISIS], scopes: "system/*.rs user/*.rs", issuer: "https://idp.example"}
  - {id: c2, organization: pd, roles: [law-enforcement-officer], purposes: [CRISIS], scopes: "system/*.rs", issuer: "https://other.example/"}
`

// issuerChecks stands in for package auth.
var issuerChecks = Checks{
	KeySet: func(jwks []byte) error {
		if !strings.Contains(string(jwks), `"keys"`) {
			return errors.New("no keys")
		}
		return nil
	},
	SharedKey: func(a, b []byte) string {
		if string(a) == string(b) {
			return "k"
		}
		return ""
	},
	ClaimPath: func(path string) error {
		if strings.Contains(path, "..") {
			return errors.New("two dots")
		}
		return nil
	},
}

func TestTrustedIssuersAreChecked(t *testing.T) {
	c, err := ParseWith("handoff.yaml", []byte(trusting), issuerChecks)
	if err != nil {
		t.Fatal(err)
	}
	if is := c.TrustedIssuer("https://idp.example"); is == nil || is.Audience != "https://gw.example/fhir" {
		t.Errorf("audience %+v", is)
	}
	for _, tt := range []struct {
		name, old, new string
		want           []string
	}{
		{"no id", "- id: https://idp.example\n    jwks", "- jwks", []string{"$.trustedIssuers[0].id", "is missing"}},
		{"id no URL", "- id: https://idp.example\n", "- id: idp\n", []string{"[5:9] $.trustedIssuers[0].id", "absolute"}},
		{"our own id", "- id: https://idp.example\n", "- id: https://gw.example\n", []string{"[5:9] $.trustedIssuers[0].id", "own issuer"}},
		{"our own id with a slash", "- id: https://idp.example\n", "- id: https://gw.example/\n", []string{"own issuer"}},
		{"our base", "- id: https://idp.example\n", "- id: https://gw.example/fhir\n", []string{"own issuer"}},
		{"twice", "- id: https://other.example/\n", "- id: https://idp.example\n", []string{"[11:9] $.trustedIssuers[1].id", "twice"}},
		{"twice but for a slash", "- id: https://other.example/\n", "- id: https://idp.example/\n", []string{"twice"}},
		{"no keys", "    jwksUrl: https://idp.example/jwks\n", "", []string{"$.trustedIssuers[0]", "exactly one"}},
		{"two ways to keys", "jwksUrl: https://idp.example/jwks", "jwksUrl: https://idp.example/jwks\n    jwks: '{\"keys\":[]}'", []string{"exactly one"}},
		{"keys over plain HTTP", "https://idp.example/jwks", "http://idp.example/jwks", []string{"[6:14] $.trustedIssuers[0].jwksUrl", "https"}},
		{"bad keys", `'{"keys":["b"]}'`, `'{}'`, []string{"[12:11] $.trustedIssuers[1].jwks", "no keys"}},
		{"keys of another", "jwksUrl: https://idp.example/jwks", `jwks: '{"keys":["b"]}'`, []string{"[12:11] $.trustedIssuers[1].jwks", "another trusted issuer's"}},
		{"key URL of another", `jwks: '{"keys":["b"]}'`, "jwksUrl: https://idp.example/jwks", []string{"[12:14] $.trustedIssuers[1].jwksUrl", "another trusted issuer's"}},
		{"no algorithms", "    algorithms: [RS256]\n", "", []string{"$.trustedIssuers[0].algorithms", "ES384"}},
		{"alg none", "[RS256]", "[RS256, none]", []string{"[7:25] $.trustedIssuers[0].algorithms[1]", "none"}},
		{"alg HS256", "[RS256]", "[HS256]", []string{"$.trustedIssuers[0].algorithms[0]"}},
		{"user without person", "person: sid, ", "", []string{"$.trustedIssuers[0].claims.user", "claims.person"}},
		{"person without user", "user: badge, ", "", []string{"$.trustedIssuers[0].claims.person", "claims.user"}},
		{"name of nobody", "algorithms: [ES384]", "algorithms: [ES384]\n    claims: {name: name}", []string{"[14:20] $.trustedIssuers[1].claims.name", "person"}},
		{"naming system of nobody", "algorithms: [ES384]", "algorithms: [ES384]\n    claims: {system: x}", []string{"$.trustedIssuers[1].claims.system"}},
		{"path", "user: badge", "user: a..b", []string{"[8:33] $.trustedIssuers[0].claims.user", "two dots"}},
		{"path of a scope", "algorithms: [ES384]", "algorithms: [ES384]\n    claims: {scope: [scp, a..b]}", []string{"$.trustedIssuers[1].claims.scope[1]", "two dots"}},
		{"claim of roles without roles", "    roles: {officers: law-enforcement-officer}\n", "", []string{"$.trustedIssuers[0].claims.roles", "needs roles"}},
		{"roles without claim", ", roles: groups", "", []string{"$.trustedIssuers[0].roles", "claims.roles"}},
		{"role that there is not", "officers: law-enforcement-officer", "officers: boss", []string{"$.trustedIssuers[0].roles", "dispatcher"}},
		{"scope that there is not", "{read: system/Patient.rs}", "{read: system/Patient.sr}", []string{"$.trustedIssuers[0].scopes", "cannot be granted"}},
		{"scope to nothing", "{read: system/Patient.rs}", "{read: ''}", []string{"$.trustedIssuers[0].scopes", "nothing"}},
		{"misspelt claim", "person: sid", "persons: sid", []string{"unknown field", "persons"}},
		{"client of nobody", `issuer: "https://other.example/"`, `issuer: "https://other.example"`, []string{"$.clients[1].issuer", "trustedIssuers"}},
		{"user/ scopes where nobody is a person", `scopes: "system/*.rs", issuer`, `scopes: "user/*.rs", issuer`, []string{"$.clients[1].scopes", "system/ scopes only"}},
	} {
		text := strings.Replace(trusting, tt.old, tt.new, 1)
		if text == trusting {
			t.Fatalf("%s: nothing was replaced", tt.name)
		}
		_, err := ParseWith("handoff.yaml", []byte(text), issuerChecks)
		if err == nil {
			t.Errorf("%s: accepted", tt.name)
			continue
		}
		if missing := slices.IndexFunc(tt.want, func(w string) bool { return !strings.Contains(err.Error(), w) }); missing >= 0 {
			t.Errorf("%s: %q is missing in: %v", tt.name, tt.want[missing], err)
		}
	}
}

package registration_test

import (
	"strings"
	"testing"

	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/registration"
)

const registered = `site: {key: 0123456789abcdef0123456789abcdef}
organizations:
  - {id: clinic, name: Clinic, kind: health}
  - {id: pd, name: Police, kind: police}
signIn:
  providers:
    - {id: idp, issuer: "https://idp.example", clientId: gw, clientSecret: s, organization: clinic, roles: {doctor: treating-clinician}}
clients:
  - id: app
    organization: clinic
    roles: [treating-clinician]
    purposes: [TREAT]
    scopes: user/*.rs openid
    grants: [authorization_code, refresh_token]
    redirectUris:
      - https://app.example/back
    launchUrl: https://app.example/launch
    origins: ["https://app.example"]
    providers: [idp]
    lifetime: 10m
    public: true
  - id: svc
    organization: pd
    roles: [law-enforcement-officer]
    purposes: [CRISIS]
    scopes: system/*.rs
    jwksUrl: https://rms.example/jwks
`

// The rules of registrations tell where in the file something is wrong.
func TestFaultsOfAClientNameTheirPlace(t *testing.T) {
	checks := config.Checks{Client: registration.Faults}
	if _, err := config.ParseWith("county.yaml", []byte(registered), checks); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"no id", "id: app", `id: ""`, "[9:9] $.clients[0].id"},
		{"an id with a blank", "id: app", "id: my app", "[9:9] $.clients[0].id"},
		{"no purposes", "purposes: [TREAT]", "purposes: []", "[12:15] $.clients[0].purposes"},
		{"no scopes", "scopes: system/*.rs", `scopes: ""`, "$.clients[1].scopes: a client without scopes"},
		{"scope of a user", "scopes: system/*.rs", "scopes: user/*.rs", `[26:13] $.clients[1].scopes: "user/*.rs" needs the grant authorization_code`},
		{"scope of a service", "scopes: user/*.rs openid", "scopes: user/*.rs system/*.rs", `[13:13] $.clients[0].scopes: "system/*.rs" needs the grant client_credentials`},
		{"operation that is not for police", "scopes: system/*.rs", "scopes: https://handoff-health.github.io/fhir/scope/explain-access", "[26:13] $.clients[1].scopes"},
		{"openid of a service", "scopes: system/*.rs", "scopes: system/*.rs openid", "[26:13] $.clients[1].scopes"},
		{"an unknown grant", "refresh_token]", "password]", `[14:34] $.clients[0].grants[1]: "password" is none of`},
		{"no redirect", "redirectUris:\n      - https://app.example/back\n    ", "", "$.clients[0].redirectUris: authorization_code needs"},
		{"plain http", "- https://app.example/back", "- http://app.example/back", `[16:9] $.clients[0].redirectUris[0]: "http://app.example/back" is plain HTTP`},
		{"a wildcard", "- https://app.example/back", "- https://*.example/back", "[16:9] $.clients[0].redirectUris[0]"},
		{"a fragment", "- https://app.example/back", "- https://app.example/back#x", "[16:9] $.clients[0].redirectUris[0]"},
		{"a launch", "launchUrl: https://", "launchUrl: http://", "[17:16] $.clients[0].launchUrl"},
		{"an origin", `["https://app.example"]`, `["https://app.example/"]`, "[18:15] $.clients[0].origins[0]"},
		{"no provider", "providers: [idp]", "providers: []", "[19:16] $.clients[0].providers: authorization_code needs"},
		{"a life", "lifetime: 10m", "lifetime: 2h", "[20:15] $.clients[0].lifetime"},
		{"nothing to prove with", "public: true", "public: false", "$.clients[0].jwks: the client has nothing to prove"},
		{"public and secret", "public: true", "public: true\n    secretHashes: [\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"]", "$.clients[0]: a client has a key"},
		{"a secret in clear", "public: true", "secretHashes: [hunter2hunter2]", "$.clients[0].secretHashes[0]: is not sha256:"},
		{"a service with a secret", "jwksUrl: https://rms.example/jwks", "secretHashes: [\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"]", "$.clients[1].jwks: client_credentials needs a key"},
		{"a key set URL", "jwksUrl: https://", "jwksUrl: http://", "[27:14] $.clients[1].jwksUrl"},
		{"keys that are none", "jwksUrl: https://rms.example/jwks", `jwks: '{"keys":[]}'`, "[27:11] $.clients[1].jwks: is not a usable JSON Web Key Set of public keys"},
		{"MFA of nobody", "jwksUrl:", "mfa: asserted\n    jwksUrl:", "[27:10] $.clients[1].mfa"},
		{"clients of others", "jwksUrl:", "managesClientsOf: [clinic]\n    jwksUrl:", "[27:23] $.clients[1].managesClientsOf: law enforcement never"},
		{"keys of an outsider", "jwksUrl:", "issuer: https://idp.example\n    jwksUrl:", "$.clients[1].jwksUrl: is of no use"},
	} {
		text := strings.Replace(registered, c.old, c.new, 1)
		if text == registered {
			t.Fatalf("%s: nothing was replaced", c.name)
		}
		_, err := config.ParseWith("county.yaml", []byte(text), checks)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q is missing in: %v", c.name, c.want, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the secret is told: %v", c.name, err)
		}
	}
}

package signin

import (
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/auth"
)

// A discovery document from anybody gives endpoints over TLS alone, and only if it
// is the configured provider's.
func FuzzMetadata(f *testing.F) {
	const issuer = "https://idp.example/realms/x"
	f.Add([]byte(`{"issuer":"https://idp.example/realms/x","authorization_endpoint":"https://idp.example/a?x=1","token_endpoint":"https://idp.example/t","jwks_uri":"https://idp.example/k"}`))
	f.Add([]byte(`{"issuer":"https://idp.example/realms/x","authorization_endpoint":"http://127.0.0.1/a","token_endpoint":"javascript:x","jwks_uri":"//x"}`))
	f.Add([]byte(`{"issuer":["https://idp.example/realms/x"]}`))
	f.Add([]byte(`[`))
	p, err := NewOpenID(OpenIDOptions{Issuer: issuer, Client: "c", Secret: "s", Fetcher: auth.NewHTTPFetcher()})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := p.parseMetadata(body)
		if err != nil {
			return
		}
		doc, err := resource.ParseDocument(body)
		if err != nil || doc.Root().Get("issuer").Text() != issuer {
			t.Fatalf("another's document: %q", body)
		}
		for _, u := range []string{m.authorize, m.token, m.keys.URL()} {
			if !strings.HasPrefix(strings.ToLower(u), "https://") {
				t.Errorf("endpoint %q", u)
			}
		}
		to, err := m.ask("c", question{redirect: "https://gw.example/cb", state: "s", nonce: "n", verifier: "v"})
		if err == nil && !strings.Contains(to, "state=s") {
			t.Errorf("question %q", to)
		}
	})
}

// An answer of a token endpoint gives one id token or an error.
func FuzzTokenAnswer(f *testing.F) {
	f.Add([]byte(`{"id_token":"a.b.c"}`))
	f.Add([]byte(`{"id_token":"a","id_token":"b"}`))
	f.Add([]byte(`{"id_token":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		token, err := idTokenOf(body)
		if (token == "") == (err == nil) {
			t.Errorf("%q: %q, %v", body, token, err)
		}
	})
}

// Whatever a believed token says, a person has an id and a name that can be shown
// on one line, and roles of the map alone.
func FuzzPerson(f *testing.F) {
	f.Add([]byte(`{"sub":"u","name":"Jo","roles":["a","b"],"badge":"1"}`))
	f.Add([]byte(`{"sub":"u","name":["Jo"],"roles":{"a":1},"badge":7}`))
	f.Add([]byte(`{"badge":"4\u202e7","name":"x\ny"}`))
	s := &Server{o: Options{SiteKey: make([]byte, 32)}}
	p := &Provider{ID: "p", Organization: "Organization/o", Claims: Claims{User: "badge", System: "urn:x"}, Roles: demoRoles()}
	f.Fuzz(func(t *testing.T, body []byte) {
		doc, err := resource.ParseDocument(body)
		if err != nil || doc.Root().Kind() != resource.Object {
			return
		}
		who, err := s.person(p, &auth.IDToken{Subject: "u", SignedIn: time.Unix(1, 0), Claims: doc.Root()})
		if err != nil {
			return
		}
		if !strings.HasPrefix(who.ID, "urn:x#") || len(who.ID) > maxPersonID || who.Name == "" || strings.ContainsAny(who.ID+who.Name, "\r\n\u202e") || len(who.Roles) > len(p.Roles) || who.MFA {
			t.Errorf("%q: %+v", body, who)
		}
	})
}

// Where a person lands after signing in is a path of this server, as a browser
// reads it.
func FuzzNext(f *testing.F) {
	for _, s := range []string{"/oauth/x?y=z", "//evil/oauth/", "/oauth/\\evil", "/oauth/%2e%2e//evil", "https:/oauth/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, next string) {
		if ownPath(next) && (!strings.HasPrefix(next, "/oauth/") || strings.ContainsAny(next, "\\\r\n\t ")) {
			t.Errorf("%q", next)
		}
	})
}

package smart

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

func discovery() Discovery {
	return Discovery{
		TokenEndpoint: "http://127.0.0.1:8080/oauth/token",
		Algorithms:    []string{"RS384", "ES384"},
		Scopes:        SupportedScopes(ContextSystem, Read|Search, "Patient", "Encounter"),
	}
}

func TestDiscoveryStatesWhatExists(t *testing.T) {
	h, err := discovery().Handler()
	if err != nil {
		t.Fatal(err)
	}
	for _, accept := range []string{"", "text/html", "application/fhir+xml", "nonsense"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, WellKnown, nil)
		r.Header.Set("Accept", accept)
		h.ServeHTTP(w, r)
		if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Fatalf("Accept %q: %d %v", accept, w.Code, w.Header())
		}
		var doc map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		if doc["token_endpoint"] != "http://127.0.0.1:8080/oauth/token" {
			t.Errorf("token_endpoint %v", doc["token_endpoint"])
		}
		for _, absent := range []string{"issuer", "authorization_endpoint", "jwks_uri", "registration_endpoint"} {
			if _, ok := doc[absent]; ok {
				t.Errorf("%s is stated but does not exist", absent)
			}
		}
		if m, _ := doc["code_challenge_methods_supported"].([]any); !slices.Contains(m, any("S256")) || slices.Contains(m, any("plain")) {
			t.Errorf("code_challenge_methods_supported %v", m)
		}
		if s, _ := doc["scopes_supported"].([]any); !slices.Contains(s, any("system/Patient.rs")) {
			t.Errorf("scopes_supported %v", s)
		}
	}
}

func TestDiscoveryMethods(t *testing.T) {
	h, err := discovery().Handler()
	if err != nil {
		t.Fatal(err)
	}
	for method, want := range map[string]int{"HEAD": 200, "OPTIONS": 204, "POST": 405, "PUT": 405, "DELETE": 405} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, WellKnown, nil))
		if w.Code != want || w.Body.Len() != 0 {
			t.Errorf("%s: %d with %d bytes, want %d without", method, w.Code, w.Body.Len(), want)
		}
		if w.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: no CORS header", method)
		}
	}
}

func TestDiscoveryNeedsAnAbsoluteTokenURL(t *testing.T) {
	for _, u := range []string{"", "/oauth/token", "oauth/token", "ftp://x/token", "http:///token", "://"} {
		d := discovery()
		d.TokenEndpoint = u
		if _, err := d.Handler(); err == nil {
			t.Errorf("%q was taken", u)
		}
	}
}

func full() Discovery {
	d := discovery()
	d.Issuer, d.AuthorizationEndpoint, d.KeysEndpoint, d.UserInfoEndpoint = "https://gw.example", "https://gw.example/a", "https://gw.example/k", "https://gw.example/u"
	d.IntrospectionEndpoint, d.Online = "https://gw.example/i", true
	return d
}

func TestDiscoveryOfAServerToWhichPeopleCome(t *testing.T) {
	read := func(raw []byte, err error) map[string]any {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		var doc map[string]any
		if err := json.Unmarshal(raw, &doc); err != nil {
			t.Fatal(err)
		}
		return doc
	}
	smart, openid := read(full().JSON()), read(full().OpenID())
	for _, doc := range []map[string]any{smart, openid} {
		for name, want := range map[string]any{
			"issuer": "https://gw.example", "authorization_endpoint": "https://gw.example/a", "jwks_uri": "https://gw.example/k",
			"introspection_endpoint": "https://gw.example/i", "revocation_endpoint": nil, "registration_endpoint": nil, "management_endpoint": nil,
		} {
			if doc[name] != want {
				t.Errorf("%s is %v, want %v", name, doc[name], want)
			}
		}
		if g, _ := doc["grant_types_supported"].([]any); !slices.Contains(g, any("authorization_code")) || !slices.Contains(g, any("client_credentials")) {
			t.Errorf("grant types %v", g)
		}
	}
	for _, required := range []string{"response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported"} {
		if l, _ := openid[required].([]any); len(l) == 0 {
			t.Errorf("OpenID Connect Discovery requires %s", required)
		}
	}
	if openid["request_uri_parameter_supported"] != false || openid["capabilities"] != nil {
		t.Errorf("openid-configuration %v", openid)
	}
	known := []string{
		"launch-ehr", "launch-standalone", "authorize-post", "client-public", "client-confidential-symmetric", "client-confidential-asymmetric", "sso-openid-connect",
		"context-banner", "context-style", "context-ehr-patient", "context-ehr-encounter", "context-standalone-patient", "context-standalone-encounter",
		"permission-offline", "permission-online", "permission-patient", "permission-user", "permission-v1", "permission-v2", "smart-app-state",
	}
	capabilities, _ := smart["capabilities"].([]any)
	for _, c := range capabilities {
		if !slices.Contains(known, c.(string)) {
			t.Errorf("%v is no capability of SMART 2.2", c)
		}
	}
	offline := full()
	offline.Online = false
	without, _ := read(offline.JSON())["capabilities"].([]any)
	if !slices.Contains(capabilities, any("permission-online")) || slices.Contains(without, any("permission-online")) {
		t.Error("permission-online does not follow from what there is")
	}
}

func TestDiscoveryIsWholeOrRefused(t *testing.T) {
	for name, bend := range map[string]func(*Discovery){
		"no keys":      func(d *Discovery) { d.KeysEndpoint = "" },
		"no issuer":    func(d *Discovery) { d.Issuer = "" },
		"relative":     func(d *Discovery) { d.RevocationEndpoint = "/oauth/revoke" },
		"no authorize": func(d *Discovery) { d.AuthorizationEndpoint = "" },
	} {
		d := full()
		bend(&d)
		if _, err := d.JSON(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := discovery().OpenID(); err == nil {
		t.Error("a server without people has an openid-configuration")
	}
}

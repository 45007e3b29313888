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

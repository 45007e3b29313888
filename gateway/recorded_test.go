package gateway_test

import (
	"net/http"
	"strings"
	"testing"
)

// A credential in an address is refused, and is not in the record of the refusal.
func TestNoCredentialIsRecorded(t *testing.T) {
	c := newCounty(t)
	c.populate()
	const jwt = "eyJhbGciOiJFUzM4NCJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	for _, who := range []string{"", "clinician"} {
		for _, tt := range []struct{ method, path, body, secret string }{
			{"GET", "Patient/p1?access_token=opaque-1", "", "opaque-1"},
			{"GET", "Patient/p1?_format=json&Access%5FToken=opaque-2&x=1", "", "opaque-2"},
			{"GET", "Patient?client_secret=opaque-3", "", "opaque-3"},
			{"GET", "no/such/path?refresh_token=opaque-4", "", "opaque-4"},
			{"GET", "Patient/p1?bearer=" + jwt, "", "c2lnbmF0dXJl"},
			{"GET", "Patient/" + jwt, "", "c2lnbmF0dXJl"},
			{"POST", "Patient/_search", "access_token=opaque-5", "opaque-5"},
			{"POST", "CodeSystem/_search", "access_token=opaque-6", "opaque-6"},
		} {
			a := c.do(who, tt.method, tt.path, tt.body, form)
			e := c.trail.last()
			if a.status < http.StatusBadRequest || strings.Contains(e.Query+e.Path, tt.secret) {
				t.Errorf("%s %s as %q: %d, recorded %q %q", tt.method, tt.path, who, a.status, e.Path, e.Query)
			}
		}
	}
	// The rest is recorded as it was sent.
	c.get("clinician", "Observation?patient=Patient/p1&code=a%7Cb&access_token=x")
	if e := c.trail.last(); e.Query != "patient=Patient/p1&code=a%7Cb&access_token=REDACTED" {
		t.Errorf("recorded %q", e.Query)
	}
}

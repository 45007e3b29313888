package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
)

// A gateway whose machine has a wrong clock proves to a connected system who it is by
// the store's: that system would refuse an assertion of the future, or of the past.
func TestAssertionsForConnectedSystemsGoByTheStoresClock(t *testing.T) {
	var claims struct{ Iat, Exp int64 }
	ehr := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/token" {
			w.Header().Set("Content-Type", "application/fhir+json")
			fmt.Fprint(w, `{"resourceType":"Patient","id":"p"}`)
			return
		}
		parts := strings.Split(r.PostFormValue("client_assertion"), ".")
		raw, err := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)])
		if err == nil {
			err = json.Unmarshal(raw, &claims)
		}
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"x","token_type":"bearer","expires_in":300}`)
	}))
	defer ehr.Close()
	dir := t.TempDir()
	if _, err := auth.LoadOrGenerateKey(filepath.Join(dir, "up.jwk"), auth.ES384); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "handoff.yaml")
	writeConfig(t, file, `server: {listen: "127.0.0.1:0", base: "http://127.0.0.1:8123/fhir"}
site: {key: a-site-key-of-at-least-thirty-two-bytes}
organizations: [{id: clinic, name: Clinic, kind: health}]
systems:
  - {key: ehr, kind: fhir, slug: e, organization: clinic, base: "`+ehr.URL+`/fhir", auth: {clientId: gw, keyFile: up.jwk, tokenUrl: "`+ehr.URL+`/token"}}
`)
	c, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	d, err := attribute.NewDirectory(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, off := range []time.Duration{2 * time.Minute, -2 * time.Minute} {
		now := time.Now().Add(off)
		askUpstream(t, c, d, now)
		if claims.Iat != now.Unix() || claims.Exp <= now.Unix() {
			t.Errorf("the store's clock says %d, the assertion was issued at %d and ends at %d", now.Unix(), claims.Iat, claims.Exp)
		}
	}
}

// askUpstream reads a resource of the configuration's only system.
func askUpstream(t *testing.T, c *config.Config, d *attribute.Directory, now time.Time) {
	t.Helper()
	u, err := newUpstream(c, d, c.Systems[0], func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Read(context.Background(), "Patient", "p"); err != nil {
		t.Fatal(err)
	}
}

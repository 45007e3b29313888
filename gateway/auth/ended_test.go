package auth_test

import (
	"testing"
	"time"

	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/smart"
)

func TestWhatWasEndedOpensNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(w *world) error
		want bool // the token is still good
	}{
		{"nothing", func(*world) error { return nil }, true},
		{"the authorization", func(w *world) error {
			return auth.EndAuthorization(t.Context(), w.facts, "family", w.clock.now().Add(time.Hour))
		}, false},
		{"the session", func(w *world) error {
			return auth.EndSession(t.Context(), w.facts, "visit", w.clock.now().Add(time.Hour))
		}, false},
		{"another authorization", func(w *world) error {
			return auth.EndAuthorization(t.Context(), w.facts, "visit", w.clock.now().Add(time.Hour))
		}, true},
		{"another session", func(w *world) error {
			return auth.EndSession(t.Context(), w.facts, "family", w.clock.now().Add(time.Hour))
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			scope, err := smart.ParseScope("user/Patient.rs")
			if err != nil {
				t.Fatal(err)
			}
			w.replace(t, func(c *auth.Client) { c.Scopes = append(c.Scopes, scope) })
			key, err := auth.ParsePrivateKey(marshal(keys()["issuer"].jwk(true)))
			if err != nil {
				t.Fatal(err)
			}
			rms := w.clients[0]
			token, err := auth.AccessTokens{Issuer: issuerID, Audience: fhirBase, Key: key, Now: w.clock.now}.ForPerson(&auth.Authorization{
				ID: "family", Client: rms.ID, Subject: "s", Session: "visit", Scope: "user/Patient.rs",
				Said: auth.Asserted{UserID: "urn:x#1", UserName: "Ana", Organization: rms.Organization, Purposes: rms.Purposes[:1]},
			}, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.verifier.Verify(t.Context(), token.Token); err != nil {
				t.Fatal(err)
			}
			if err := c.end(w); err != nil {
				t.Fatal(err)
			}
			_, err = w.verifier.Verify(t.Context(), token.Token)
			if (err == nil) != c.want {
				t.Fatalf("after the end: %v", err)
			}
		})
	}
}

func TestAnEndNeedsAnID(t *testing.T) {
	w := newWorld(t)
	if auth.EndAuthorization(t.Context(), w.facts, "", w.clock.now().Add(time.Hour)) == nil ||
		auth.EndSession(t.Context(), w.facts, "", w.clock.now().Add(time.Hour)) == nil {
		t.Error("an end of nothing was taken")
	}
}

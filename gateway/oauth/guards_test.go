package oauth_test

import (
	"testing"
	"time"

	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/oauth"
)

// TestGuardsOfTimeAndPolicyAreMissed tries what no attacker from outside can
// bring about by requests alone: time that passes, a registration that changes, a
// page that decides too much. Each is stopped, and succeeds without its guard.
func TestGuardsOfTimeAndPolicyAreMissed(t *testing.T) {
	for name, attack := range map[guard.Name]func(t *testing.T, w *world) bool{
		guard.AuthorizeCodeAge: func(t *testing.T, w *world) bool {
			code := w.code(t, request("app", nil))
			w.pass(oauth.CodeLife + time.Second)
			return w.post(t, exchange("app", code, nil)).Status == 200
		},
		guard.AuthorizeDecision: func(t *testing.T, w *world) bool {
			id := w.waiting(t, request("app", map[string]string{"scope": "user/Observation.r"}))
			_, err := w.server.Approve(t.Context(), id, w.decision("user/*.rs"))
			return err == nil
		},
		guard.AuthorizeFamily: func(t *testing.T, w *world) bool {
			first := w.tokens(t, everything)
			id := w.trail.last(t).Authorization
			if err := auth.EndAuthorization(t.Context(), w.facts, id, w.now().Add(oauth.OfflineAbsolute)); err != nil {
				t.Fatal(err)
			}
			return w.post(t, refreshing(first.text("refresh_token"), nil)).Status == 200
		},
		guard.AuthorizeRefreshLife: func(t *testing.T, w *world) bool {
			first := w.tokens(t, "online_access user/Observation.rs")
			w.sessions.ended["session-1"] = true
			return w.post(t, refreshing(first.text("refresh_token"), nil)).Status == 200
		},
		guard.AuthorizePolicy: func(t *testing.T, w *world) bool {
			first := w.tokens(t, everything)
			w.change(t, "app", func(c *auth.Client) { c.Roles[0].Code = "case-manager" })
			return w.post(t, refreshing(first.text("refresh_token"), nil)).Status == 200
		},
	} {
		t.Run(string(name), func(t *testing.T) {
			if attack(t, newWorld(t)) {
				t.Fatal("the attack succeeds against the guard")
			}
			guard.Disable(t, name)
			if !attack(t, newWorld(t)) {
				t.Error("the attack fails without the guard: something else stops it")
			}
		})
	}
}

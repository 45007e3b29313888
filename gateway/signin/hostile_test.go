package signin

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/guard"
)

func none(claims map[string]any) string {
	raw, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"none","kid":"k1"}`)) + "." + enc(raw) + "."
}

// What a provider, or somebody between it and us, may say that must not sign
// anybody in. Each is refused with a page that says nothing of why inside, and
// recorded.
func TestHostileProviders(t *testing.T) {
	foreign := newSigningKey(t, "k1")
	for _, c := range []struct {
		name   string
		reason string
		status int
		set    func(*idp)
		guard  guard.Name // switched off, the person is let in; "": several stand
	}{
		{"wrong issuer", "id-token-issuer", 403, claimsOf(func(c map[string]any) { c["iss"] = "https://evil.example" }), guard.SignInIssuer},
		{"issuer with a slash", "id-token-issuer", 403, claimsOf(func(c map[string]any) { c["iss"] = c["iss"].(string) + "/" }), guard.SignInIssuer},
		{"wrong nonce", "id-token-nonce", 403, claimsOf(func(c map[string]any) { c["nonce"] = NewHandle() }), guard.SignInNonce},
		{"no nonce", "id-token-nonce", 403, claimsOf(func(c map[string]any) { delete(c, "nonce") }), guard.SignInNonce},
		{"other audience", "id-token-audience", 403, claimsOf(func(c map[string]any) { c["aud"] = "another" }), guard.SignInAudience},
		{"another audience beside", "id-token-audience", 403, claimsOf(func(c map[string]any) { c["aud"] = []string{"handoff", "another"} }), guard.SignInAudience},
		{"other azp", "id-token-audience", 403, claimsOf(func(c map[string]any) { c["azp"] = "another" }), guard.SignInAudience},
		{"expired", "id-token-expired", 403, claimsOf(func(c map[string]any) { c["exp"] = c["iat"].(int64) - 11 }), guard.SignInExpiry},
		{"no exp", "id-token-expiry", 403, claimsOf(func(c map[string]any) { delete(c, "exp") }), guard.SignInExpiry},
		{"no iat", "id-token-issued", 403, claimsOf(func(c map[string]any) { delete(c, "iat") }), ""},
		{"iat in the future", "id-token-not-yet-valid", 403, claimsOf(func(c map[string]any) { c["iat"] = c["iat"].(int64) + 3600 }), guard.SignInExpiry},
		{"no auth_time", "id-token-auth-time", 403, claimsOf(func(c map[string]any) { delete(c, "auth_time") }), ""},
		{"auth_time in the future", "id-token-auth-time", 403, claimsOf(func(c map[string]any) { c["auth_time"] = c["iat"].(int64) + 3600 }), ""},
		{"signed in at the provider yesterday", "id-token-auth-time", 403, claimsOf(func(c map[string]any) { c["auth_time"] = c["iat"].(int64) - 13*3600 }), ""},
		{"no sub", "id-token-subject", 403, claimsOf(func(c map[string]any) { delete(c, "sub") }), ""},
		{"one factor", reasonNoMFA, 403, claimsOf(func(c map[string]any) { c["amr"] = []string{"pwd"} }), guard.SignInMFA},
		{"two of one kind", reasonNoMFA, 403, claimsOf(func(c map[string]any) { c["amr"] = []string{"pwd", "pin"} }), guard.SignInMFA},
		{"another acr", reasonNoMFA, 403, claimsOf(func(c map[string]any) { delete(c, "amr"); c["acr"] = "0" }), guard.SignInMFA},
		{"neither acr nor amr", reasonNoMFA, 403, claimsOf(func(c map[string]any) { delete(c, "amr") }), guard.SignInMFA},
		{"amr that is no list", "id-token-claims", 403, claimsOf(func(c map[string]any) { c["amr"] = map[string]any{"mfa": true} }), ""},
		{"no role", reasonRole, 403, claimsOf(func(c map[string]any) { delete(c, "roles") }), guard.SignInRole},
		{"a role that is not mapped", reasonRole, 403, claimsOf(func(c map[string]any) { c["roles"] = "admin" }), guard.SignInRole},
		{"roles that are objects", reasonClaims, 403, claimsOf(func(c map[string]any) { c["roles"] = []any{map[string]any{"a": 1}} }), ""},
		{"no id", reasonClaims, 403, claimsOf(func(c map[string]any) { delete(c, "badge") }), ""},
		{"a name of two lines", reasonClaims, 403, claimsOf(func(c map[string]any) { c["name"] = "Jo\nMarsh" }), ""},
		{"an id that writes backwards", reasonClaims, 403, claimsOf(func(c map[string]any) { c["badge"] = "47\u202e11" }), ""},
		{"alg none", "id-token-format", 403, func(p *idp) { p.token = none }, ""},
		{"another key under the same kid", "id-token-signature", 403, func(p *idp) { p.token = foreign.sign }, guard.SignInSignature},
		{"an unknown kid", "id-token-key", 403, func(p *idp) { p.token = newSigningKey(t, "k9").sign }, guard.SignInSignature},
		{"no id token", reasonDown, 503, answers(200, "application/json", `{"access_token":"x"}`), ""},
		{"a page instead of an answer", reasonDown, 503, answers(200, "text/html", `<html>`), ""},
		{"a name that stands twice", reasonDown, 503, answers(200, "application/json", `{"id_token":"a","id_token":"b"}`), ""},
		{"a huge answer", reasonDown, 503, answers(200, "application/json", `{"id_token":"`+strings.Repeat("x", maxAnswer)+`"}`), ""},
		{"trouble", reasonDown, 503, answers(500, "application/json", `{}`), ""},
		{"the code is refused", reasonCode, 403, answers(400, "application/json", `{"error":"invalid_grant"}`), ""},
		{"redirect elsewhere", reasonDown, 503, func(p *idp) {
			p.answer = func(w http.ResponseWriter) bool {
				w.Header().Set("Location", "http://127.0.0.1:1/token")
				w.WriteHeader(http.StatusTemporaryRedirect)
				return true
			}
		}, ""},
		{"keys that cannot be had", "id-token-keys-unavailable", 403, func(p *idp) {
			p.jwks = func(w http.ResponseWriter) bool { w.WriteHeader(500); return true }
		}, guard.SignInSignature},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.set(w.idp)
			b := w.browser()
			got := b.signIn()
			e := w.trail.last()
			if got.status != c.status || e.Reason != c.reason || e.Interaction != audit.Login || e.Outcome != audit.Minor || e.Status != c.status {
				t.Errorf("%d %+v\n%s", got.status, e, got.body)
			}
			if b.who() != nil || b.jar[sessionCookie] != "" {
				t.Error("somebody is signed in")
			}
			if !strings.Contains(got.body, e.ID) || strings.Contains(got.body, "id-token") || strings.Contains(got.body, "evil") {
				t.Errorf("the page:\n%s", got.body)
			}
			if c.guard == "" {
				return
			}
			guard.Disable(t, c.guard)
			if b := w.browser(); b.signIn().status != http.StatusSeeOther || b.who() == nil {
				t.Errorf("%s stops nothing: %s", c.guard, w.trail.last().Reason)
			}
		})
	}
}

func claimsOf(f func(map[string]any)) func(*idp) { return func(p *idp) { p.claims = f } }

func answers(status int, typ, body string) func(*idp) {
	return func(p *idp) {
		p.answer = func(w http.ResponseWriter) bool {
			w.Header().Set("Content-Type", typ)
			w.WriteHeader(status)
			_, _ = fmt.Fprint(w, body)
			return true
		}
	}
}

func TestFactorsThatSuffice(t *testing.T) {
	for name, set := range map[string]func(map[string]any){
		"amr mfa":          func(c map[string]any) { c["amr"] = []string{"mfa"} },
		"card and pin":     func(c map[string]any) { c["amr"] = []string{"sc", "pin"} },
		"acr asked for":    func(c map[string]any) { delete(c, "amr"); c["acr"] = "strong" },
		"acr with one amr": func(c map[string]any) { c["amr"] = []string{"pwd"}; c["acr"] = "strong" },
	} {
		w := newWorld(t)
		w.idp.claims = set
		b := w.browser()
		if got := b.signIn(); got.status != http.StatusSeeOther || !b.who().MFA {
			t.Errorf("%s: %d %s", name, got.status, w.trail.last().Reason)
		}
	}
	w := newWorld(t, func(_ *world, o *Options) { o.Providers[0].OptionalMFA = true })
	w.idp.claims = func(c map[string]any) { delete(c, "amr") }
	b := w.browser()
	if got := b.signIn(); got.status != http.StatusSeeOther || b.who().MFA {
		t.Errorf("mfa optional: %d, and it must not be said that there were two", got.status)
	}
}

// A discovery document that is another's, or points where it must not.
func TestHostileDiscovery(t *testing.T) {
	for name, set := range map[string]func(map[string]any){
		"another issuer":    func(m map[string]any) { m["issuer"] = "https://evil.example" },
		"a slash more":      func(m map[string]any) { m["issuer"] = m["issuer"].(string) + "/" },
		"no issuer":         func(m map[string]any) { delete(m, "issuer") },
		"plain http":        func(m map[string]any) { m["token_endpoint"] = "http://evil.example/token" },
		"a script":          func(m map[string]any) { m["authorization_endpoint"] = "javascript:alert(1)" },
		"no keys":           func(m map[string]any) { delete(m, "jwks_uri") },
		"secret by post":    func(m map[string]any) { m["token_endpoint_auth_methods_supported"] = []string{"client_secret_post"} },
		"no S256":           func(m map[string]any) { m["code_challenge_methods_supported"] = []string{"plain"} },
		"a name in the URL": func(m map[string]any) { m["token_endpoint"] = "https://a:b@idp.example/token" },
	} {
		w := newWorld(t)
		w.idp.metadata = set
		b := w.browser()
		got := b.do("POST", "/oauth/signin", b.choice().form(t, "lakeside"))
		if got.status != http.StatusServiceUnavailable || w.trail.last().Reason != reasonDown || got.header.Get("Refresh") != "" {
			t.Errorf("%s: %d %s", name, got.status, w.trail.last().Reason)
		}
	}
}

func TestAProviderThatIsDownLeavesTheOthers(t *testing.T) {
	w := newWorld(t)
	w.idp.Close()
	b := w.browser()
	got := b.do("POST", "/oauth/signin", b.choice().form(t, "lakeside"))
	if got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "Lakeside cannot be reached") {
		t.Fatalf("%d\n%s", got.status, got.body)
	}
	link := strings.Split(strings.Split(got.body, `href="`)[1], `"`)[0]
	form := b.get(link).form(t, "demo")
	form.Set("name", "ortiz")
	form.Set("password", demoPassword)
	form.Set("code", demoCode)
	if got := b.do("POST", "/oauth/signin", form); got.status != http.StatusSeeOther || b.who() == nil {
		t.Errorf("the other place: %d\n%s", got.status, got.body)
	}
	for range addressFailures { // nobody's guesses: the address is not shut out for them
		one := w.browser()
		one.do("POST", "/oauth/signin", one.choice().form(t, "lakeside"))
	}
	if got := b.try(b.choice().form(t, "demo"), "ortiz", demoPassword, demoCode); got.status != http.StatusSeeOther {
		t.Errorf("the other place after many tries: %d", got.status)
	}
	before := w.clock.now()
	w.clock.add(time.Second)
	if _, err := w.s.providers["lakeside"].OpenID.discover(t.Context()); err == nil || w.s.providers["lakeside"].OpenID.asked.After(before) {
		t.Errorf("asked again at once: %v", err)
	}
}

func TestASlowProviderIsNotWaitedForForever(t *testing.T) {
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(func() { close(release); slow.Close() })
	w := newWorld(t)
	o := w.s.providers["lakeside"].OpenID
	if o.client.Timeout == 0 || o.client.Timeout > 15*time.Second {
		t.Errorf("timeout %v", o.client.Timeout)
	}
	o.client.Timeout = 50 * time.Millisecond
	w.idp.metadata = func(m map[string]any) { m["token_endpoint"] = slow.URL }
	b := w.browser()
	if got := b.signIn(); got.status != http.StatusServiceUnavailable || w.trail.last().Reason != reasonDown {
		t.Errorf("%d %s", got.status, w.trail.last().Reason)
	}
}

func TestKeysAreFetchedAgainAfterARotation(t *testing.T) {
	w := newWorld(t)
	w.browser().signIn()
	w.idp.mu.Lock()
	w.idp.key = newSigningKey(t, "k2")
	w.idp.mu.Unlock()
	w.clock.add(31 * time.Second)
	b := w.browser()
	if got := b.signIn(); got.status != http.StatusSeeOther {
		t.Errorf("after a rotation: %d %s", got.status, w.trail.last().Reason)
	}
	if n := w.idp.fetched["/.well-known/openid-configuration"]; n != 1 {
		t.Errorf("the discovery document was fetched %d times", n)
	}
	w.idp.token = newSigningKey(t, "k3").sign
	for range 5 {
		w.browser().signIn()
	}
	if n := w.idp.fetched["/jwks"]; n != 2 {
		t.Errorf("unknown kids made %d fetches", n)
	}
}

// An answer counts in the browser that asked, for the provider that was asked,
// once.
func TestAnswersThatBelongElsewhere(t *testing.T) {
	two := func(w *world, o *Options) {
		o.Providers = append(o.Providers, w.openid("county"))
		w.asks = append(w.asks, "county")
	}
	callback := func(id, code, state string) string {
		return "/oauth/signin/callback/" + id + "?" + url.Values{"code": {code}, "state": {state}}.Encode()
	}
	t.Run("another browser", func(t *testing.T) { // code injection, sign-in of somebody as the attacker
		w := newWorld(t)
		attacker, victim := w.browser(), w.browser()
		code, q := w.idp.authorize(t, attacker.question("lakeside"))
		victim.choice()
		try := func() int { return victim.get(callback("lakeside", code, q.Get("state"))).status }
		if got := try(); got != 400 || victim.who() != nil || w.idp.form != nil {
			t.Errorf("%d", got)
		}
		guard.Disable(t, guard.SignInBrowser)
		if got := try(); got != 303 || victim.who() == nil {
			t.Errorf("the guard stops nothing: %d", got)
		}
	})
	t.Run("a stolen code in one's own sign-in", func(t *testing.T) {
		w := newWorld(t)
		stolen, _ := w.idp.authorize(t, w.browser().question("lakeside"))
		b := w.browser()
		_, q := w.idp.authorize(t, b.question("lakeside"))
		if got := b.get(callback("lakeside", stolen, q.Get("state"))); got.status != 403 || b.who() != nil || w.idp.verified {
			t.Errorf("%d %v", got.status, w.idp.verified)
		}
	})
	t.Run("twice", func(t *testing.T) {
		w := newWorld(t)
		b := w.browser()
		code, q := w.idp.authorize(t, b.question("lakeside"))
		b.get(callback("lakeside", code, q.Get("state")))
		if got := b.get(callback("lakeside", code, q.Get("state"))); got.status != 400 {
			t.Errorf("%d", got.status)
		}
	})
	t.Run("twice at once", func(t *testing.T) {
		w := newWorld(t)
		b := w.browser()
		code, q := w.idp.authorize(t, b.question("lakeside"))
		var group sync.WaitGroup
		var mu sync.Mutex
		in := 0
		for range 8 {
			one := w.browser()
			for name, value := range b.jar {
				one.jar[name] = value
			}
			group.Go(func() {
				if one.get(callback("lakeside", code, q.Get("state"))).status == 303 {
					mu.Lock()
					in++
					mu.Unlock()
				}
			})
		}
		group.Wait()
		if in != 1 {
			t.Errorf("%d of 8 were let in", in)
		}
	})
	t.Run("twice, unguarded", func(t *testing.T) {
		w := newWorld(t)
		b := w.browser()
		code, q := w.idp.authorize(t, b.question("lakeside"))
		guard.Disable(t, guard.SignInStateOnce)
		b.get(callback("lakeside", code, q.Get("state")))
		if got := b.get(callback("lakeside", code, q.Get("state"))); got.status != 303 {
			t.Errorf("the guard stops nothing: %d", got.status)
		}
	})
	t.Run("at another provider's address", func(t *testing.T) {
		w := newWorld(t, two)
		b := w.browser()
		code, q := w.idp.authorize(t, b.question("lakeside"))
		if got := b.get(callback("county", code, q.Get("state"))); got.status != 403 || w.trail.last().Reason != reasonMixUp || w.idp.form != nil {
			t.Errorf("%d %s", got.status, w.trail.last().Reason)
		}
	})
	t.Run("another issuer in the answer", func(t *testing.T) {
		w := newWorld(t)
		b := w.browser()
		for _, extra := range []url.Values{{"iss": {"https://evil.example"}}, {"iss": {w.idp.URL, w.idp.URL}}} {
			code, q := w.idp.authorize(t, b.question("lakeside"))
			if got := b.get(callback("lakeside", code, q.Get("state")) + "&" + extra.Encode()); got.status != 403 || w.trail.last().Reason != reasonMixUp {
				t.Errorf("%v: %d %s", extra, got.status, w.trail.last().Reason)
			}
		}
	})
	t.Run("no issuer though the provider names itself", func(t *testing.T) {
		w := newWorld(t)
		w.idp.metadata = func(m map[string]any) { m["authorization_response_iss_parameter_supported"] = true }
		b := w.browser()
		if got := b.signIn(); got.status != 403 || w.trail.last().Reason != reasonMixUp {
			t.Errorf("%d %s", got.status, w.trail.last().Reason)
		}
	})
	t.Run("too late", func(t *testing.T) {
		w := newWorld(t)
		b := w.browser()
		code, q := w.idp.authorize(t, b.question("lakeside"))
		w.clock.add(stateLife)
		if got := b.get(callback("lakeside", code, q.Get("state"))); got.status != 400 || b.who() != nil {
			t.Errorf("%d", got.status)
		}
	})
	t.Run("an error, and a state that nobody made", func(t *testing.T) {
		w := newWorld(t)
		b := w.browser()
		_, q := w.idp.authorize(t, b.question("lakeside"))
		got := b.get("/oauth/signin/callback/lakeside?" + url.Values{"error": {"<script>access_denied"}, "state": {q.Get("state")}}.Encode())
		if got.status != 403 || w.trail.last().Reason != reasonRefused || strings.Contains(got.body, "access_denied") {
			t.Errorf("%d %s\n%s", got.status, w.trail.last().Reason, got.body)
		}
		for _, state := range []string{"", "x", NewHandle(), strings.Repeat("x", 5000)} {
			if got := b.get(callback("lakeside", "c", state)); got.status != 400 {
				t.Errorf("state %.20q: %d", state, got.status)
			}
		}
	})
}

func TestAPersonSignsInWhereTheAppAllows(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	w.asks = []string{"lakeside"}
	form := b.choice().form(t, "lakeside")
	form.Set("provider", "demo")
	form.Set("name", "ortiz")
	form.Set("password", demoPassword)
	form.Set("code", demoCode)
	if got := b.do("POST", "/oauth/signin", form); got.status != 422 || b.who() != nil {
		t.Errorf("at a provider that the app does not list: %d", got.status)
	}
	guard.Disable(t, guard.SignInProvider)
	if got := b.do("POST", "/oauth/signin", form); got.status != 303 {
		t.Errorf("the guard stops nothing: %d", got.status)
	}
	w.asks = []string{"nobody"}
	if got := b.get("/need"); got.status != 403 {
		t.Errorf("an app without providers: %d", got.status)
	}
}

func TestFormsOfOtherSites(t *testing.T) {
	w := newWorld(t)
	b, other := w.browser(), w.browser()
	form := b.choice().form(t, "lakeside")
	foreign := other.choice().form(t, "lakeside").Get(Field)
	for _, token := range []string{"", "x", foreign, form.Get(Field) + "x"} {
		form.Set(Field, token)
		if got := b.do("POST", "/oauth/signin", form); got.status != 400 {
			t.Errorf("token %.10q: %d", token, got.status)
		}
	}
	form.Del(Field)
	guard.Disable(t, guard.SignInPageToken)
	if got := b.do("POST", "/oauth/signin", form); got.status != 200 {
		t.Errorf("the guard stops nothing: %d", got.status)
	}
}

func TestASignInEndsAtThisServer(t *testing.T) {
	for next, ok := range map[string]bool{
		"/oauth/launch/authorize?id=x&y=z": true, "/fhir/Patient": false, "//evil.example/oauth/": false, "https://evil.example/oauth/": false,
		"/oauth/\\evil.example": false, "/oauth/..//evil.example": false, "": false, "/oauth/\r\nx": false, "javascript:/oauth/": false, "/oauth/%2e%2e/x": false,
	} {
		w := newWorld(t)
		w.next = next
		if got := w.browser().get("/need"); (got.status == 303) != ok {
			t.Errorf("%q: %d", next, got.status)
		}
	}
	w := newWorld(t)
	w.next = "https://evil.example/"
	guard.Disable(t, guard.SignInNext)
	if got := w.browser().signIn(); got.header.Get("Location") != w.next {
		t.Errorf("the guard stops nothing: %v", got.header)
	}
}

func TestGuardsOfSessions(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	w.clock.add(31 * time.Minute)
	if b.who() != nil {
		t.Fatal("idle")
	}
	guard.Disable(t, guard.SignInIdle)
	if b.who() == nil {
		t.Error("the guard of idle sessions stops nothing")
	}
}

func TestRolesByPath(t *testing.T) {
	w := newWorld(t, func(_ *world, o *Options) {
		o.Providers[0].Claims.Roles = "realm_access.roles"
		o.Providers[0].Roles["clinic.lead"] = label.Code{System: "s", Code: "lead"}
	})
	w.idp.claims = func(c map[string]any) { c["realm_access"] = map[string]any{"roles": []string{"clinic.lead", "x"}} }
	b := w.browser()
	b.signIn()
	if p := b.who(); p == nil || len(p.Roles) != 1 || p.Roles[0].Code != "lead" {
		t.Errorf("%+v", p)
	}
}

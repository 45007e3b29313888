package oauth_test

import (
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/oauth"
)

// refused wants an OAuth error, for a stable reason.
func (w *world) refused(t testing.TB, a answer, status int, code, reason string) {
	t.Helper()
	if a.Status != status || a.text("error") != code || w.trail.last(t).Reason != reason {
		t.Errorf("%d %v (%s), want %d %s (%s)", a.Status, a.Body, w.trail.last(t).Reason, status, code, reason)
	}
}

func TestBadExchangesGetNothingAndSpendTheCode(t *testing.T) {
	for _, c := range []struct {
		name   string
		client string // that got the code
		over   map[string]string
		reason string
	}{
		{"no verifier", "app", map[string]string{"code_verifier": "-"}, "code-verifier"},
		{"another verifier", "app", map[string]string{"code_verifier": strings.Repeat("v", 50)}, "code-verifier"},
		{"the challenge itself", "app", map[string]string{"code_verifier": challenge(verifier)}, "code-verifier"},
		{"a short verifier", "app", map[string]string{"code_verifier": verifier[:42]}, "code-verifier"},
		{"an odd verifier", "app", map[string]string{"code_verifier": verifier + "/"}, "code-verifier"},
		{"another redirect_uri", "app", map[string]string{"redirect_uri": callback + "/"}, "code-redirect-uri"},
		{"another client", "app", map[string]string{"client_id": "other"}, "code-client"},
		{"a client with a secret drops PKCE", "secret", map[string]string{"client_secret": secret, "code_verifier": "-"}, "code-verifier"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			code := w.code(t, request(c.client, nil))
			w.refused(t, w.post(t, exchange(c.client, code, c.over)), 400, "invalid_grant", c.reason)
			good := maps.Clone(c.over)
			if good != nil {
				delete(good, "code_verifier")
				delete(good, "redirect_uri")
				delete(good, "client_id")
			}
			w.refused(t, w.post(t, exchange(c.client, code, good)), 400, "invalid_grant", "code-reused")
		})
	}
}

func TestWhoDoesNotAuthenticateSpendsNothing(t *testing.T) {
	w := newWorld(t)
	code := w.code(t, request("secret", nil))
	basic := func(id, s string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(s)))
	}
	for _, c := range []struct {
		name, reason string
		over         map[string]string
		head         []string
		status       int
		code         string
	}{
		{"no secret", "client-method", nil, nil, 401, "invalid_client"},
		{"a wrong secret", "client-secret", map[string]string{"client_secret": secret + "x"}, nil, 401, "invalid_client"},
		{"an empty secret", "client-method", map[string]string{"client_secret": ""}, nil, 401, "invalid_client"},
		{"a wrong secret in the header", "authorization-header", nil, []string{"Authorization", basic("secret", "x")}, 401, "invalid_client"},
		{"a header of another client", "authorization-header", nil, []string{"Authorization", basic("other", secret)}, 401, "invalid_client"},
		{"a bearer token", "authorization-header", nil, []string{"Authorization", "Bearer x"}, 401, "invalid_client"},
		{"two ways", "several-methods", map[string]string{"client_secret": secret}, []string{"Authorization", basic("secret", secret)}, 400, "invalid_request"},
		{"an assertion beside the secret", "several-methods", map[string]string{"client_secret": secret, "client_assertion": "x"}, nil, 400, "invalid_request"},
		{"an unknown client", "client-unknown", map[string]string{"client_id": "nobody"}, nil, 401, "invalid_client"},
		{"nobody", "client-missing", map[string]string{"client_id": "-"}, nil, 401, "invalid_client"},
	} {
		w.refused(t, w.post(t, exchange("secret", code, c.over), c.head...), c.status, c.code, c.reason)
		if at := w.trail.last(t); at.Authenticated || strings.Contains(at.Reason, secret) {
			t.Errorf("%s: attempt %+v", c.name, at)
		}
	}
	if a := w.post(t, exchange("secret", code, map[string]string{"client_secret": secret})); a.Status != 200 {
		t.Errorf("the code is spent: %v", a.Body)
	}
	if a := w.post(t, exchange("app", "x", map[string]string{"client_id": "app", "client_secret": "x"})); a.text("error") != "invalid_client" {
		t.Errorf("a secret of an app that has none: %v", a.Body)
	}
}

// withoutRefresh takes an app what lets it have refresh tokens.
func withoutRefresh(c *auth.Client) {
	c.Grants, c.ContextScopes = []string{auth.GrantAuthorizationCode}, []string{"openid", "launch/patient", "fhirUser"}
}

func TestBadTokenRequests(t *testing.T) {
	w := newWorld(t)
	code := w.code(t, request("app", nil))
	w.change(t, "other", withoutRefresh)
	for _, c := range []struct {
		name, code, reason string
		form               url.Values
	}{
		{"no grant_type", "invalid_request", "grant-type", exchange("app", code, map[string]string{"grant_type": "-"})},
		{"password", "unsupported_grant_type", "grant-type", exchange("app", code, map[string]string{"grant_type": "password"})},
		{"device code", "unsupported_grant_type", "grant-type", exchange("app", code, map[string]string{"grant_type": "urn:ietf:params:oauth:grant-type:device_code"})},
		{"token exchange", "unsupported_grant_type", "grant-type", exchange("app", code, map[string]string{"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange"})},
		{"no code", "invalid_request", "request", exchange("app", code, map[string]string{"code": "-"})},
		{"no redirect_uri", "invalid_request", "request", exchange("app", code, map[string]string{"redirect_uri": "-"})},
		{"no refresh_token", "invalid_request", "request", exchange("app", "", map[string]string{"grant_type": "refresh_token"})},
		{"UDAP", "invalid_request", "udap", exchange("app", code, map[string]string{"udap": "1"})},
		{"an unknown code", "invalid_grant", "code-unknown", exchange("app", "made-up", nil)},
		{"an unknown refresh token", "invalid_grant", "refresh-unknown", refreshing("made-up", nil)},
		{"not registered", "unauthorized_client", "request", exchange("other", "", map[string]string{"grant_type": "refresh_token", "refresh_token": "x"})},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.refused(t, w.post(t, c.form), 400, c.code, c.reason)
		})
	}
	for name, r := range map[string]*http.Request{
		"GET":            httptest.NewRequest(http.MethodGet, oauth.TokenPath+"?"+exchange("app", code, nil).Encode(), nil),
		"in the query":   httptest.NewRequest(http.MethodPost, oauth.TokenPath+"?"+exchange("app", code, nil).Encode(), nil),
		"JSON":           httptest.NewRequest(http.MethodPost, oauth.TokenPath, strings.NewReader(`{"grant_type":"authorization_code"}`)),
		"twice":          httptest.NewRequest(http.MethodPost, oauth.TokenPath, strings.NewReader(exchange("app", code, nil).Encode()+"&code=x")),
		"a client twice": httptest.NewRequest(http.MethodPost, oauth.TokenPath, strings.NewReader(exchange("app", code, nil).Encode()+"&client_id=app")),
	} {
		if name != "JSON" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if res := w.serve(r); res.StatusCode < 400 || res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Pragma") != "no-cache" {
			t.Errorf("%s: %d %v", name, res.StatusCode, res.Header)
		}
	}
	if a := w.post(t, exchange("app", code, nil)); a.Status != 200 {
		t.Errorf("one of them spent the code: %v", a.Body)
	}
}

func TestACodeLivesAMinute(t *testing.T) {
	w := newWorld(t)
	for d, want := range map[time.Duration]int{59 * time.Second: 200, 60 * time.Second: 400} {
		code := w.code(t, request("app", nil))
		w.pass(d)
		if a := w.post(t, exchange("app", code, nil)); a.Status != want {
			t.Errorf("after %v: %d %v", d, a.Status, a.Body)
		}
	}
}

func TestASecondUseOfACodeEndsTheFamily(t *testing.T) {
	w := newWorld(t)
	code := w.code(t, request("app", nil))
	first := w.post(t, exchange("app", code, nil))
	if first.Status != 200 || !w.good(t, first.text("access_token")) {
		t.Fatalf("%v", first.Body)
	}
	second := w.post(t, refreshing(first.text("refresh_token"), nil))
	if second.Status != 200 {
		t.Fatalf("%v", second.Body)
	}
	w.pass(24 * time.Hour) // the code is remembered
	third := w.post(t, refreshing(second.text("refresh_token"), nil))
	w.refused(t, w.post(t, exchange("app", code, nil)), 400, "invalid_grant", "code-reused")
	if w.good(t, third.text("access_token")) {
		t.Error("the access token lives on")
	}
	w.refused(t, w.post(t, refreshing(third.text("refresh_token"), nil)), 400, "invalid_grant", "ended")
}

func TestASecondUseOfARefreshTokenEndsTheFamily(t *testing.T) {
	w := newWorld(t)
	first := w.tokens(t, everything)
	second := w.post(t, refreshing(first.text("refresh_token"), nil))
	if !w.good(t, first.text("access_token")) || !w.good(t, second.text("access_token")) {
		t.Fatal("a refresh ends what was there")
	}
	w.refused(t, w.post(t, refreshing(first.text("refresh_token"), nil)), 400, "invalid_grant", "refresh-reused")
	w.refused(t, w.post(t, refreshing(second.text("refresh_token"), nil)), 400, "invalid_grant", "ended")
	if w.good(t, first.text("access_token")) || w.good(t, second.text("access_token")) {
		t.Error("an access token lives on")
	}
	if other := w.tokens(t, everything); !w.good(t, other.text("access_token")) {
		t.Error("another authorization ended too")
	}
}

// atOnce sends a form so often at the same moment and gives the answers.
func (w *world) atOnce(t *testing.T, n int, v url.Values) []answer {
	t.Helper()
	out, start, done := make([]answer, n), make(chan struct{}), sync.WaitGroup{}
	quiet := v.Encode()
	for i := range n {
		done.Go(func() {
			<-start
			r := httptest.NewRequest(http.MethodPost, oauth.TokenPath, strings.NewReader(quiet))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			res := w.serve(r)
			out[i] = answer{Status: res.StatusCode, Header: res.Header, Body: bodyOf(res)}
		})
	}
	close(start)
	done.Wait()
	return out
}

func TestParallelUseGivesOneAnswerAtMost(t *testing.T) {
	for _, name := range []string{"code", "refresh token"} {
		for range 5 {
			w := newWorld(t)
			v := exchange("app", w.code(t, request("app", nil)), nil)
			if name != "code" {
				v = refreshing(w.tokens(t, everything).text("refresh_token"), nil)
			}
			given, alive := 0, 0
			for _, a := range w.atOnce(t, 8, v) {
				switch {
				case a.Status == 200:
					given++
					if w.good(t, a.text("access_token")) {
						alive++
					}
					if again := w.post(t, refreshing(a.text("refresh_token"), nil)); again.Status == 200 {
						alive++
					}
				case a.text("error") != "invalid_grant":
					t.Errorf("%s: %d %v", name, a.Status, a.Body)
				}
			}
			// All but one came second: what the one got has ended.
			if given > 1 || alive > 0 {
				t.Errorf("%s: %d answers, %d live tokens", name, given, alive)
			}
		}
	}
}

func TestRefreshNarrowsAndNeverWidens(t *testing.T) {
	w := newWorld(t)
	token := w.tokens(t, "openid offline_access launch/patient patient/Observation.rs?category=laboratory user/Condition.r").text("refresh_token")
	for _, scope := range []string{
		"patient/Observation.rs", "patient/Observation.rsd?category=laboratory", "patient/*.rs", "user/Condition.rs", "user/Patient.r",
		"system/Condition.r", "fhirUser", "online_access", "patient/Observation.rs?category=vital-signs", "patient/Observation.sr", "user/Condition.r patient/Patient.r",
	} {
		a := w.post(t, refreshing(token, map[string]string{"scope": scope}))
		if a.Status != 400 || a.text("error") != "invalid_scope" {
			t.Errorf("%s: %d %v", scope, a.Status, a.Body)
		}
	}
	// A wrong scope spends nothing; a narrower one leaves the rest for later.
	a := w.post(t, refreshing(token, map[string]string{"scope": "patient/Observation.r?category=laboratory"}))
	if a.text("scope") != "patient/Observation.r?category=laboratory" || a.text("id_token") != "" {
		t.Fatalf("%v", a.Body)
	}
	if p, err := w.verifier.Verify(t.Context(), a.text("access_token")); err != nil || p.Scopes.String() != "patient/Observation.r?category=laboratory" {
		t.Errorf("%v %v", p, err)
	}
	if all := w.post(t, refreshing(a.text("refresh_token"), nil)); all.text("scope") != "openid offline_access launch/patient patient/Observation.rs?category=laboratory user/Condition.r" {
		t.Errorf("%v", all.Body)
	}
}

func TestARefreshTokenIsBoundToItsClient(t *testing.T) {
	w := newWorld(t)
	first := w.tokens(t, everything)
	w.refused(t, w.post(t, refreshing(first.text("refresh_token"), map[string]string{"client_id": "other"})), 400, "invalid_grant", "refresh-client")
	if w.good(t, first.text("access_token")) {
		t.Error("it was in other hands, and its family lives")
	}
	a := w.post(t, exchange("secret", w.code(t, request("secret", nil)), map[string]string{"client_secret": secret}))
	w.refused(t, w.post(t, refreshing(a.text("refresh_token"), nil)), 401, "invalid_client", "client-method")
	if b := w.post(t, refreshing(a.text("refresh_token"), map[string]string{"client_id": "secret", "client_secret": secret})); b.Status != 200 {
		t.Errorf("%v", b.Body)
	}
}

func TestRefreshAsksTheRegistrationOfToday(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*auth.Client)
		code   string
	}{
		{"disabled", func(c *auth.Client) { c.Disabled = true }, "invalid_client"},
		{"no refresh any more", withoutRefresh, "unauthorized_client"},
		{"no offline_access", func(c *auth.Client) { c.ContextScopes = []string{"openid"} }, "invalid_grant"},
		{"another role", func(c *auth.Client) { c.Roles[0].Code = "case-manager" }, "invalid_grant"},
		{"another purpose", func(c *auth.Client) {
			c.Purposes = []string{"http://terminology.hl7.org/CodeSystem/v3-ActReason|HPAYMT"}
		}, "invalid_grant"},
		{"another organisation", func(c *auth.Client) { c.Organization = "Organization/else" }, "invalid_grant"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			first := w.tokens(t, everything)
			w.change(t, "app", c.change)
			if a := w.post(t, refreshing(first.text("refresh_token"), nil)); a.Status == 200 || a.text("error") != c.code {
				t.Errorf("%d %v (%s), want %s", a.Status, a.Body, w.trail.last(t).Reason, c.code)
			}
		})
	}
	w := newWorld(t)
	first := w.tokens(t, everything)
	w.change(t, "app", func(c *auth.Client) { c.Scopes = scopes(t, "patient/Observation.r") })
	if a := w.post(t, refreshing(first.text("refresh_token"), nil)); a.text("scope") != "openid fhirUser profile launch/patient offline_access patient/Observation.r" {
		t.Errorf("fewer scopes: %v", a.Body)
	}
}

func TestRefreshTokensEnd(t *testing.T) {
	t.Run("unused", func(t *testing.T) {
		w := newWorld(t)
		first := w.tokens(t, everything)
		w.pass(oauth.OfflineIdle)
		if a := w.post(t, refreshing(first.text("refresh_token"), nil)); a.text("error") != "invalid_grant" {
			t.Errorf("%v", a.Body)
		}
	})
	t.Run("used until the end", func(t *testing.T) {
		w := newWorld(t)
		token, began := w.tokens(t, everything).text("refresh_token"), w.now()
		for {
			w.pass(29 * 24 * time.Hour)
			a := w.post(t, refreshing(token, nil))
			if old := w.now().Sub(began) >= oauth.OfflineAbsolute; (a.Status != 200) != old {
				t.Fatalf("after %v: %d %v", w.now().Sub(began), a.Status, a.Body)
			} else if old {
				break
			}
			token = a.text("refresh_token")
		}
	})
	t.Run("no access token outlives it", func(t *testing.T) {
		w := newWorld(t)
		token := w.tokens(t, everything).text("refresh_token")
		w.pass(oauth.OfflineIdle - time.Hour)
		for range 2 {
			token = w.post(t, refreshing(token, nil)).text("refresh_token")
			w.pass(oauth.OfflineIdle - time.Hour)
		}
		token = w.post(t, refreshing(token, nil)).text("refresh_token")
		w.pass(3*time.Hour - 10*time.Minute)
		if a := w.post(t, refreshing(token, nil)); a.Body["expires_in"] != 600.0 {
			t.Errorf("%v", a.Body)
		}
	})
	t.Run("with the session", func(t *testing.T) {
		w := newWorld(t)
		token := w.tokens(t, "online_access user/Observation.rs").text("refresh_token")
		token = w.post(t, refreshing(token, nil)).text("refresh_token")
		w.sessions.ended["session-1"] = true
		w.refused(t, w.post(t, refreshing(token, nil)), 400, "invalid_grant", "session-ended")
		w.sessions.ended["session-1"] = false
		w.sessions.fail = errors.New("store gone")
		w.refused(t, w.post(t, refreshing(token, nil)), 500, "server_error", "error")
		w.sessions.fail = nil
		w.pass(oauth.OnlineAbsolute)
		if a := w.post(t, refreshing(token, nil)); a.text("error") != "invalid_grant" {
			t.Errorf("after twelve hours: %v", a.Body)
		}
	})
	t.Run("none without a scope for it", func(t *testing.T) {
		w := newWorld(t)
		if a := w.tokens(t, "openid user/Observation.rs"); a.text("refresh_token") != "" {
			t.Error("a refresh token that nobody asked for")
		}
	})
}

func TestWithoutATrailNoTokenLeaves(t *testing.T) {
	w := newWorld(t)
	code := w.code(t, request("app", nil))
	w.trail.fail = errors.New("disk full")
	a := w.post(t, exchange("app", code, nil))
	if a.Status != 500 || a.text("error") != "server_error" || a.text("access_token") != "" {
		t.Errorf("%d %v", a.Status, a.Body)
	}
}

func TestTheStoreHoldsNoSecret(t *testing.T) {
	w := newWorld(t)
	id := w.waiting(t, request("app", nil))
	code := w.code(t, request("app", nil))
	a := w.tokens(t, everything)
	facts := must(w.facts.Scan(t.Context(), "", "", 1000))(t)
	if len(facts) < 5 {
		t.Fatalf("only %d facts", len(facts))
	}
	// The id of a request is told to nobody but the browser, and lies in its own record.
	for _, f := range facts {
		for _, secret := range []string{code, a.text("refresh_token"), a.text("access_token"), a.text("id_token"), verifier} {
			if strings.Contains(f.Key, secret) || strings.Contains(string(f.Value), secret) {
				t.Errorf("%s holds a secret", f.Key)
			}
		}
		if strings.Contains(f.Key, id) || strings.Contains(string(f.Value), id) {
			t.Errorf("%s holds the id of a request that waits", f.Key)
		}
	}
}

func TestNothingOfTheContextReplacesATokensOwn(t *testing.T) {
	w := newWorld(t)
	id := w.waiting(t, request("app", map[string]string{"scope": "user/Observation.rs"}))
	d := w.decision("user/Observation.rs")
	d.Patient, d.Encounter = "", ""
	d.Context = map[string]any{"scope": "system/*.cruds", "access_token": "x", "refresh_token": "x", "id_token": "x", "patient": "other", "expires_in": 1, "intent": "reconcile"}
	u := must(url.Parse(must(w.server.Approve(t.Context(), id, d))(t)))(t)
	a := w.post(t, exchange("app", u.Query().Get("code"), nil))
	if a.text("scope") != "user/Observation.rs" || a.text("access_token") == "x" || a.Body["refresh_token"] != nil || a.Body["id_token"] != nil || a.Body["patient"] != nil || a.text("intent") != "reconcile" {
		t.Errorf("%v", a.Body)
	}
}

func TestAppsGetNoTokenForThemselves(t *testing.T) {
	w := newWorld(t)
	v := url.Values{"grant_type": {"client_credentials"}, "client_id": {"secret"}, "client_secret": {secret}, "scope": {"system/Patient.rs"}}
	w.refused(t, w.post(t, v), 400, "unauthorized_client", "request")
	v.Set("client_id", "app")
	v.Del("client_secret")
	w.refused(t, w.post(t, v), 400, "unauthorized_client", "request")
}

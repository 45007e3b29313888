package attack

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/handoff-health/handoff/gateway/guard"
)

func authorizeFamilies() []Family {
	return []Family{authorizationRequests(), unknownGrants(), codes(), refreshes(), approvals(), launches()}
}

// A grantee is an app on its way through an authorization: what it sent and what
// it must remember.
type grantee struct {
	app             *Party
	verifier, state string
	request         url.Values
}

// begin makes a good authorization request of an app.
func (t *Target) begin(party, scope string) (*grantee, error) {
	p, err := t.party(party)
	if err != nil {
		return nil, err
	}
	if t.endpoint("authorization_endpoint") == "" {
		return nil, Missing("authorization endpoint")
	}
	if p.Redirect == "" {
		return nil, Missing("redirect_uri of " + party)
	}
	g := &grantee{app: p, verifier: rand.Text() + rand.Text(), state: rand.Text()}
	sum := sha256.Sum256([]byte(g.verifier))
	g.request = url.Values{
		"response_type": {"code"}, "client_id": {p.ID}, "redirect_uri": {p.Redirect}, "scope": {scope}, "state": {g.state},
		"aud": {t.Base}, "code_challenge": {b64(sum[:])}, "code_challenge_method": {"S256"},
	}
	return g, nil
}

// endpoint is an address that the gateway publishes, "" if it does not.
func (t *Target) endpoint(name string) string {
	a, err := t.get("", ".well-known/smart-configuration")
	if err != nil {
		return ""
	}
	var doc map[string]json.RawMessage
	var at string
	if json.Unmarshal(a.body, &doc) != nil || json.Unmarshal(doc[name], &at) != nil {
		return ""
	}
	return at
}

const appScope = "launch/patient openid fhirUser offline_access user/Patient.rs patient/Observation.rs"

// ask sends an authorization request as a browser without any cookie, and says
// what became of it: where it leads next, and whether that is to people who may
// grant something.
func (g *grantee) ask(t *Target) (location *url.URL, onward bool, a *answer, err error) {
	if a, err = t.ask("", http.MethodGet, t.endpoint("authorization_endpoint")+"?"+g.request.Encode(), nil); err != nil {
		return nil, false, nil, err
	}
	if location, err = url.Parse(a.header.Get("Location")); err != nil {
		return nil, false, a, err
	}
	own := location.Host == "" || strings.HasPrefix(location.String(), t.Origin()+"/")
	return location, a.status >= 300 && a.status < 400 && own, a, nil
}

// authorizationRequests are bad in the first step, before anybody signs in.
func authorizationRequests() Family {
	try := func(change func(t *Target, g *grantee)) func(*Target) error {
		return func(t *Target) error {
			g, err := t.begin("app", appScope)
			if err != nil {
				return err
			}
			change(t, g)
			to, onward, a, err := g.ask(t)
			switch {
			case err != nil:
				return err
			case a.status >= 500:
				return breach("it makes the gateway fail: %s", a)
			case onward:
				return breach("a person is asked to grant it: %s", to)
			case to.Query().Has("code"), strings.Contains(to.Fragment, "token"):
				return breach("it is granted: %s", to)
			case a.header.Get("Location") != "" && !strings.HasPrefix(a.header.Get("Location"), g.app.Redirect+"?"):
				return breach("the browser is sent to %s", to)
			}
			return nil
		}
	}
	set := func(name string, values ...string) func(*Target) error {
		return try(func(_ *Target, g *grantee) { g.request[name] = values })
	}
	without := func(names ...string) func(*Target) error {
		return try(func(_ *Target, g *grantee) {
			for _, n := range names {
				g.request.Del(n)
			}
		})
	}
	redirect := func(change func(uri string) string) func(*Target) error {
		return func(t *Target) error {
			g, err := t.begin("app", appScope)
			if err != nil {
				return err
			}
			g.request.Set("redirect_uri", change(g.app.Redirect))
			_, onward, a, err := g.ask(t)
			if err != nil {
				return err
			}
			if onward || a.header.Get("Location") != "" {
				return breach("the browser is sent to %s", a.header.Get("Location"))
			}
			return nil
		}
	}
	registered := []guard.Name{guard.AuthorizeRedirectURI}
	challenge := []guard.Name{guard.AuthorizeChallenge}
	audience := []guard.Name{guard.AuthorizeAudience}
	return Family{Area: Authorize, Name: "authorization requests", Control: func(t *Target) error {
		g, err := t.begin("app", appScope)
		if err != nil {
			return err
		}
		_, onward, a, err := g.ask(t)
		if err == nil && !onward {
			err = fmt.Errorf("a good request is answered %d to %q: %s", a.status, a.header.Get("Location"), a)
		}
		return err
	}, Attacks: []Attack{
		{"no-challenge", "a request without a code challenge is not taken", "smart.md 1.2 A3; RFC 9700 2.1.1", challenge, without("code_challenge", "code_challenge_method")},
		{"plain-challenge", "a challenge that is the verifier is not taken", "smart.md 1.2 A3: S256 only", challenge, set("code_challenge_method", "plain")},
		{"no-method", "a challenge without a method is not taken: it would be plain", "RFC 7636 4.3; smart.md 2.3 (override 2)", challenge, without("code_challenge_method")},
		{"short-challenge", "a challenge that no hash has is not taken", "RFC 7636 4.2", challenge, set("code_challenge", "abc")},
		{"no-state", "a request without state is not taken", "smart.md 1.2 A1: CSRF at the app", []guard.Name{guard.AuthorizeState}, without("state")},
		{"no-audience", "a request without aud is not taken", "smart.md 1.2 A2", audience, without("aud")},
		{"other-audience", "a request for a token for another server is not taken", "smart.md 1.2 A2; g10_smart_invalid_aud", audience, set("aud", "https://evil.example.org/fhir")},
		{"audience-prefix", "a request for a server whose address starts like this one's is not taken", "smart.md 1.2 A2: compared whole", audience, try(func(t *Target, g *grantee) { g.request.Set("aud", t.Base+".evil.example.org") })},
		{"two-audiences", "a request that names another server beside this one is not taken", "RFC 8707 2", audience, try(func(_ *Target, g *grantee) { g.request.Set("resource", "https://evil.example.org/fhir") })},
		{"other-redirect", "a code is sent to no address that is not registered", "smart.md 1.2 A10; RFC 9700 4.1", registered, redirect(func(string) string { return "https://evil.example.org/callback" })},
		{"redirect-below", "a code is sent to no address below a registered one", "RFC 9700 2.1: exact string matching", registered, redirect(func(s string) string { return s + "/../evil" })},
		{"redirect-query", "a code is sent to no registered address with more behind it", "RFC 9700 2.1", registered, redirect(func(s string) string { return s + "?next=https://evil.example.org" })},
		{"redirect-user", "a code is sent to no host that hides behind a registered one", "RFC 3986 3.2.1: userinfo", registered, redirect(func(s string) string {
			u, err := url.Parse(s)
			if err != nil {
				return "https://x@evil.example.org"
			}
			return u.Scheme + "://" + u.Host + "@evil.example.org" + u.Path
		})},
		{"redirect-case", "a code is sent to no registered address in other case", "RFC 9700 2.1", registered, redirect(strings.ToUpper)},
		{"redirect-fragment", "a code is sent to no registered address with a fragment", "RFC 6749 3.1.2", registered, redirect(func(s string) string { return s + "#x" })},
		{"redirect-script", "a code is sent to no script", "javascript: and data: as a redirect_uri", registered, redirect(func(string) string { return "javascript:alert(1)" })},
		{"no-redirect", "a request without redirect_uri is not taken", "smart.md 1.2 A1", nil, redirect(func(string) string { return "" })},
		{"two-redirects", "a request with two redirect_uri is not taken", "RFC 6749 3.1: no parameter more than once", nil, func(t *Target) error {
			g, err := t.begin("app", appScope)
			if err != nil {
				return err
			}
			g.request.Add("redirect_uri", "https://evil.example.org/callback")
			_, onward, a, err := g.ask(t)
			if err == nil && (onward || strings.Contains(a.header.Get("Location"), "evil")) {
				err = breach("the browser is sent to %s", a.header.Get("Location"))
			}
			return err
		}},
		{"unknown-app", "a browser is sent nowhere for an app that is not registered", "RFC 6749 4.1.2.1: open redirector", nil, func(t *Target) error {
			g, err := t.begin("app", appScope)
			if err != nil {
				return err
			}
			g.request.Set("client_id", "nobody")
			_, onward, a, err := g.ask(t)
			if err == nil && (onward || a.header.Get("Location") != "") {
				err = breach("the browser is sent to %s", a.header.Get("Location"))
			}
			return err
		}},
		{"backend", "a backend's client id asks no person for anything", "grants are registered", nil, func(t *Target) error {
			if _, err := t.party("clinician"); err != nil {
				return err
			}
			return set("client_id", "clinician")(t)
		}},
		{"token-response", "no token is given in an address", "RFC 9700 2.1.2: implicit", nil, set("response_type", "token")},
		{"hybrid-response", "no id token is given in an address", "RFC 9700 2.1.2", nil, set("response_type", "code id_token")},
		{"two-response-types", "a request with two response types is not taken", "RFC 6749 3.1", nil, set("response_type", "code", "token")},
		{"form-response", "an answer is not posted", "response_mode=form_post goes around SameSite", nil, set("response_mode", "form_post")},
		{"request-object", "a request object is not read", "RFC 9101: unsigned or alg none", nil, set("request", "eyJhbGciOiJub25lIn0.e30.")},
		{"request-address", "a request object is not fetched", "CWE-918 (request_uri)", nil, set("request_uri", "http://127.0.0.1:1/x")},
		{"system-scopes", "an app asks no person for system/ scopes", "smart.md 1.7: levels", nil, set("scope", "system/*.rs")},
		{"unregistered-scope", "an app asks no person for what it is not registered for", "smart.md 1.4 [R250]", []guard.Name{guard.AuthorizeScope}, set("scope", "user/Condition.rs")},
		{"malformed-scopes", "a malformed scope refuses the request", "smart.md 1.5 [R129]", nil, set("scope", "openid user/Patient.sr")},
		{"long-state", "a state as long as a book is not kept", "CWE-400", nil, set("state", strings.Repeat("s", 20<<10))},
		{"framed", "no page of the sign-in lets itself be framed", "CWE-1021: clickjacking an approval", nil, func(t *Target) error {
			g, err := t.begin("app", appScope)
			if err != nil {
				return err
			}
			p, err := newBrowser(g.app.Redirect).open(t.endpoint("authorization_endpoint") + "?" + g.request.Encode())
			if err != nil {
				return err
			}
			if p.answer == nil {
				return fmt.Errorf("no page: %s", p)
			}
			policy := p.answer.header.Get("Content-Security-Policy")
			if !strings.Contains(policy, "frame-ancestors 'none'") && p.answer.header.Get("X-Frame-Options") != "DENY" {
				return breach("Content-Security-Policy: %q", policy)
			}
			if strings.Contains(policy, "unsafe-inline") && !strings.Contains(policy, "style-src") {
				return breach("scripts may stand in the page: %q", policy)
			}
			return nil
		}},
		{"script-in-error", "an error page holds nothing of what was sent as it was sent", "CWE-79", nil, func(t *Target) error {
			g, err := t.begin("app", appScope)
			if err != nil {
				return err
			}
			const script = "<script>alert(1)</script>"
			for _, name := range []string{"client_id", "redirect_uri", "state", "scope", "response_type", script} {
				bad := maps.Clone(g.request)
				bad.Set(name, script)
				if name == "state" {
					bad.Set("client_id", script)
				}
				a, err := t.ask("", http.MethodGet, t.endpoint("authorization_endpoint")+"?"+bad.Encode(), nil)
				if err != nil {
					return err
				}
				if strings.Contains(string(a.body), script) {
					return breach("%s: %s", name, a)
				}
			}
			return nil
		}},
	}}
}

// unknownGrants are sent to the token endpoint by those to whom nobody granted
// anything.
func unknownGrants() Family {
	try := func(f url.Values) func(*Target) error {
		return func(t *Target) error {
			p, err := t.party("app")
			if err != nil {
				return err
			}
			form := maps.Clone(f)
			form.Set("client_id", p.ID)
			if f.Has("code") {
				form.Set("redirect_uri", p.Redirect)
			}
			return gives(t.post(t.Token, form))
		}
	}
	return Family{Area: Authorize, Name: "grants that nobody gave", Control: func(t *Target) error {
		_, err := t.begin("app", appScope)
		return err
	}, Attacks: []Attack{
		{"guessed-code", "a code that somebody made up gets no token", "RFC 6749 10.10", nil, try(url.Values{"grant_type": {"authorization_code"}, "code": {"0000000000000000000000000000000000000000000"}, "code_verifier": {strings.Repeat("v", 43)}})},
		{"guessed-refresh", "a refresh token that somebody made up gets no token", "RFC 6749 10.10", nil, try(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"0000000000000000000000000000000000000000000"}})},
		{"exchange", "a token is not exchanged for another", "RFC 8693 is not offered", nil, func(t *Target) error {
			token, err := t.tokenOf("clinician", "")
			if err != nil {
				return err
			}
			return try(url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {token}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"}})(t)
		}},
		{"jwt-grant", "an assertion of one's own is no grant", "RFC 7523 2.1 is not offered", nil, func(t *Target) error {
			p, err := t.party("clinician")
			if err != nil {
				return err
			}
			header, claims := t.assertion(p)
			text, err := forgery{header: header, claims: claims, key: p.Key}.token()
			if err != nil {
				return err
			}
			return gives(t.post(t.Token, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {text}, "scope": {"system/*.rs"}}))
		}},
		{"public-as-backend", "a public app gets no token by its name", "RFC 6749 4.4.2: confidential clients only", nil, try(url.Values{"grant_type": {"client_credentials"}, "scope": {"system/Patient.rs"}})},
		{"device", "a device grant gets no token", "RFC 8628 is not offered", nil, try(url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {"x"}})},
	}}
}

package attack

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/handoff-health/handoff/gateway/guard"
)

// onward says whether a browser that should have been stopped goes on: to an app
// with a code, or to a page on which a person decides.
func onward(p *page, err error) error {
	switch {
	case err != nil:
		return err
	case p.arrived() && p.at.Query().Has("code"):
		return breach("the app gets a code: %s", p.at)
	case !p.arrived() && p.answer.status < 400 && atLaunch(p, webForm{}):
		return breach("the browser goes on to the approval: %s", p)
	}
	return nil
}

// nobody says whether a sign-in that should have failed did not: the browser goes
// on, or has a session, with which it would go on elsewhere.
func (t *Target) nobody(b *browser, p *page, err error) error {
	if err != nil {
		return err
	}
	if at, err := url.Parse(t.Origin()); err == nil {
		for _, c := range b.client.Jar.Cookies(at) {
			if strings.HasSuffix(c.Name, "handoff-session") && c.Value != "" {
				return breach("somebody is signed in: %s", p)
			}
		}
	}
	return onward(p, nil)
}

func atSignIn(p *page, _ webForm) bool   { return strings.Contains(p.at.Path, "/signin") }
func atLaunch(p *page, _ webForm) bool   { return strings.Contains(p.at.Path, "/launch") }
func atDecision(_ *page, f webForm) bool { return strings.Contains(f.action, "/launch/decision") }

// opened lets an app begin in a browser and goes on until stop.
func (t *Target) opened(party, scope string, b *browser, stop func(*page, webForm) bool, more ...string) (*grantee, *browser, *page, error) {
	if t.Provider == nil {
		return nil, nil, nil, Missing("identity provider")
	}
	g, err := t.begin(party, scope)
	if err != nil {
		return nil, nil, nil, err
	}
	for i := 0; i+1 < len(more); i += 2 {
		g.request.Set(more[i], more[i+1])
	}
	if b == nil {
		b = newBrowser("")
	}
	b.stops = g.app.Redirect
	p, err := b.open(t.endpoint("authorization_endpoint") + "?" + g.request.Encode())
	if err == nil {
		p, err = b.walk(p, stop)
	}
	return g, b, p, err
}

// approvals are about the person's browser.
func approvals() Family {
	signedIn := func(t *Target, stop func(*page, webForm) bool) (*grantee, *browser, *page, error) {
		if t.Provider != nil {
			t.Provider.as(nil)
		}
		return t.opened("app", personScope, nil, stop)
	}
	field := func(f webForm) string { // that ties the form to the browser
		for name, v := range f.fields {
			if len(v) == 1 && len(v[0]) >= 40 && name != "ask" && name != "id" {
				return name
			}
		}
		return ""
	}
	without := func(stop func(*page, webForm) bool, change func(t *Target, f url.Values, name string) error) func(*Target) error {
		return func(t *Target) error {
			_, b, p, err := signedIn(t, stop)
			if err != nil {
				return err
			}
			f, button, ok := p.consenting()
			name := field(f)
			if !ok || name == "" {
				return fmt.Errorf("no form with a token: %s", p)
			}
			var failed error
			next, err := b.submit(p, f, button, func(v url.Values) { failed = change(t, v, name) })
			if failed != nil {
				return failed
			}
			return onward(next, err)
		}
	}
	lying := func(l lie) func(*Target) error {
		return func(t *Target) error {
			_, b, p, err := signedIn(t, atSignIn)
			if err != nil {
				return err
			}
			f, button, ok := p.consenting()
			if !ok {
				return errors.New("no form to sign in: " + p.String())
			}
			t.Provider.as(l)
			defer t.Provider.as(nil)
			next, err := b.submit(p, f, button, nil)
			return t.nobody(b, next, err)
		}
	}
	claim := func(name string, value any) func(*Target) error {
		return lying(func(_, c object) *Key { c[name] = value; return nil })
	}
	elsewhere := func(name, value string) func(*Target) error { // a field of the form changed
		return func(t *Target) error {
			_, b, p, err := signedIn(t, atSignIn)
			if err != nil {
				return err
			}
			f, button, ok := p.consenting()
			if !ok {
				return errors.New("no form to sign in: " + p.String())
			}
			next, err := b.submit(p, f, button, func(v url.Values) { v.Set(name, value) })
			return t.nobody(b, next, err)
		}
	}
	return Family{Area: Authorize, Name: "the person's browser", Control: works("app"), Attacks: []Attack{
		{"sign-in-without-token", "a form that another site sends signs nobody in", "CWE-352: login CSRF", []guard.Name{guard.SignInPageToken}, without(atSignIn, func(_ *Target, v url.Values, name string) error { v.Del(name); return nil })},
		{"approve-without-token", "a form that another site sends approves nothing", "CWE-352; RFC 6749 10.12", []guard.Name{guard.SignInPageToken}, without(atDecision, func(_ *Target, v url.Values, name string) error { v.Del(name); return nil })},
		{"approve-with-anothers-token", "a form with the token of another browser approves nothing", "CWE-352", []guard.Name{guard.SignInPageToken}, without(atDecision, func(t *Target, v url.Values, name string) error {
			_, _, p, err := signedIn(t, atDecision)
			if err != nil {
				return err
			}
			f, _, _ := p.consenting()
			v.Set(name, f.fields.Get(name))
			return nil
		})},
		{"sign-in-of-another-browser", "a sign-in that one browser began is not finished in another", "RFC 9700 4.7.1; session fixation", []guard.Name{guard.SignInBrowser}, func(t *Target) error {
			_, b, p, err := signedIn(t, atSignIn)
			if err != nil {
				return err
			}
			f, button, ok := p.consenting()
			if !ok {
				return errors.New("no form to sign in: " + p.String())
			}
			b.stops = t.Origin() + "/oauth/signin/callback"
			back, err := b.submit(p, f, button, nil)
			if err != nil {
				return err
			}
			if !back.arrived() {
				return fmt.Errorf("the provider did not answer: %s", back)
			}
			other := newBrowser("https://")
			next, err := other.open(back.at.String())
			return t.nobody(other, next, err)
		}},
		{"provider-answer-again", "an answer of the provider's counts once", "RFC 9700 4.5; OpenID Connect Core 3.1.2.7", []guard.Name{guard.SignInStateOnce}, func(t *Target) error {
			_, b, p, err := signedIn(t, atSignIn)
			if err != nil {
				return err
			}
			f, button, ok := p.consenting()
			if !ok {
				return errors.New("no form to sign in: " + p.String())
			}
			if _, err := b.submit(p, f, button, nil); err != nil {
				return err
			}
			// The code was used too: the provider gives it out again, as one would
			// that does not keep count.
			return onward(b.open(t.Provider.again()))
		}},
		{"answered-request-again", "a request that was answered is not answered again", "smart.md 1.2 A4", []guard.Name{guard.AuthorizeOnce}, func(t *Target) error {
			_, b, p, err := signedIn(t, atDecision)
			if err != nil {
				return err
			}
			f, button, ok := p.consenting()
			if !ok {
				return errors.New("no form to approve: " + p.String())
			}
			if next, err := b.submit(p, f, button, nil); err != nil || !next.arrived() {
				return fmt.Errorf("it was not approved: %v %w", next, err)
			}
			return onward(b.submit(p, f, button, nil))
		}},
		{"more-in-form", "a form that brings scopes that were not asked for approves nothing of them", "the browser is the attacker's too", nil, func(t *Target) error {
			g, b, p, err := signedIn(t, atDecision)
			if err != nil {
				return err
			}
			f, button, ok := p.consenting()
			if !ok {
				return errors.New("no form to approve: " + p.String())
			}
			next, err := b.submit(p, f, button, func(v url.Values) {
				v.Add("scope", "user/Condition.rs")
				v.Set("patient", "Patient/x")
				v.Set("purpose", "ETREAT")
				v.Set("role", "emergency-physician")
				v.Set("subject", "root")
			})
			if err != nil || !next.arrived() || next.at.Query().Get("code") == "" {
				return err // refused whole
			}
			k, err := t.redeem(g, next.at.Query().Get("code"))
			if err == nil && strings.Contains(k.scope, "Condition") {
				err = breach("it has %q", k.scope)
			}
			return err
		}},
		{"unsigned-id-token", "an unsigned id token signs nobody in", "RFC 8725 2.1", nil, lying(func(h, _ object) *Key { h["alg"] = "none"; return nil })},
		{"forged-id-token", "an id token signed with another key signs nobody in", "OpenID Connect Core 3.1.3.7", []guard.Name{guard.SignInSignature, guard.TokenSignature}, lying(func(h, _ object) *Key {
			k, err := NewKey(fmt.Sprint(h["kid"]), fmt.Sprint(h["alg"]))
			if err != nil {
				return nil
			}
			return k
		})},
		{"id-token-for-another", "an id token for another client signs nobody in", "OpenID Connect Core 3.1.3.7", []guard.Name{guard.SignInAudience}, claim("aud", "another")},
		{"id-token-for-others-too", "an id token for others too signs nobody in", "OpenID Connect Core 3.1.3.7 (4)", []guard.Name{guard.SignInAudience}, lying(func(_, c object) *Key { c["aud"] = []any{c["aud"], "another"}; return nil })},
		{"id-token-of-another", "an id token of another issuer signs nobody in", "OpenID Connect Core 3.1.3.7", []guard.Name{guard.SignInIssuer}, claim("iss", "https://evil.example.org")},
		{"other-nonce", "an id token of another sign-in signs nobody in", "OpenID Connect Core 3.1.3.7: nonce", []guard.Name{guard.SignInNonce}, claim("nonce", "x")},
		{"old-id-token", "an id token after its time signs nobody in", "OpenID Connect Core 3.1.3.7", []guard.Name{guard.SignInExpiry, guard.TokenExpiry}, claim("exp", 1)},
		{"old-sign-in", "a sign-in of last week signs nobody in", "OpenID Connect Core 3.1.2.1 (max_age); CJIS IA-11", nil, claim("auth_time", Clock().Add(-7*24*time.Hour).Unix())},
		{"sign-in-not-renewed", "a provider that was to ask the person again, and did not, signs nobody in", "OpenID Connect Core 3.1.2.1 (prompt, max_age); CJIS IA-11", []guard.Name{guard.SignInAge}, func(t *Target) error {
			if t.Provider != nil {
				t.Provider.as(nil)
			}
			_, b, p, err := t.opened("app", personScope, nil, atSignIn, "prompt", "login")
			if err != nil {
				return err
			}
			f, button, ok := p.consenting()
			if !ok {
				return errors.New("no form to sign in: " + p.String())
			}
			t.Provider.as(func(_, c object) *Key { c["auth_time"] = Clock().Add(-time.Hour).Unix(); return nil })
			defer t.Provider.as(nil)
			next, err := b.submit(p, f, button, nil)
			return t.nobody(b, next, err)
		}},
		{"unused-session", "a session that nobody used is over", "CJIS AC-11: 30 minutes", []guard.Name{guard.SignInIdle}, expired(31 * time.Minute)},
		{"long-session", "a session is over after a working day", "CJIS IA-11: 12 hours", []guard.Name{guard.SignInAbsolute}, kept(12*time.Hour + time.Minute)},
		{"one-factor", "a person who proved one factor is not let in", "CJIS IA-2", []guard.Name{guard.SignInMFA}, claim("amr", []string{"pwd"})},
		{"other-provider", "a person does not sign in at a provider that the app does not list", "a provider belongs to one organisation", []guard.Name{guard.SignInProvider}, elsewhere("provider", "pd-idp")},
		{"provider-mix-up", "an answer to one provider's question is not taken from another", "RFC 9700 4.4: mix-up", []guard.Name{guard.SignInProviderMixUp}, func(t *Target) error {
			_, b, p, err := signedIn(t, atSignIn)
			if err != nil {
				return err
			}
			f, button, ok := p.consenting()
			if !ok {
				return errors.New("no form to sign in: " + p.String())
			}
			b.stops = t.Origin() + "/oauth/signin/callback"
			back, err := b.submit(p, f, button, nil)
			if err != nil {
				return err
			}
			if t.Police == nil {
				return Missing("second identity provider")
			}
			t.Police.adopt(t.Provider)
			b.stops = "https://"
			next, err := b.open(strings.Replace(back.at.String(), "/callback/clinic-idp", "/callback/pd-idp", 1))
			return t.nobody(b, next, err)
		}},
		{"no-role", "a person without a role here is not let in", "issue 4.4", []guard.Name{guard.SignInRole}, claim("roles", []string{"janitor"})},
		{"role-of-ones-own", "a role that the configuration does not translate is none", "issue 4.4: roles come through the mapping", nil, claim("roles", []string{"law-enforcement-officer"})},
	}}
}

// expired opens another request in a browser whose session nobody used for so
// long.
func expired(after time.Duration) func(*Target) error { return sessionAfter(after, after) }

// kept is expired for a session that was used all the while.
func kept(after time.Duration) func(*Target) error { return sessionAfter(after, 20*time.Minute) }

func sessionAfter(after, step time.Duration) func(*Target) error {
	return func(t *Target) error {
		if t.Provider == nil {
			return Missing("identity provider")
		}
		t.Provider.as(nil)
		_, b, _, err := t.opened("app", personScope, nil, atDecision)
		if err != nil {
			return err
		}
		if t.Later == nil {
			return Missing("hold of its clock")
		}
		defer t.Later(0)
		for passed := time.Duration(0); passed < after; {
			passed = min(passed+step, after)
			t.Later(passed)
			if passed < after {
				if _, err := b.open(t.Origin() + "/oauth/signout"); err != nil { // a use
					return err
				}
			}
		}
		_, _, p, err := t.opened("app", personScope, b, func(*page, webForm) bool { return true })
		return onward(p, err)
	}
}

package attack

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/handoff-health/handoff/gateway/guard"
)

// codes are what thieves of a code or of a refresh token try.
func codes() Family {
	// stolen is an attack on a code of the public app's.
	stolen := func(change func(t *Target, g *grantee, f url.Values) error) func(*Target) error {
		return func(t *Target) error {
			g, code, err := t.code("app", personScope)
			if err != nil {
				return err
			}
			f := g.exchange(code)
			if err := change(t, g, f); err != nil {
				return err
			}
			return gives(t.post(t.Token, f))
		}
	}
	set := func(name string, values ...string) func(*Target) error {
		return stolen(func(_ *Target, _ *grantee, f url.Values) error {
			f[name] = values
			return nil
		})
	}
	verifier := []guard.Name{guard.AuthorizeVerifier}
	return Family{Area: Authorize, Name: "codes", Control: allOf(works("app"), works("confidential")), Attacks: []Attack{
		{"used-code", "a code that was used gets no second token", "RFC 6749 4.1.2; smart.md 2.3 (override 3)", []guard.Name{guard.AuthorizeCodeOnce}, func(t *Target) error {
			g, code, err := t.code("app", personScope)
			if err != nil {
				return err
			}
			if _, err := t.redeem(g, code); err != nil {
				return err
			}
			return gives(t.post(t.Token, g.exchange(code)))
		}},
		{"used-code-ends-access", "a code that comes twice ends the access tokens that it gave, at once", "RFC 6749 4.1.2; RFC 9700 4.2.4", []guard.Name{guard.TokenEnded}, func(t *Target) error {
			k, err := reused(t)
			if err != nil {
				return err
			}
			return opensRecord(t, k.access, "weight")
		}},
		{"used-code-ends-refresh", "a code that comes twice ends the refresh token that it gave", "RFC 6749 4.1.2; RFC 9700 4.2.4", []guard.Name{guard.AuthorizeFamily}, func(t *Target) error {
			k, err := reused(t)
			if err != nil {
				return err
			}
			return gives(t.post(t.Token, k.refreshing()))
		}},
		{"wrong-verifier", "a code without its verifier gets no token", "RFC 7636 4.6", verifier, set("code_verifier", strings.Repeat("v", 43))},
		{"no-verifier", "a code without any verifier gets no token", "smart.md 1.2 A3 [R31]", nil, set("code_verifier")},
		{"challenge-as-verifier", "the challenge is not the verifier", "g10_smart_invalid_pkce_code_verifier_group", verifier, stolen(func(_ *Target, g *grantee, f url.Values) error {
			f.Set("code_verifier", g.request.Get("code_challenge"))
			return nil
		})},
		{"other-app", "a code of one app gets another nothing", "RFC 6749 4.1.3; code injection (RFC 9700 4.5)", []guard.Name{guard.AuthorizeCodeClient}, stolen(func(t *Target, _ *grantee, f url.Values) error {
			other, err := t.party("second app")
			if err != nil {
				return err
			}
			f.Set("client_id", other.ID)
			return nil
		})},
		{"other-redirect-at-exchange", "a code that went to one address gets no token under another", "RFC 6749 4.1.3", []guard.Name{guard.AuthorizeCodeRedirect}, set("redirect_uri", "https://evil.example.org/callback")},
		{"no-redirect-at-exchange", "a code gets no token without the address that it went to", "RFC 6749 4.1.3", nil, set("redirect_uri")},
		{"refresh-as-code", "a code is no refresh token", "RFC 8725 2.8: each handle in its place", nil, stolen(func(_ *Target, _ *grantee, f url.Values) error {
			f.Set("grant_type", "refresh_token")
			f.Set("refresh_token", f.Get("code"))
			return nil
		})},
		{"confidential-without-secret", "a code of a confidential app gets no token without its secret", "RFC 6749 4.1.3", []guard.Name{guard.ClientAuthentication}, secretly(func(_ *http.Request, p *Party, f url.Values) { f.Set("client_id", p.ID) })},
		{"confidential-wrong-secret", "a code of a confidential app gets no token with another secret", "RFC 6749 4.1.3", []guard.Name{guard.ClientSecret}, secretly(func(r *http.Request, p *Party, _ url.Values) { r.SetBasicAuth(p.ID, "guess") })},
		{"confidential-hash-as-secret", "the hash of a secret is not the secret", "CWE-836: what stands in a configuration must not log in", []guard.Name{guard.ClientSecret}, secretly(func(r *http.Request, p *Party, _ url.Values) { r.SetBasicAuth(p.ID, "sha256:"+p.Secret) })},
		{"confidential-two-ways", "a secret in the header and one in the form are not taken together", "RFC 6749 2.3: one method in one request", []guard.Name{guard.ClientOneMethod}, secretly(func(r *http.Request, p *Party, f url.Values) {
			p.prove()(r)
			f.Set("client_id", p.ID)
			f.Set("client_secret", p.Secret)
		})},
		{"confidential-without-verifier", "a confidential app gets no token without the verifier either", "smart.md 2.3 (override 3): zitadel asks only public clients", nil, func(t *Target) error {
			g, code, err := t.code("confidential", personScope)
			if err != nil {
				return err
			}
			f := g.exchange(code)
			f.Del("code_verifier")
			return gives(t.post(t.Token, f, g.app.prove()))
		}},
		{"old-code", "a code gets no token after a minute", "smart.md 1.2 A4", []guard.Name{guard.AuthorizeCodeAge}, func(t *Target) error {
			g, code, err := t.code("app", personScope)
			if err != nil {
				return err
			}
			back, err := t.later(61 * time.Second)
			if err != nil {
				return err
			}
			defer back()
			return gives(t.post(t.Token, g.exchange(code)))
		}},
		{"cached-answer", "an answer with tokens may not be kept", "smart.md 1.2 A5 [R86]", nil, func(t *Target) error {
			g, code, err := t.code("app", personScope)
			if err != nil {
				return err
			}
			a, err := t.post(t.Token, g.exchange(code))
			if err == nil && (a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache") {
				err = breach("Cache-Control %q, Pragma %q", a.header.Get("Cache-Control"), a.header.Get("Pragma"))
			}
			return err
		}},
	}}
}

// reused is what an app has whose code came a second time.
func reused(t *Target) (*tokens, error) {
	g, code, err := t.code("app", personScope)
	if err != nil {
		return nil, err
	}
	k, err := t.redeem(g, code)
	if err != nil {
		return nil, err
	}
	if err := reads(t, k.access, "weight"); err != nil {
		return nil, err
	}
	_, err = t.post(t.Token, g.exchange(code))
	return k, err
}

// secretly tries a code of the confidential app with another proof than its own.
func secretly(change func(r *http.Request, p *Party, f url.Values)) func(*Target) error {
	return func(t *Target) error {
		g, code, err := t.code("confidential", personScope)
		if err != nil {
			return err
		}
		f := g.exchange(code)
		dummy, err := http.NewRequest(http.MethodPost, t.Token, nil)
		if err != nil {
			return err
		}
		change(dummy, g.app, f)
		return gives(t.post(t.Token, f, func(r *http.Request) {
			if h := dummy.Header.Get("Authorization"); h != "" {
				r.Header.Set("Authorization", h)
			}
		}))
	}
}

// works is a control: an app gets tokens that read and can be refreshed.
func works(party string) func(*Target) error {
	return func(t *Target) error {
		k, err := t.granted(party, personScope)
		if err != nil {
			return err
		}
		if k, err = t.refresh(k); err != nil {
			return err
		}
		return reads(t, k.access, "weight")
	}
}

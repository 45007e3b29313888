package attack

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// How an app gets a code: in a browser, in which a person signs in and decides.

// personScope needs no patient to be picked.
const personScope = "openid fhirUser offline_access user/Patient.rs user/Observation.rs"

var (
	yes = regexp.MustCompile(`(?i)allow|approve|continue|accept|share|grant|agree|sign in`)
	no  = regexp.MustCompile(`(?i)sign ?out|deny|refuse|cancel|do not|don.t|another`)
)

// consenting picks the form of a page by which a person goes on, and its button.
func (p *page) consenting() (f webForm, button string, ok bool) {
	for _, f := range p.forms() {
		texts := buttonTag.FindAllStringSubmatch(f.text, -1)
		for i, b := range f.buttons {
			label := b
			if i < len(texts) {
				label += " " + texts[i][1]
			}
			if yes.MatchString(label) && !no.MatchString(label) && !strings.Contains(f.action, "signout") {
				return f, b, true
			}
		}
	}
	return webForm{}, "", false
}

var buttonTag = regexp.MustCompile(`(?is)<button\b[^>]*>(.*?)</button>`)

// walk goes on from a page until the app's address, or until before says stop.
func (b *browser) walk(p *page, before func(*page, webForm) bool) (*page, error) {
	for range maxSteps {
		if p.arrived() {
			return p, nil
		}
		f, button, ok := p.consenting()
		if !ok {
			return p, fmt.Errorf("nothing on this page leads on: %s", p)
		}
		if before != nil && before(p, f) {
			return p, nil
		}
		var err error
		if p, err = b.submit(p, f, button, nil); err != nil {
			return nil, err
		}
	}
	return p, errors.New("the sign-in has no end")
}

// authorized opens the request of an app in a browser of its own and goes
// through all pages. It returns where the app gets the browser back.
func (t *Target) authorized(g *grantee) (*url.URL, error) {
	if t.Provider == nil {
		return nil, Missing("identity provider")
	}
	t.Provider.as(nil)
	b := newBrowser(g.app.Redirect)
	p, err := b.open(t.endpoint("authorization_endpoint") + "?" + g.request.Encode())
	if err != nil {
		return nil, err
	}
	if p, err = b.walk(p, nil); err != nil {
		return nil, err
	}
	return p.at, nil
}

// code gets an app a code.
func (t *Target) code(party, scope string) (*grantee, string, error) {
	g, err := t.begin(party, scope)
	if err != nil {
		return nil, "", err
	}
	at, err := t.authorized(g)
	if err != nil {
		return nil, "", err
	}
	code := at.Query().Get("code")
	if code == "" || at.Query().Get("state") != g.state {
		return nil, "", fmt.Errorf("no code for %s: %s", party, at)
	}
	return g, code, nil
}

// exchange is the request by which an app turns its code into tokens.
func (g *grantee) exchange(code string) url.Values {
	f := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {g.app.Redirect}, "code_verifier": {g.verifier}}
	if g.app.Secret == "" {
		f.Set("client_id", g.app.ID)
	}
	return f
}

// prove adds the secret of a confidential app.
func (p *Party) prove() change {
	return func(r *http.Request) {
		if p.Secret != "" {
			r.SetBasicAuth(url.QueryEscape(p.ID), url.QueryEscape(p.Secret))
		}
	}
}

// tokens are what an app has in the end.
type tokens struct {
	app             *Party
	access, refresh string
	scope           string
}

// granted takes an app through everything.
func (t *Target) granted(party, scope string) (*tokens, error) {
	g, code, err := t.code(party, scope)
	if err != nil {
		return nil, err
	}
	return t.redeem(g, code)
}

func (t *Target) redeem(g *grantee, code string) (*tokens, error) {
	a, err := t.post(t.Token, g.exchange(code), g.app.prove())
	if err != nil {
		return nil, err
	}
	out := &tokens{g.app, a.text("access_token"), a.text("refresh_token"), a.text("scope")}
	if a.status != http.StatusOK || out.access == "" {
		return nil, fmt.Errorf("no token for a code: %s", a)
	}
	return out, nil
}

// refreshing is the request by which an app gets a new access token.
func (k *tokens) refreshing() url.Values {
	f := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {k.refresh}}
	if k.app.Secret == "" {
		f.Set("client_id", k.app.ID)
	}
	return f
}

func (t *Target) refresh(k *tokens) (*tokens, error) {
	if k.refresh == "" {
		return nil, errors.New("there is no refresh token")
	}
	a, err := t.post(t.Token, k.refreshing(), k.app.prove())
	if err != nil {
		return nil, err
	}
	out := &tokens{k.app, a.text("access_token"), a.text("refresh_token"), a.text("scope")}
	if a.status != http.StatusOK || out.access == "" {
		return nil, fmt.Errorf("no token for a refresh token: %s", a)
	}
	if out.refresh == "" {
		out.refresh = k.refresh
	}
	return out, nil
}

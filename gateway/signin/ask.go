package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/page"
)

// An asked is a sign-in that somebody wants: where, and where to go then.
type asked struct {
	Providers []string `json:"providers"`
	Next      string   `json:"next"`
	Again     bool     `json:"again,omitempty"`
	Browser   string   `json:"browser"` // hash of its handle
}

// A begun is a sign-in that was sent to a provider.
type begun struct {
	Asked    asked     `json:"asked"`
	Provider string    `json:"provider"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	At       time.Time `json:"at"`
}

const (
	askKey   = "signin/ask/"   // + hash of the handle in the page's address
	stateKey = "signin/state/" // + hash of state
	askLife  = 30 * time.Minute
	// stateLife is how long a person may take at the provider.
	stateLife = 10 * time.Minute
	signInURL = pathPrefix + "signin"
)

// Ask implements [Sessions].
func (s *Server) Ask(w http.ResponseWriter, r *http.Request, providers []string, next string, again bool) {
	r = s.numbered(w, r)
	switch {
	case !ownPath(next) && !guard.Off(guard.SignInNext):
		s.show(w, http.StatusBadRequest, page.Message{
			Title: "This sign-in cannot be started", Text: []string{"It would end outside of this gateway. Start again from your app."}, RequestID: requestID(r),
		})
		return
	case len(s.known(providers)) == 0:
		s.show(w, http.StatusForbidden, page.Message{
			Title:     "Nobody can sign in to this app",
			Text:      []string{"No place to sign in is set up for this app. Tell your administrator the request number below."},
			RequestID: requestID(r),
		})
		return
	}
	h, err := s.keep(r.Context(), askKey, askLife, asked{Providers: providers, Next: next, Again: again, Browser: HashHandle(s.browser(w, r))})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r, signInURL+"?ask="+h, http.StatusSeeOther)
}

// keep stores a value under the hash of a new handle.
func (s *Server) keep(ctx context.Context, prefix string, life time.Duration, v any) (string, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("keep a sign-in: %w", err)
	}
	h := NewHandle()
	if _, err := s.o.Facts.PutIfAbsent(ctx, prefix+HashHandle(h), raw, s.o.Now().Add(life)); err != nil {
		return "", fmt.Errorf("keep a sign-in: %w", err)
	}
	return h, nil
}

// errGone says that a sign-in is not there: too old, used, or another browser's.
var errGone = errors.New("no such sign-in")

// kept reads what keep stored. h comes from outside.
func (s *Server) kept(ctx context.Context, prefix, h string, to any) (*store.Fact, error) {
	if len(h) != HandleBytes {
		return nil, errGone
	}
	fact, err := s.o.Facts.Get(ctx, prefix+HashHandle(h))
	if errors.Is(err, store.ErrNotFound) {
		return nil, errGone
	}
	if err != nil {
		return nil, fmt.Errorf("a sign-in: %w", err)
	}
	if err := json.Unmarshal(fact.Value, to); err != nil {
		return nil, fmt.Errorf("a sign-in: %w", err)
	}
	return &fact, nil
}

// askedBy returns the sign-in that the browser asks for.
func (s *Server) askedBy(r *http.Request, h string) (*asked, error) {
	var a asked
	if _, err := s.kept(r.Context(), askKey, h, &a); err != nil {
		return nil, err
	}
	return &a, s.same(r, a.Browser)
}

// same wants the browser that began.
func (s *Server) same(r *http.Request, browser string) error {
	b := s.cookie(r, browserCookie)
	if (b == "" || HashHandle(b) != browser) && !guard.Off(guard.SignInBrowser) {
		return errGone
	}
	return nil
}

// choose shows the notice and the places to sign in.
func (s *Server) choose(w http.ResponseWriter, r *http.Request) {
	h := one(r.URL.Query(), "ask")
	a, err := s.askedBy(r, h)
	if err != nil {
		s.gone(w, r, err)
		return
	}
	s.form(w, r, http.StatusOK, h, a, nil)
}

func (s *Server) form(w http.ResponseWriter, r *http.Request, status int, h string, a *asked, faults []page.Fault) {
	v := struct {
		Banner, Ask, Field, Token string
		Providers                 []*Provider
	}{s.o.Banner, h, Field, s.Token(w, r), s.known(a.Providers)}
	s.wrote(pages.Write(w, status, "signin", page.View{Title: "Sign in", Faults: faults, Data: v}))
}

// chosen takes the form: the notice is confirmed and a provider chosen.
func (s *Server) chosen(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if !s.Check(r) {
		s.gone(w, r, errGone)
		return
	}
	h := r.PostFormValue("ask")
	a, err := s.askedBy(r, h)
	if err != nil {
		s.gone(w, r, err)
		return
	}
	p := s.providers[r.PostFormValue("provider")]
	if p == nil || (!slices.Contains(a.Providers, p.ID) && !guard.Off(guard.SignInProvider)) {
		s.form(w, r, http.StatusUnprocessableEntity, h, a, []page.Fault{{Text: "Choose where to sign in."}})
		return
	}
	if p.Users != nil {
		s.password(w, r, h, a, p)
		return
	}
	s.toProvider(w, r, a, p)
}

// toProvider sends the browser to the provider.
func (s *Server) toProvider(w http.ResponseWriter, r *http.Request, a *asked, p *Provider) {
	m, err := p.OpenID.discover(r.Context())
	if err != nil {
		s.o.Logger.Error("an identity provider cannot be used", "provider", p.ID, "request", requestID(r), "error", err)
		s.refuse(w, r, a, p, nil, reasonDown)
		return
	}
	b := begun{Asked: *a, Provider: p.ID, Nonce: NewHandle(), Verifier: NewHandle(), At: s.o.Now()}
	state, err := s.keep(r.Context(), stateKey, stateLife, b)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	to, err := m.ask(p.OpenID.o.Client, s.question(p, &b, state))
	if err == nil {
		err = page.Forward(w, to)
	}
	if err != nil {
		s.fail(w, r, err)
	}
}

// question is what a sign-in asks of its provider.
func (s *Server) question(p *Provider, b *begun, state string) question {
	q := question{
		redirect: s.o.Base + callbackURL + p.ID, state: state, nonce: b.Nonce, verifier: b.Verifier,
		acr: p.ACRValues, maxAge: s.o.Absolute, again: b.Asked.Again,
	}
	if q.again {
		q.maxAge = 0
	}
	return q
}

// one returns the only value of a parameter; "" where there are none or several.
func one(v url.Values, name string) string {
	if len(v[name]) != 1 {
		return ""
	}
	return v[name][0]
}

package signin

import (
	"embed"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/page"
)

//go:embed pages/*.html
var pageFiles embed.FS

var pages = func() *page.Templates {
	t, err := page.Parse(pageFiles, "pages/*.html")
	if err != nil {
		panic(err) // the templates are part of the program, and a test shows them
	}
	return t
}()

const (
	signOutURL = pathPrefix + "signout"
	maxForm    = 16 << 10 // bytes
)

// Paths lists the paths that ServeHTTP answers.
func (s *Server) Paths() []string {
	out := []string{signInURL, signOutURL}
	for _, p := range s.o.Providers {
		if p.OpenID != nil {
			out = append(out, callbackURL+p.ID)
		}
	}
	return out
}

// ServeHTTP shows the pages of this package.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = s.numbered(w, r)
	post := r.Method == http.MethodPost
	path := r.URL.Path
	switch {
	case !post && r.Method != http.MethodGet && r.Method != http.MethodHead:
	case path == signInURL && post:
		s.chosen(w, r)
		return
	case path == signInURL:
		s.choose(w, r)
		return
	case path == signOutURL && post:
		s.signedOut(w, r)
		return
	case path == signOutURL:
		s.signOut(w, r)
		return
	case strings.HasPrefix(path, callbackURL) && !post:
		if p := s.providers[strings.TrimPrefix(path, callbackURL)]; p != nil && p.OpenID != nil {
			s.callback(w, r, p)
			return
		}
		s.turnAway(w, r, http.StatusNotFound, "provider-unknown", page.Message{Title: "There is no such page"})
		return
	}
	w.Header().Set("Allow", "GET, POST")
	s.turnAway(w, r, http.StatusMethodNotAllowed, "method", page.Message{Title: "This cannot be done here"})
}

// signOut asks whether to end the session: a link alone must not do it.
func (s *Server) signOut(w http.ResponseWriter, r *http.Request) {
	who, err := s.Current(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	v := struct {
		Field, Token string
		Person       *Person
	}{Field, s.Token(w, r), who}
	s.wrote(pages.Write(w, http.StatusOK, "signout", page.View{Title: "Sign out", Data: v}))
}

func (s *Server) signedOut(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if !s.Check(r) {
		s.gone(w, r, errGone)
		return
	}
	if _, err := s.End(w, r); err != nil {
		s.fail(w, r, err)
		return
	}
	s.show(w, http.StatusOK, page.Message{Title: "You are signed out", Text: []string{
		"Apps that you opened with this sign-in can no longer read records for you, not even those that you let stay connected.",
		"You may still be signed in at your organisation's own sign-in page. On a shared computer, sign out there too, and close the browser.",
	}})
}

// gone says that what was asked for is not there, and fails where that cannot be
// known.
func (s *Server) gone(w http.ResponseWriter, r *http.Request, err error) {
	if !errors.Is(err, errGone) {
		s.fail(w, r, err)
		return
	}
	s.turnAway(w, r, http.StatusBadRequest, "request", page.Message{
		Title: "This page is too old, or was opened in another browser",
		Text:  []string{"For your safety a sign-in counts in one browser, once, and for a short time.", "Go back to your app and start again."},
	})
}

// turnAway records that a page is not for whoever asks for it, and says so.
func (s *Server) turnAway(w http.ResponseWriter, r *http.Request, status int, reason string, m page.Message) {
	if err := s.record(r.Context(), r, happened{interaction: about(r), reason: reason, status: status}); err != nil {
		s.fail(w, r, err)
		return
	}
	m.RequestID = requestID(r)
	s.show(w, status, m)
}

// about is what a request that came to nothing was about.
func about(r *http.Request) string {
	if r.URL.Path == signOutURL {
		return audit.Logout
	}
	return audit.Login
}

// refusalPage says what a person can do about a refusal: nothing about why inside.
func (s *Server) refusalPage(p *Provider, who *Person, reason string) (int, page.Message) {
	switch reason {
	case reasonNoMFA:
		return http.StatusForbidden, page.Message{Title: "One more step to prove who you are is needed", Text: []string{
			fmt.Sprintf("You signed in at %s with one step, such as a password. Records here need at least two, such as a password and a code or a security key.", p.Name),
			"Set up a second step there and sign in again. If you have one, ask your administrator why it was not asked for.",
		}}
	case reasonRole:
		return http.StatusForbidden, page.Message{Title: "You have no role here", Text: []string{
			fmt.Sprintf("%s knows you as %s, and gives you no role that opens anything here.", p.Name, who.Name),
			"Ask your administrator for one, and tell them the request number below.",
		}}
	case reasonSignedOut:
		return http.StatusForbidden, page.Message{Title: "You were signed out by an administrator", Text: []string{
			fmt.Sprintf("%s still knows you from a sign-in before that. Prove there once more who you are.", p.Name),
			"If you did not expect this, ask your administrator, and tell them the request number below.",
		}}
	case reasonDown:
		return http.StatusServiceUnavailable, page.Message{Title: p.Name + " cannot be reached", Text: []string{
			"You were not signed in, because the place where you sign in did not answer as it should.", "Try again in a minute, or sign in somewhere else if you can.",
		}}
	case reasonRefused:
		return http.StatusForbidden, page.Message{Title: "You were not signed in", Text: []string{
			fmt.Sprintf("%s did not sign you in: it may have been cancelled there.", p.Name),
		}}
	}
	return http.StatusForbidden, page.Message{Title: "You were not signed in", Text: []string{
		fmt.Sprintf("What %s answered cannot be relied on.", p.Name), "Sign in again. If it happens again, tell your administrator the request number below.",
	}}
}

// slow stops an address from which too many sign-ins failed.
func (s *Server) slow(w http.ResponseWriter, r *http.Request, p *Provider, err error) {
	if err == nil {
		err = s.record(r.Context(), r, happened{interaction: audit.Login, provider: p, reason: reasonPlace, status: http.StatusTooManyRequests})
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Retry-After", fmt.Sprint(int(s.o.Window.Seconds())))
	s.show(w, http.StatusTooManyRequests, page.Message{
		Title: "Too many sign-ins from here have failed",
		Text:  []string{fmt.Sprintf("Wait %d minutes and try again.", int(s.o.Window.Minutes()))}, RequestID: requestID(r),
	})
}

// fail answers what went wrong inside, and records it where that can be done.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.o.Logger.Error("a page cannot be shown", "path", r.URL.Path, "request", requestID(r), "error", err)
	if err := s.record(r.Context(), r, happened{interaction: about(r), reason: "unavailable", status: http.StatusServiceUnavailable}); err != nil {
		s.o.Logger.Error("a refusal cannot be recorded", "request", requestID(r), "error", err)
	}
	w.Header().Del("Set-Cookie")
	s.wrote(page.Fail(w, requestID(r)))
}

func (s *Server) show(w http.ResponseWriter, status int, m page.Message) {
	s.wrote(page.Show(w, status, m))
}

// wrote notes that a page could not be sent: its reader went away, or it could not
// be rendered.
func (s *Server) wrote(err error) {
	if err != nil {
		s.o.Logger.Warn("a page was not sent", "error", err)
	}
}

package launch

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/signin"
)

// maxAsks bounds how often one request sends a browser to sign in.
const maxAsks = 8

// person finds who is there. Not ready: the browser was sent elsewhere, to sign in
// or back to the app.
func (s *Server) person(w http.ResponseWriter, r *http.Request, f *flow) (ready bool, err error) {
	p, err := s.o.Sessions.Current(r)
	if err != nil {
		return false, err
	}
	listed := p != nil && slices.Contains(f.app.Providers, p.Provider) || guard.Off(guard.LaunchProvider)
	demanded := f.anew() || f.request.MaxAge > 0
	old := p != nil && f.tooOld(p) && !guard.Off(guard.LaunchAge)
	switch {
	case p == nil || old || !listed && !f.fresh(p):
		if f.silent() {
			return false, s.end(w, r, f, "login_required", "nobody is signed in, or too long ago", "sign-in")
		}
		return false, s.ask(w, r, f, old || p == nil && demanded)
	case !listed, p.Organization != f.app.Organization && !guard.Off(guard.LaunchProvider):
		f.person = p
		return false, errBarred
	}
	f.person = p
	if f.chosen.Session != "" && f.chosen.Session != p.Session { // somebody else begins anew
		f.chosen = chosen{Browser: f.chosen.Browser, Asked: f.chosen.Asked}
	}
	f.chosen.Session = p.Session
	if f.silent() {
		return false, s.silence(w, r, f)
	}
	return true, nil
}

// ask sends the browser to sign in, a few times for one request and no more.
func (s *Server) ask(w http.ResponseWriter, r *http.Request, f *flow, again bool) error {
	if f.chosen.Asked++; f.chosen.Asked > maxAsks {
		return s.end(w, r, f, "login_required", "the person did not sign in as the app wants it", "sign-in")
	}
	if err := s.keep(r.Context(), f); err != nil {
		return err
	}
	s.o.Sessions.Ask(w, r, f.app.Providers, f.address(), again)
	return nil
}

// silence answers a request that no page may be shown for (prompt none): nothing
// is granted here without the person's saying so.
func (s *Server) silence(w http.ResponseWriter, r *http.Request, f *flow) error {
	roles := f.roles()
	switch {
	case len(roles) == 0:
		return s.end(w, r, f, "access_denied", "the person cannot use this app here", "barred")
	case len(roles) > 1, len(f.purposes()) > 1, f.needsPatient() && f.request.Launch == "":
		return s.end(w, r, f, "interaction_required", "a person has to choose", "prompt")
	}
	return s.end(w, r, f, "consent_required", "a person has to allow it", "prompt")
}

// silent: no page may be shown (OpenID Connect Core 3.1.2.1, prompt none).
func (f *flow) silent() bool { return slices.Contains(f.request.Prompt, "none") }

// anew says whether the request wants a sign-in of its own.
func (f *flow) anew() bool {
	return slices.Contains(f.request.Prompt, "login") || slices.Contains(f.request.Prompt, "select_account") || f.request.MaxAge == 0
}

// tooOld says whether the app wants a newer sign-in (prompt, max_age). Times are to
// the second, as providers tell them.
func (f *flow) tooOld(p *signin.Person) bool {
	created := f.request.Created.Truncate(time.Second)
	switch {
	case f.anew():
		return !f.again(p)
	case f.request.MaxAge > 0:
		return p.SignedIn.Before(created.Add(-f.request.MaxAge - f.slack(p)))
	}
	return false
}

// fresh says whether the session began, or began again, for this request.
func (f *flow) fresh(p *signin.Person) bool { return !p.Began.Before(f.request.Created) }

// slack is how far the clock of a provider may be behind this one: of a sign-in
// that was made here and now, what signin tolerates.
func (f *flow) slack(p *signin.Person) time.Duration {
	if f.fresh(p) {
		return auth.DefaultSkew
	}
	return 0
}

// again says whether the person proved anew, since the request came, who they are.
func (f *flow) again(p *signin.Person) bool {
	return f.fresh(p) && !p.SignedIn.Before(f.request.Created.Truncate(time.Second).Add(-auth.DefaultSkew))
}

// address is where the flow goes on.
func (f *flow) address() string { return AuthorizePath + "?id=" + url.QueryEscape(f.request.ID) }

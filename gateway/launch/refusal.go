package launch

import (
	"errors"
	"html/template"
	"net/http"

	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/oauth"
	"github.com/handoff-health/handoff/gateway/page"
)

// What ends a flow for the person. The pages tell nothing of why.
var (
	errForeign = errors.New("the request is over, or another browser's")
	errBarred  = errors.New("the person cannot use this app")
)

// end answers the request with an error for the app, and sends the browser there.
func (s *Server) end(w http.ResponseWriter, r *http.Request, f *flow, code, description, reason string) error {
	to, err := s.o.Requests.Refuse(r.Context(), f.request.ID, oauth.Refusal{Code: code, Description: description, Reason: reason, By: f.decision("")})
	if err != nil {
		return err
	}
	if f.silent() { // no page, not even one that leads on
		http.Redirect(w, r, to, http.StatusSeeOther)
		return nil
	}
	return page.Forward(w, to)
}

// contextFailed ends a request whose EHR launch cannot be used; other trouble may
// pass, and leaves it open.
func (s *Server) contextFailed(w http.ResponseWriter, r *http.Request, f *flow, err error) error {
	if !errors.Is(err, errContext) {
		return err
	}
	return s.end(w, r, f, "access_denied", "the launch cannot be used", "launch")
}

// barred ends the request of an app that the person cannot use, and tells the
// person, who may go back to the app.
func (s *Server) barred(w http.ResponseWriter, r *http.Request, f *flow, id string) error {
	if f.silent() {
		return s.end(w, r, f, "access_denied", "the person cannot use this app here", "barred")
	}
	to, err := s.o.Requests.Refuse(r.Context(), f.request.ID, oauth.Refusal{
		Code: "access_denied", Description: "the person cannot use this app here", Reason: "barred", By: f.decision(""),
	})
	if err != nil {
		return err
	}
	back, err := page.Address(to)
	if err != nil {
		return err
	}
	return pages.Write(w, http.StatusForbidden, "barred", page.View{Title: "You cannot use this app here", Data: struct {
		App, Organization, Person, RequestID string
		Back                                 template.URL
	}{appName(f.app), s.organization(f), f.person.Name, id, back}})
}

// failed records that a flow did not go on, and shows what the person can do. f is
// nil where none was found.
func (s *Server) failed(w http.ResponseWriter, r *http.Request, f *flow, err error) {
	e := &audit.Event{
		ID: s.o.NewID(), At: s.o.Now(), Interaction: "launch", Operation: r.Method, Path: r.URL.Path, Source: s.o.Source(r),
		Status: http.StatusServiceUnavailable, Reason: "unavailable", Outcome: audit.Serious,
	}
	if f != nil {
		e.Client, e.Organization = f.app.ID, f.app.Organization
	}
	if f != nil && f.person != nil {
		e.User, e.UserName = f.person.ID, f.person.Name
		if f.person.FHIRUser != "" {
			e.User = f.person.FHIRUser
		}
	}
	foreign := errors.Is(err, errForeign) || errors.Is(err, oauth.ErrNoRequest)
	switch {
	case foreign:
		e.Status, e.Reason, e.Outcome = http.StatusBadRequest, "request", audit.Minor
	case errors.Is(err, errBarred):
		e.Status, e.Reason, e.Outcome = http.StatusForbidden, "barred", audit.Minor
	}
	s.o.Logger.Warn("a launch did not go on", "path", r.URL.Path, "request", e.ID, "error", err)
	if failed := s.record(r.Context(), e); failed != nil {
		s.o.Logger.Error("a refusal cannot be recorded", "request", e.ID, "error", failed)
		s.wrote(page.Fail(w, e.ID))
		return
	}
	switch {
	case foreign:
		s.wrote(page.Show(w, http.StatusBadRequest, page.Message{
			Title: "This page is too old, or was opened in another browser",
			Text:  []string{"For your safety a request of an app counts in one browser, once, and for a few minutes.", "Go back to your app and start again."}, RequestID: e.ID,
		}))
	case e.Status == http.StatusForbidden:
		if err := s.barred(w, r, f, e.ID); err != nil {
			s.o.Logger.Warn("a launch could not be refused", "request", e.ID, "error", err)
			s.wrote(page.Fail(w, e.ID))
		}
	default:
		s.wrote(page.Fail(w, e.ID))
	}
}

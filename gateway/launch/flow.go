package launch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/oauth"
	"github.com/handoff-health/handoff/gateway/signin"
	"github.com/handoff-health/handoff/gateway/smart"
)

// Keys of facts.
const (
	flowKey    = "launch/flow/"    // + hash of the request's id
	contextKey = "launch/context/" // + hash of the handle
	roleKey    = "launch/role/"    // + session
)

// chosen is what a person chose so far. It is kept here, not in the browser.
type chosen struct {
	Browser  string   `json:"browser"`           // hash of its cookie
	Session  string   `json:"session,omitempty"` // of the person who chose; another's choices do not count
	Role     string   `json:"role,omitempty"`    // "system#code"
	Purposes []string `json:"purposes,omitempty"`
	Patient  string   `json:"patient,omitempty"` // "Patient/…"
	Name     string   `json:"name,omitempty"`    // of the patient, as the person may see it
	About    string   `json:"about,omitempty"`   // what tells the patient from others of the name
	// Encounter is "Encounter/…", Visit what it is in words, and Skipped says that
	// there is none.
	Encounter string         `json:"encounter,omitempty"`
	Visit     string         `json:"visit,omitempty"`
	Skipped   bool           `json:"skipped,omitempty"`
	Launched  bool           `json:"launched,omitempty"` // patient and encounter come from an EHR launch
	Context   map[string]any `json:"context,omitempty"`  // of the EHR launch
	Asked     int            `json:"asked,omitempty"`    // how often the browser was sent to sign in
}

// take puts a patient in context; what was chosen of another is over.
func (c *chosen) take(p *found) {
	c.Patient, c.Name, c.About, c.Encounter, c.Visit, c.Skipped = p.Reference, p.Text, p.More, "", "", false
}

// A flow is one request of an app on its way to a decision, with what is known of
// it at this step.
type flow struct {
	request *oauth.Request
	app     *auth.Client
	chosen  chosen
	version int64
	person  *signin.Person
}

// flow finds the request and ties it to the browser that shows it first.
func (s *Server) flow(w http.ResponseWriter, r *http.Request, id string) (*flow, error) {
	ctx := r.Context()
	q, err := s.o.Requests.Request(ctx, id)
	if err != nil {
		return nil, err
	}
	if !s.o.Now().Before(q.Created.Add(flowLife)) {
		return nil, errForeign
	}
	app, err := s.o.Registry.Client(ctx, q.Client)
	if auth.NoClient(err) {
		return nil, errForeign
	}
	if err != nil {
		return nil, err
	}
	f := &flow{request: q, app: app}
	fact, err := s.o.Facts.Get(ctx, flowKey+signin.HashHandle(id))
	switch {
	case errors.Is(err, store.ErrNotFound) && r.Method == http.MethodGet:
		f.chosen.Browser = signin.HashHandle(s.browser(w, r))
		raw, err := json.Marshal(f.chosen)
		if err != nil {
			return nil, err
		}
		fact, err = s.o.Facts.PutIfAbsent(ctx, flowKey+signin.HashHandle(id), raw, q.Created.Add(flowLife))
		if errors.Is(err, store.ErrExists) { // another browser was first
			return nil, errForeign
		}
		f.version = fact.Version
		return f, err
	case errors.Is(err, store.ErrNotFound):
		return nil, errForeign
	case err != nil:
		return nil, err
	}
	if err := json.Unmarshal(fact.Value, &f.chosen); err != nil {
		return nil, fmt.Errorf("flow: %w", err)
	}
	f.version = fact.Version
	if b := s.cookie(r); (b == "" || signin.HashHandle(b) != f.chosen.Browser) && !guard.Off(guard.LaunchBrowser) {
		return nil, errForeign
	}
	return f, nil
}

// keep stores what was chosen; of two pages that choose at once one counts.
func (s *Server) keep(ctx context.Context, f *flow) error {
	raw, err := json.Marshal(f.chosen)
	if err != nil {
		return err
	}
	fact, err := s.o.Facts.CompareAndSet(ctx, flowKey+signin.HashHandle(f.request.ID), f.version, raw, f.request.Created.Add(flowLife))
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
		return errForeign
	}
	f.version = fact.Version
	return err
}

// next shows the page that comes next.
func (s *Server) next(w http.ResponseWriter, r *http.Request, f *flow) error {
	roles, purposes := f.roles(), f.purposes()
	if len(roles) == 0 {
		return errBarred
	}
	if f.chosen.Role == "" {
		if len(roles) > 1 || len(purposes) > 1 {
			return s.showRole(w, r, f, http.StatusOK, nil)
		}
		f.chosen.Role, f.chosen.Purposes = roles[0].Value, []string{purposes[0].Value}
		if done, err := s.roleChanged(w, r, f); done || err != nil {
			return err
		}
		if err := s.keep(r.Context(), f); err != nil {
			return err
		}
	}
	if f.request.Launch != "" && !f.chosen.Launched {
		if err := s.takeContext(r, f); err != nil {
			return s.contextFailed(w, r, f, err)
		}
	}
	switch {
	case f.needsPatient() && f.chosen.Patient == "":
		return s.showPatient(w, r, f, http.StatusOK, search{}, nil, nil)
	case f.asks(smart.ScopeLaunchEncounter) && f.chosen.Patient != "" && f.chosen.Encounter == "" && !f.chosen.Skipped && !f.chosen.Launched:
		return s.showEncounter(w, r, f, http.StatusOK, nil)
	}
	return s.showDecision(w, r, f, http.StatusOK, nil)
}

// asks says whether the app asks for a scope.
func (f *flow) asks(scope string) bool {
	return slices.Contains(strings.Fields(f.request.Scope), scope)
}

// needsPatient: patient/ scopes and launch/patient are about one.
func (f *flow) needsPatient() bool {
	return f.asks(smart.ScopeLaunchPatient) || slices.ContainsFunc(strings.Fields(f.request.Scope), func(s string) bool { return strings.HasPrefix(s, "patient/") })
}

// said is who the person is, in the role and for the purposes that they chose.
func (f *flow) said() auth.Asserted {
	return auth.Asserted{
		UserID: f.person.ID, UserName: f.person.Name, Role: f.chosen.Role, Organization: f.app.Organization,
		Purposes: f.chosen.Purposes, Methods: f.person.Methods,
	}
}

// again sends the browser to the page that comes next.
func again(w http.ResponseWriter, r *http.Request, f *flow) {
	http.Redirect(w, r, f.address(), http.StatusSeeOther)
}

// cookieName is that of the cookie that ties a request to a browser.
func (s *Server) cookieName() string {
	if s.secure {
		return "__Host-handoff-launch"
	}
	return "handoff-launch"
}

// cookie returns the browser's handle. Of two with one name neither is believed.
func (s *Server) cookie(r *http.Request) string {
	list := r.CookiesNamed(s.cookieName())
	if len(list) != 1 || len(list[0].Value) != signin.HandleBytes {
		return ""
	}
	return list[0].Value
}

// browser returns the browser's handle, a new one if it has none.
func (s *Server) browser(w http.ResponseWriter, r *http.Request) string {
	if h := s.cookie(r); h != "" {
		return h
	}
	h := signin.NewHandle()
	http.SetCookie(w, &http.Cookie{Name: s.cookieName(), Value: h, Path: "/", HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode, MaxAge: int(12 * time.Hour / time.Second)})
	return h
}

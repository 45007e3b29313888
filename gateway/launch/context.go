package launch

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/signin"
	"github.com/handoff-health/handoff/gateway/smart"
)

// ContextLife is how long a registered launch may wait for its app.
const ContextLife = 5 * time.Minute

const (
	maxContext     = 16 << 10 // bytes of a registration
	maxFHIRContext = 16       // entries
	maxText        = 255      // bytes of a string
)

// errContext says that an EHR launch cannot be used: it never was, is over, or is
// not for this app, this person or this patient.
var errContext = errors.New("the launch cannot be used")

// registered is the context of an EHR launch.
type registered struct {
	Client string `json:"client"`
	By     string `json:"by"` // who registered it
	// Generation of By in which it was registered; "" of an older release.
	Generation string         `json:"generation,omitempty"`
	Patient    string         `json:"patient,omitempty"`
	Encounter  string         `json:"encounter,omitempty"`
	Subject    string         `json:"subject,omitempty"` // for whom it was opened
	Context    map[string]any `json:"context,omitempty"`
	UsedBy     string         `json:"usedBy,omitempty"` // hash of the id of the request that used it up
	Expires    time.Time      `json:"expires"`
}

// register takes the context of an EHR launch from a connected system, and gives
// it the handle with which to open the app.
func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	e := &audit.Event{ID: s.o.NewID(), At: s.o.Now(), Interaction: "launch", Operation: r.Method, Path: Path, Source: s.o.Source(r), Status: http.StatusCreated}
	c, app, err := s.registration(r, e)
	var h string
	if err == nil {
		h = signin.NewHandle()
		raw, _ := json.Marshal(c) // strings and JSON: cannot fail
		_, err = s.o.Facts.PutIfAbsent(r.Context(), contextKey+signin.HashHandle(h), raw, c.Expires)
	}
	refusal := auth.AsRefusal(err)
	if err != nil {
		e.Status, e.Reason, e.Outcome = refusal.Status, refusal.Reason, audit.Minor
		if refusal.Status >= http.StatusInternalServerError {
			e.Outcome = audit.Serious
		}
	}
	e.Duration = s.o.Now().Sub(e.At)
	if failed := s.record(r.Context(), e); failed != nil {
		refusal, err = auth.AsRefusal(failed), failed
	}
	if err != nil {
		refuse(w, refusal)
		return
	}
	out := map[string]any{"launch": h, "expires_in": int(ContextLife / time.Second)}
	if app.LaunchURL != "" {
		if u, err := url.Parse(app.LaunchURL); err == nil {
			q := u.Query()
			q.Set("iss", s.o.Base)
			q.Set("launch", h)
			u.RawQuery = q.Encode()
			out["launch_url"] = u.String()
		}
	}
	auth.WriteJSON(w, http.StatusCreated, out)
}

// refuse answers a registration that is not taken. RFC 6750 gives no code to a
// request without a token; the body says what is missing all the same.
func refuse(w http.ResponseWriter, f *auth.Refusal) {
	switch f.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		_, challenge := auth.Challenge("handoff", f)
		w.Header().Set("WWW-Authenticate", challenge)
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	}
	body := map[string]string{"error": f.Code}
	if f.Code == "" {
		body["error"] = "invalid_token"
	}
	if f.Description != "" {
		body["error_description"] = f.Description
	}
	auth.WriteJSON(w, f.Status, body)
}

// registration reads and judges one.
func (s *Server) registration(r *http.Request, e *audit.Event) (*registered, *auth.Client, error) {
	if r.Method != http.MethodPost {
		return nil, nil, &auth.Refusal{Status: http.StatusMethodNotAllowed, Code: "invalid_request", Description: "POST only", Reason: "method"}
	}
	r, p, generation, err := s.registrar(r)
	if err != nil {
		return nil, nil, err
	}
	e.Client, e.Organization, e.TokenID, e.User, e.Purposes = p.Client, p.Requester.Organization, p.TokenID, p.User.ID, p.Purposes
	// A person's app must not open another for somebody else.
	if (p.ForPerson() || !p.MayUse(smart.ScopeRegisterLaunch)) && !guard.Off(guard.LaunchScope) {
		return nil, nil, &auth.Refusal{Status: http.StatusForbidden, Code: "insufficient_scope", Description: "a launch is registered by a backend service, with the scope " + smart.ScopeRegisterLaunch, Reason: "scope"}
	}
	c, err := readContext(r)
	if err != nil {
		return nil, nil, &auth.Refusal{Status: http.StatusBadRequest, Code: "invalid_request", Description: err.Error(), Reason: "body", Err: err}
	}
	c.By, c.Generation, c.Expires = p.Client, generation, s.o.Now().Add(ContextLife)
	e.Query = url.Values{"client": {c.Client}, "encounter": {c.Encounter}}.Encode()
	if c.Patient != "" {
		e.Patients = []string{c.Patient}
	}
	unusable := &auth.Refusal{Status: http.StatusBadRequest, Code: "invalid_request", Description: "client_id, patient or encounter cannot be used in a launch", Reason: "context"}
	app, err := s.o.Registry.Client(r.Context(), c.Client)
	if err != nil && !auth.NoClient(err) {
		return nil, nil, err
	}
	if err != nil || !app.May(auth.GrantAuthorizationCode) || !slices.Contains(app.ContextScopes, smart.ScopeLaunch) || app.Organization != p.Requester.Organization {
		return nil, nil, unusable
	}
	switch known, err := s.known(r, p, c); {
	case err != nil:
		return nil, nil, err
	case !known:
		return nil, nil, unusable
	}
	return c, app, nil
}

// registrar says who registers a launch, with the context of its request, and in which
// generation. The token is judged again after that was read: what ends the client
// meanwhile ends what it registers.
func (s *Server) registrar(r *http.Request) (*http.Request, *auth.Principal, string, error) {
	bearer, err := auth.BearerFromRequest(r)
	if err != nil {
		return r, nil, "", err
	}
	judge := func() (context.Context, *auth.Principal, error) {
		ctx, err := s.o.Pin(r.Context())
		if err != nil {
			return ctx, nil, err
		}
		p, err := s.o.Verifier.Verify(ctx, bearer)
		return ctx, p, err
	}
	_, p, err := judge()
	if err != nil {
		return r, nil, "", err
	}
	generation, err := auth.ReadGeneration(r.Context(), s.o.Facts, p.Client, "")
	if err != nil {
		return r, nil, "", err
	}
	ctx, p, err := judge()
	return r.WithContext(ctx), p, generation, err
}

// known says whether who registers a launch may see its patient and its encounter,
// which must be that patient's.
func (s *Server) known(r *http.Request, p *auth.Principal, c *registered) (bool, error) {
	if c.Patient == "" {
		return true, nil
	}
	status, _ := s.o.Records.Ask(r.Context(), p, "/"+c.Patient, r)
	if status != http.StatusOK || c.Encounter == "" {
		return status == http.StatusOK, unavailable(status)
	}
	status, body := s.o.Records.Ask(r.Context(), p, ofPatient(strings.TrimPrefix(c.Encounter, "Encounter/"), c.Patient), r)
	if status != http.StatusOK {
		return false, unavailable(status)
	}
	doc, err := resource.ParseDocument(body)
	if err != nil {
		return false, err
	}
	for n := range matches(doc, "Encounter") {
		if "Encounter/"+n.Get("id").Text() == c.Encounter {
			return true, nil
		}
	}
	return false, nil
}

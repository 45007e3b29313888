package launch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/guard"
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
	Client    string         `json:"client"`
	By        string         `json:"by"` // who registered it
	Patient   string         `json:"patient,omitempty"`
	Encounter string         `json:"encounter,omitempty"`
	Subject   string         `json:"subject,omitempty"` // for whom it was opened
	Context   map[string]any `json:"context,omitempty"`
	Used      bool           `json:"used,omitempty"`
	Expires   time.Time      `json:"expires"`
}

// register takes the context of an EHR launch from a connected system, and gives
// it the handle with which to open the app.
func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	e := &audit.Event{ID: s.o.NewID(), At: s.o.Now(), Interaction: "launch", Operation: r.Method, Path: Path, Source: s.o.Source(r), Status: http.StatusCreated}
	c, app, err := s.registration(r, e)
	var h string
	if err == nil {
		h = handle()
		raw, _ := json.Marshal(c) // strings and JSON: cannot fail
		_, err = s.o.Facts.PutIfAbsent(r.Context(), contextKey+hashed(h), raw, c.Expires)
	}
	refusal := auth.AsRefusal(err)
	if err != nil {
		e.Status, e.Reason, e.Outcome = refusal.Status, refusal.Reason, audit.Minor
	}
	e.Duration = s.o.Now().Sub(e.At)
	if failed := s.record(r.Context(), e); failed != nil {
		refusal, err = auth.AsRefusal(failed), failed
	}
	if err != nil {
		if refusal.Status == http.StatusUnauthorized || refusal.Status == http.StatusForbidden {
			_, challenge := auth.Challenge("handoff", refusal)
			w.Header().Set("WWW-Authenticate", challenge)
		}
		answer(w, refusal.Status, map[string]any{"error": refusal.Code, "error_description": refusal.Description})
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
	answer(w, http.StatusCreated, out)
}

// registration reads and judges one.
func (s *Server) registration(r *http.Request, e *audit.Event) (*registered, *auth.Client, error) {
	if r.Method != http.MethodPost {
		return nil, nil, &auth.Refusal{Status: http.StatusMethodNotAllowed, Code: "invalid_request", Description: "POST only", Reason: "method"}
	}
	bearer, err := auth.BearerFromRequest(r)
	if err != nil {
		return nil, nil, err
	}
	p, err := s.o.Verifier.Verify(r.Context(), bearer)
	if err != nil {
		return nil, nil, err
	}
	e.Client, e.Organization, e.TokenID, e.User, e.Purposes = p.Client, p.Requester.Organization, p.TokenID, p.User.ID, p.Purposes
	if !p.MayUse(smart.ScopeRegisterLaunch) && !guard.Off(guard.LaunchScope) {
		return nil, nil, &auth.Refusal{Status: http.StatusForbidden, Code: "insufficient_scope", Description: "the token does not hold " + smart.ScopeRegisterLaunch, Reason: "scope"}
	}
	c, err := readContext(r)
	if err != nil {
		return nil, nil, &auth.Refusal{Status: http.StatusBadRequest, Code: "invalid_request", Description: err.Error(), Reason: "body", Err: err}
	}
	c.By, c.Expires = p.Client, s.o.Now().Add(ContextLife)
	e.Query = url.Values{"client": {c.Client}, "encounter": {c.Encounter}}.Encode()
	if c.Patient != "" {
		e.Patients = []string{c.Patient}
	}
	unusable := &auth.Refusal{Status: http.StatusBadRequest, Code: "invalid_request", Description: "client_id, patient or encounter cannot be used in a launch", Reason: "context"}
	app, err := s.o.Registry.Client(r.Context(), c.Client)
	if err != nil || !app.May(auth.GrantAuthorizationCode) || app.Organization != p.Requester.Organization {
		return nil, nil, unusable
	}
	for _, ref := range []string{c.Patient, c.Encounter} {
		if ref == "" {
			continue
		}
		status, _ := s.o.Records.Ask(r.Context(), p, "/"+ref, r)
		if err := unavailable(status); err != nil {
			return nil, nil, err
		}
		if status != http.StatusOK {
			return nil, nil, unusable
		}
	}
	return c, app, nil
}

// readContext reads the body strictly: what is not understood cannot be kept to.
func readContext(r *http.Request) (*registered, error) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return nil, errors.New("Content-Type must be application/json") //nolint:staticcheck // a header's name
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxContext+1))
	if err != nil || len(raw) > maxContext {
		return nil, fmt.Errorf("the body cannot be read, or is larger than %d bytes", maxContext)
	}
	return parseContext(raw)
}

func parseContext(raw []byte) (*registered, error) {
	doc, err := resource.ParseDocument(raw)
	if err != nil || doc.Root().Kind() != resource.Object {
		return nil, errors.New("the body is not a JSON object, each of whose names stands once")
	}
	c := &registered{}
	for m := range doc.Root().Members() {
		var err error
		switch name := m.Name(); name {
		case "client_id":
			c.Client, err = textOf(m)
		case "patient":
			c.Patient, err = referenceOf(m, "Patient")
		case "encounter":
			c.Encounter, err = referenceOf(m, "Encounter")
		case "subject":
			c.Subject, err = textOf(m)
		case "intent", "tenant":
			var v string
			if v, err = textOf(m); err == nil {
				c.put(name, v)
			}
		case "need_patient_banner":
			v, ok := m.Bool()
			if !ok {
				err = errors.New("need_patient_banner is not true or false")
			}
			c.put(name, v)
		case "fhirContext":
			err = c.fhirContext(m)
		default:
			err = fmt.Errorf("%.40q is not a member of a launch", name)
		}
		if err != nil {
			return nil, err
		}
	}
	switch {
	case c.Client == "":
		return nil, errors.New("client_id is missing")
	case c.Encounter != "" && c.Patient == "":
		return nil, errors.New("an encounter comes with its patient")
	}
	return c, nil
}

func (c *registered) put(name string, v any) {
	if c.Context == nil {
		c.Context = map[string]any{}
	}
	c.Context[name] = v
}

// fhirContext: each entry refers to something; a Patient or an Encounter only in a
// role other than launch (SMART 2.2, fhirContext).
func (c *registered) fhirContext(n resource.Node) error {
	if n.Kind() != resource.Array || n.Len() > maxFHIRContext {
		return fmt.Errorf("fhirContext is not an array of at most %d objects", maxFHIRContext)
	}
	for e := range n.Elements() {
		typ, _, _, _ := resource.SplitReference(e.Get("reference").Text())
		role := e.Get("role").Text()
		switch {
		case e.Kind() != resource.Object || !e.Get("reference").Exists() && !e.Get("canonical").Exists() && !e.Get("identifier").Exists():
			return errors.New("an entry of fhirContext has no reference, canonical or identifier")
		case (typ == "Patient" || typ == "Encounter") && (role == "" || role == "launch"):
			return errors.New("a Patient or an Encounter in fhirContext needs a role other than launch")
		}
	}
	c.put("fhirContext", json.RawMessage(n.Raw()))
	return nil
}

func textOf(n resource.Node) (string, error) {
	t := n.Text()
	if n.Kind() != resource.String || t == "" || len(t) > maxText {
		return "", fmt.Errorf("%s is not a text of 1 to %d bytes", n.Name(), maxText)
	}
	return t, nil
}

func referenceOf(n resource.Node, typ string) (string, error) {
	t, err := textOf(n)
	if err != nil {
		return "", err
	}
	if rest, ok := cutType(t, typ); ok {
		t = rest
	}
	if !idForm.MatchString(t) {
		return "", fmt.Errorf("%s is neither an id nor %s/ and one", n.Name(), typ)
	}
	return typ + "/" + t, nil
}

func cutType(ref, typ string) (string, bool) {
	if len(ref) > len(typ) && ref[:len(typ)+1] == typ+"/" {
		return ref[len(typ)+1:], true
	}
	return ref, false
}

// takeContext uses the launch up and puts what it holds into the flow, if the
// person who signed in may see the patient: to whom it was opened elsewhere opens
// nothing here.
func (s *Server) takeContext(r *http.Request, f *flow) error {
	ctx, key := r.Context(), contextKey+hashed(f.request.Launch)
	fact, err := s.o.Facts.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return errContext
	}
	if err != nil {
		return err
	}
	var c registered
	if err := json.Unmarshal(fact.Value, &c); err != nil {
		return fmt.Errorf("launch: %w", err)
	}
	who := c.Subject == "" || c.Subject == f.person.ID || c.Subject == f.person.FHIRUser || c.Subject == f.person.Subject
	if (c.Used && !guard.Off(guard.LaunchOnce)) || (c.Client != f.app.ID && !guard.Off(guard.LaunchClient)) ||
		(!who && !guard.Off(guard.LaunchSubject)) || !s.o.Now().Before(c.Expires) {
		return errContext
	}
	c.Used = true
	raw, _ := json.Marshal(c) // strings and JSON: cannot fail
	if _, err := s.o.Facts.CompareAndSet(ctx, key, fact.Version, raw, c.Expires.Add(time.Minute)); err != nil {
		if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
			return errContext
		}
		return err
	}
	f.chosen.Launched, f.chosen.Context = true, c.Context
	if c.Patient != "" {
		seen, err := s.patient(ctx, r, f, c.Patient)
		if err != nil {
			return err
		}
		if seen == nil && !guard.Off(guard.LaunchPatient) {
			return errContext
		}
		f.chosen.Patient, f.chosen.Encounter = c.Patient, c.Encounter
		if seen != nil {
			f.chosen.Name = seen.Text
		}
	}
	return s.keep(ctx, f)
}

func answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

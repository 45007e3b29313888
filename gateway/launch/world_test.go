package launch

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/oauth"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/signin"
	"github.com/handoff-health/handoff/gateway/smart"
)

const (
	origin    = "https://gw.example"
	back      = "https://app.example/cb"
	actorRole = "https://handoff-health.github.io/fhir/CodeSystem/actor-role"
	clinician = actorRole + "#treating-clinician"
	manager   = actorRole + "#case-manager"
	treat     = "http://terminology.hl7.org/CodeSystem/v3-ActReason#TREAT"
)

// A world is a Server among parts that a test plays: who is signed in, which
// requests wait, what may be seen.
type world struct {
	t       *testing.T
	server  *Server
	mux     *http.ServeMux
	facts   backend.Backend
	mu      sync.Mutex
	at      time.Time
	person  *signin.Person
	asked   []bool // again, of each sign-in that was asked for
	waiting map[string]*oauth.Request
	granted map[string]oauth.Decision
	refused map[string]oauth.Refusal
	seen    map[string]string // id by reference: an Encounter's value is its patient
	down    bool              // the records cannot be asked
	events  []audit.Event
	bearer  map[string]*auth.Principal
}

func (w *world) Request(_ context.Context, id string) (*oauth.Request, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if q := w.waiting[id]; q != nil {
		return q, nil
	}
	return nil, oauth.ErrNoRequest
}

func (w *world) answer(id string) error {
	if w.waiting[id] == nil {
		return oauth.ErrNoRequest
	}
	delete(w.waiting, id)
	return nil
}

func (w *world) Approve(_ context.Context, id string, d oauth.Decision) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.answer(id); err != nil {
		return "", err
	}
	w.granted[id] = d
	return back + "?code=c", nil
}

func (w *world) Refuse(_ context.Context, id string, r oauth.Refusal) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.answer(id); err != nil {
		return "", err
	}
	w.refused[id] = r
	return back + "?error=" + r.Code, nil
}

func (w *world) Current(*http.Request) (*signin.Person, error) { return w.person, nil }

func (w *world) Ask(rw http.ResponseWriter, r *http.Request, _ []string, _ string, again bool) {
	w.asked = append(w.asked, again)
	http.Redirect(rw, r, "/oauth/signin", http.StatusSeeOther)
}

func (w *world) End(http.ResponseWriter, *http.Request) (*signin.Person, error) { return nil, nil }
func (w *world) Check(r *http.Request) bool                                     { return r.PostFormValue(signin.Field) == "good" }
func (w *world) Token(http.ResponseWriter, *http.Request) string                { return "good" }

func (w *world) Record(_ context.Context, e *audit.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, *e)
	return nil
}

func (w *world) Verify(_ context.Context, bearer string) (*auth.Principal, error) {
	if p := w.bearer[bearer]; p != nil {
		return p, nil
	}
	return nil, errors.New("no such token")
}

// records answers reads of a Patient, searches for Patients, and searches for the
// Encounters of one.
type records struct{ w *world }

func (r records) Ask(_ context.Context, _ *auth.Principal, target string, _ *http.Request) (int, []byte) {
	w := r.w
	if w.down {
		return http.StatusServiceUnavailable, nil
	}
	u, err := url.Parse(target)
	if err != nil {
		w.t.Fatal(err)
	}
	patient := func(ref string) string {
		return fmt.Sprintf(`{"resourceType":"Patient","id":%q,"name":[{"family":"Sample","given":["Ada"]}],"birthDate":"1980-03-17"}`, strings.TrimPrefix(ref, "Patient/"))
	}
	q := u.Query()
	var found []string
	switch {
	case strings.HasPrefix(u.Path, "/Patient/"):
		ref := strings.TrimPrefix(u.Path, "/")
		if _, ok := w.seen[ref]; !ok {
			return http.StatusNotFound, nil
		}
		return http.StatusOK, []byte(patient(ref))
	case u.Path == "/Patient":
		for ref := range w.seen {
			if strings.HasPrefix(ref, "Patient/") && q.Get("family") == "Sample" {
				found = append(found, patient(ref))
			}
		}
	case u.Path == "/Encounter":
		for ref, of := range w.seen {
			id, ok := strings.CutPrefix(ref, "Encounter/")
			if ok && of == q.Get("patient") && (q.Get("_id") == "" || q.Get("_id") == id) {
				found = append(found, fmt.Sprintf(`{"resourceType":"Encounter","id":%q,"status":"finished"}`, id))
			}
		}
	}
	if len(found) == 0 {
		return http.StatusOK, []byte(`{"resourceType":"Bundle"}`)
	}
	return http.StatusOK, []byte(`{"resourceType":"Bundle","entry":[{"resource":` + strings.Join(found, `},{"resource":`) + `}]}`)
}

func (w *world) now() time.Time { return w.at }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, at: time.Date(2026, 4, 1, 10, 0, 0, 5e8, time.UTC), waiting: map[string]*oauth.Request{}, granted: map[string]oauth.Decision{},
		refused: map[string]oauth.Refusal{}, seen: map[string]string{"Patient/ada": "", "Encounter/visit": "Patient/ada", "Encounter/other": "Patient/ben"},
	}
	var err error
	w.facts = backendtest.Open(t, backend.Options{Now: w.now})
	app := func(id string, roles ...string) auth.Client {
		c := auth.Client{
			ID: id, Name: "App " + id, Grants: []string{auth.GrantAuthorizationCode, auth.GrantRefreshToken}, RedirectURIs: []string{back}, Public: true,
			LaunchURL: "https://app.example/launch?x=1", Scopes: smart.ParseGranted("patient/*.rs user/*.rs"), ContextScopes: smart.ContextScopes(),
			Organization: "Organization/clinic", OrganizationKind: auth.Health, Providers: []string{"idp"},
			Purposes: []string{strings.Replace(treat, "#", "|", 1)},
		}
		for _, r := range roles {
			c.Roles = append(c.Roles, label.Code{System: actorRole, Code: r})
		}
		return c
	}
	elsewhere := app("elsewhere", "treating-clinician")
	elsewhere.Organization, elsewhere.Providers = "Organization/other", []string{"other-idp"}
	registry, err := auth.NewRegistry([]auth.Client{app("app", "treating-clinician"), app("two", "treating-clinician", "case-manager"), elsewhere}, nil, w.now)
	if err != nil {
		t.Fatal(err)
	}
	w.person = w.somebody("s1")
	ehr := &auth.Principal{Client: "ehr", Requester: policy.Requester{Organization: "Organization/clinic"}, Operations: []string{smart.ScopeRegisterLaunch}}
	plain, persons := *ehr, *ehr
	plain.Operations, persons.Authorization = nil, "a"
	w.bearer = map[string]*auth.Principal{"ehr": ehr, "plain": &plain, "person": &persons}
	w.server, err = New(Options{
		Origin: origin, Base: origin + "/fhir", Registry: registry, Verifier: w, Facts: w.facts, Requests: w, Sessions: w, Records: records{w}, Audit: w,
		Organization: func(string) string { return "Clinic" }, NewID: rand.Text, Now: w.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.mux = http.NewServeMux()
	for path, h := range w.server.Handlers() {
		w.mux.Handle(path, h)
	}
	return w
}

// somebody is a person who signed in a minute ago.
func (w *world) somebody(session string) *signin.Person {
	return &signin.Person{
		Session: session, Provider: "idp", Subject: "sub-" + session, Organization: "Organization/clinic", ID: "urn:x#" + session, Name: "Jo Marsh",
		Roles: []label.Code{{System: actorRole, Code: "treating-clinician"}}, MFA: true, SignedIn: w.at.Add(-time.Minute), Began: w.at.Add(-time.Minute),
	}
}

// request lets an app ask.
func (w *world) request(client, scope string, change ...func(*oauth.Request)) string {
	q := &oauth.Request{ID: rand.Text(), Client: client, RedirectURI: back, Scope: scope, Created: w.at, MaxAge: -1}
	for _, c := range change {
		c(q)
	}
	w.waiting[q.ID] = q
	return q.ID
}

// A browser keeps cookies.
type browser struct {
	w       *world
	cookies []*http.Cookie
}

func (b *browser) do(r *http.Request) *httptest.ResponseRecorder {
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	rec := httptest.NewRecorder()
	b.w.mux.ServeHTTP(rec, r)
	b.cookies = append(b.cookies, rec.Result().Cookies()...)
	return rec
}

func (b *browser) open(id string) *httptest.ResponseRecorder {
	return b.do(httptest.NewRequest(http.MethodGet, origin+AuthorizePath+"?id="+id, nil))
}

// post sends a form of the flow; pairs of name and value.
func (b *browser) post(path, id string, pairs ...string) *httptest.ResponseRecorder {
	v := url.Values{"id": {id}, signin.Field: {"good"}}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, origin+path, strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r)
}

// register registers an EHR launch.
func (w *world) register(bearer, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, origin+Path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+bearer)
	rec := httptest.NewRecorder()
	w.mux.ServeHTTP(rec, r)
	return rec
}

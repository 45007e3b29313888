package registration_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/fhir/store/epoch"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/limit"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/registration"
	"github.com/handoff-health/handoff/gateway/smart"
)

const county = `site: {key: 0123456789abcdef0123456789abcdef}
organizations:
  - {id: clinic, name: Clinic, kind: health}
  - {id: harbor, name: Harbor, kind: health}
  - {id: pd, name: Police, kind: police}
signIn:
  providers:
    - {id: clinic-idp, issuer: "https://idp.example", clientId: gw, clientSecret: s, organization: clinic, roles: {doctor: treating-clinician}}
    - {id: cars, issuer: "https://cars.example", clientId: gw, clientSecret: s, organization: pd, exempt: true, roles: {officer: law-enforcement-officer}}
clients:
  - {id: desk, organization: clinic, roles: [treating-clinician], purposes: [TREAT], scopes: "system/*.rs https://handoff-health.github.io/fhir/scope/explain-access https://handoff-health.github.io/fhir/scope/manage-clients", jwksUrl: "https://desk.example/jwks"}
  - {id: gone, organization: clinic, roles: [treating-clinician], purposes: [TREAT], scopes: "system/*.rs", jwksUrl: "https://gone.example/jwks", disabled: true}
  - {id: rms, organization: pd, roles: [law-enforcement-officer], purposes: [CRISIS], scopes: "system/*.rs https://handoff-health.github.io/fhir/scope/manage-clients", jwksUrl: "https://rms.example/jwks"}
  - {id: other, organization: harbor, roles: [treating-clinician], purposes: [TREAT], scopes: "system/*.rs", jwksUrl: "https://other.example/jwks"}
agreements:
  - {id: moa, from: pd, to: clinic, ends: 2030-01-01, purposes: [TREAT]}
`

// A trail keeps events.
type trail struct {
	mu     sync.Mutex
	events []audit.Event
	fail   error
}

func (t *trail) Record(_ context.Context, e *audit.Event) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, *e)
	return t.fail
}

// A verifier believes the name of a principal.
type verifier map[string]*auth.Principal

func (v verifier) Verify(_ context.Context, bearer string) (*auth.Principal, error) {
	if p := v[bearer]; p != nil {
		return p, nil
	}
	return nil, &auth.Refusal{Status: http.StatusUnauthorized, Code: "invalid_token", Reason: "unknown"}
}

// A node is one gateway; several share a store file.
type node struct {
	t        testing.TB
	config   *config.Config
	cache    *epoch.Cache
	store    *registration.Store
	registry *auth.Registry
	limits   *limit.Limits
	trail    *trail
	managers verifier
	server   *registration.Server
	now      func() time.Time
}

func manager(organization string, change func(*auth.Principal)) *auth.Principal {
	p := &auth.Principal{
		TokenID: "t", Client: "desk", Requester: policy.Requester{Client: "desk", Organization: organization},
		Operations: []string{smart.ScopeManageClients}, User: auth.User{ID: "urn:x#ortiz", Name: "Ana Ortiz", MFA: true},
	}
	if change != nil {
		change(p)
	}
	return p
}

func newNode(t testing.TB, path string, now func() time.Time) *node {
	t.Helper()
	if now == nil {
		now = time.Now
	}
	if path == "" {
		path = backendtest.Address(t)
	}
	db := backendtest.At(t, path, backend.Options{Now: now})
	n := &node{t: t, cache: epoch.New(db, 0, now), trail: &trail{}, now: now}
	var err error
	if n.config, err = config.ParseWith("county.yaml", []byte(county), config.Checks{Client: registration.Faults}); err != nil {
		t.Fatal(err)
	}
	clients, err := registration.Configured(n.config)
	if err != nil {
		t.Fatal(err)
	}
	n.store = registration.NewStore(n.cache, n.config, now, nil)
	if n.registry, err = auth.FollowingRegistry(clients, n.store, auth.NewHTTPFetcher(), now); err != nil {
		t.Fatal(err)
	}
	if n.limits, err = limit.New(limit.Options{Requests: -1, Users: -1, Tokens: -1, Failures: 5, Window: time.Minute, Facts: db, Now: now}); err != nil {
		t.Fatal(err)
	}
	n.managers = verifier{
		"clinic": manager("Organization/clinic", nil),
		"harbor": manager("Organization/harbor", nil),
		"pd":     manager("Organization/pd", func(p *auth.Principal) { p.Police, p.Requester.Police = true, true }),
		"both":   manager("Organization/clinic", func(p *auth.Principal) { p.Manages = []string{"Organization/harbor"} }),
		"pd-both": manager("Organization/pd", func(p *auth.Principal) {
			p.Police, p.Manages = true, []string{"Organization/clinic"}
		}),
		"service":    manager("Organization/clinic", func(p *auth.Principal) { p.User = auth.User{} }),
		"one-factor": manager("Organization/clinic", func(p *auth.Principal) { p.User.MFA = false }),
		"no-scope":   manager("Organization/clinic", func(p *auth.Principal) { p.Operations = []string{smart.ScopeExplainAccess} }),
	}
	n.server, err = registration.New(registration.Options{
		Origin: "https://gw.example", Config: n.config, Store: n.store, Registry: n.registry, Verifier: n.managers, Limits: n.limits, Audit: n.trail,
		World: &registration.World{Config: n.config, Served: []string{"Patient", "Observation", "Consent", "Task"}}, NewID: rand.Text, Pin: n.cache.Pin, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// An answer with its body read.
type answer struct {
	Code   int
	Header http.Header
	Text   string
	Body   map[string]any
}

func (a answer) str(name string) string { s, _ := a.Body[name].(string); return s }

// do asks as a manager; headers are name, value and so on.
func (n *node) do(who, method, path, body string, headers ...string) answer {
	n.t.Helper()
	r := httptest.NewRequest(method, "https://gw.example"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if who != "" {
		r.Header.Set("Authorization", "Bearer "+who)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	n.server.ServeHTTP(w, r)
	a := answer{Code: w.Code, Header: w.Header(), Text: w.Body.String()}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &a.Body); err != nil {
			n.t.Fatalf("%s %s: %v in %s", method, path, err, a.Text)
		}
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		n.t.Errorf("%s %s may be kept by caches", method, path)
	}
	return a
}

func (n *node) last() audit.Event {
	n.t.Helper()
	n.trail.mu.Lock()
	defer n.trail.mu.Unlock()
	if len(n.trail.events) == 0 {
		n.t.Fatal("nothing is on record")
	}
	return n.trail.events[len(n.trail.events)-1]
}

// enabled says whether the client may act, as a request that starts now sees it.
func (n *node) enabled(id string) bool {
	n.t.Helper()
	ctx, err := n.cache.Pin(context.Background())
	if err != nil {
		n.t.Fatal(err)
	}
	_, err = n.registry.Client(ctx, id)
	return err == nil
}

func keySet(t testing.TB) string {
	t.Helper()
	k, err := auth.GenerateKey(auth.ES384)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := auth.PublicKeys(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func service(t testing.TB) string {
	return `{"client_name":"Feed","grant_types":["client_credentials"],"jwks":` + keySet(t) + `,"scope":"system/Patient.rs","roles":["treating-clinician"],"purposes":["TREAT"]}`
}

const app = `{"client_name":"App","redirect_uris":["https://app.example/back"],"grant_types":["authorization_code","refresh_token"],"scope":"launch openid patient/Patient.rs","initiate_login_uri":"https://app.example/launch","providers":["clinic-idp"],"roles":["treating-clinician"],"purposes":["TREAT"],"contacts":["ops@app.example"],"software_id":"x","software_version":"1"}`

func contains(t testing.TB, list []string, want string) {
	t.Helper()
	if !slices.Contains(list, want) {
		t.Errorf("%q is not in %q", want, list)
	}
}

var errTrail = errors.New("the trail is full")

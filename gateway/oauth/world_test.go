package oauth_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/fhir/store/storetest"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/oauth"
	"github.com/handoff-health/handoff/gateway/smart"
)

const (
	issuer   = "https://gw.example"
	base     = issuer + "/fhir"
	tokenURL = issuer + oauth.TokenPath
	callback = "https://app.example/cb"
	treat    = "http://terminology.hl7.org/CodeSystem/v3-ActReason|TREAT"
	secret   = "a secret of an app that keeps one, made at random"
)

// A trail keeps what it is told, and fails on order.
type trail struct {
	mu       sync.Mutex
	attempts []auth.Attempt
	events   []audit.Event
	fail     error
}

func (t *trail) TokenRequested(_ context.Context, a *auth.Attempt) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.attempts = append(t.attempts, *a)
	return t.fail
}

func (t *trail) Record(_ context.Context, e *audit.Event) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, *e)
	return t.fail
}

func (t *trail) last(tb testing.TB) auth.Attempt {
	tb.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.attempts) == 0 {
		tb.Fatal("no token request was audited")
	}
	return t.attempts[len(t.attempts)-1]
}

func (t *trail) lastEvent(tb testing.TB) audit.Event {
	tb.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.events) == 0 {
		tb.Fatal("nothing was audited")
	}
	return t.events[len(t.events)-1]
}

// sessions are alive unless they are in the map.
type sessions struct {
	mu    sync.Mutex
	ended map[string]bool
	fail  error
}

func (s *sessions) Alive(_ context.Context, id string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.ended[id], s.fail
}

// A world is an authorization server with a clock, clients and a page that a test
// plays.
type world struct {
	server   *oauth.Server
	mux      *http.ServeMux
	registry *auth.Registry
	clients  []auth.Client
	facts    store.Facts
	steps    *storetest.Halting // the facts as the server sees them
	haltAt   int                // before which of its steps the server stands still
	verifier *auth.Verifier
	idKey    *auth.PrivateKey
	key      *auth.PrivateKey // of client "service" and of "signed"
	trail    *trail
	sessions *sessions
	mu       sync.Mutex
	at       time.Time
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(d)
}

var rsaKey = sync.OnceValues(func() (*auth.PrivateKey, error) { return auth.GenerateKey(auth.RS256) })

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func scopes(t testing.TB, text string) (out smart.Scopes) {
	t.Helper()
	for s := range strings.FieldsSeq(text) {
		out = append(out, must(smart.ParseScope(s))(t))
	}
	return out
}

// register lists the clients of the tests: an app without a key, one with a
// secret, one with a key, another app, and a backend service.
func register(t testing.TB, key *auth.PrivateKey) []auth.Client {
	t.Helper()
	sum := sha256.Sum256([]byte(secret))
	app := func(id string) auth.Client {
		return auth.Client{
			ID: id, Name: id, Grants: []string{auth.GrantAuthorizationCode, auth.GrantRefreshToken}, RedirectURIs: []string{callback},
			Public: true, Scopes: scopes(t, "user/*.rs patient/*.rs"), ContextScopes: smart.ContextScopes(),
			Organization: "Organization/clinic", OrganizationKind: auth.Health, Providers: []string{"idp"},
			Roles:    []label.Code{{System: "https://handoff-health.github.io/fhir/CodeSystem/actor-role", Code: "treating-clinician"}},
			Purposes: []string{treat},
		}
	}
	jwks := must(auth.PublicKeys(key))(t)
	withSecret, withKey, service := app("secret"), app("signed"), app("service")
	withSecret.Public, withSecret.SecretHashes = false, []string{"sha256:" + hex.EncodeToString(sum[:])}
	withKey.Public, withKey.JWKS = false, jwks
	service.Public, service.JWKS, service.Grants, service.RedirectURIs = false, jwks, nil, nil
	service.Scopes, service.ContextScopes, service.Providers = scopes(t, "system/*.rs"), nil, nil
	return []auth.Client{app("app"), withSecret, withKey, app("other"), service}
}

func newWorld(t testing.TB) *world { return newWorldWith(t, nil) }

// newWorldWith is newWorld with what changes clients while the server runs; nil: nothing.
func newWorldWith(t testing.TB, changing func(backend.Backend) auth.Source) *world {
	t.Helper()
	w := &world{at: time.Now().Truncate(time.Second), trail: &trail{}, sessions: &sessions{ended: map[string]bool{}}}
	db := backendtest.Open(t, backend.Options{Now: w.now})
	w.facts, w.steps = db, &storetest.Halting{Facts: db}
	w.idKey, w.key = must(rsaKey())(t), must(auth.GenerateKey(auth.ES384))(t)
	accessKey := must(auth.GenerateKey(auth.ES256))(t)
	w.clients = register(t, w.key)
	var source auth.Source
	if changing != nil {
		source = changing(db)
	}
	w.registry = must(auth.FollowingRegistry(w.clients, source, nil, w.now))(t)
	tokens := must(auth.NewTokenEndpoint(auth.TokenOptions{
		URL: tokenURL, Issuer: issuer, Audience: base, Registry: w.registry, Facts: w.steps, Key: accessKey, Auditor: w.trail, Now: w.now,
	}))(t)
	own := must(auth.OwnIssuer(issuer, base, accessKey))(t)
	w.verifier = must(auth.NewVerifier(auth.VerifierOptions{Issuers: []auth.Issuer{own}, Registry: w.registry, Facts: db, Now: w.now}))(t)
	w.server = must(oauth.New(oauth.Options{
		Issuer: issuer, Base: base, Registry: w.registry, Facts: w.steps, Tokens: tokens, IDKey: w.idKey, Verifier: w.verifier,
		Auditor: w.trail, Recorder: w.trail, Sessions: w.sessions, NewID: rand.Text, Now: w.now,
	}))(t)
	w.mux = http.NewServeMux()
	for path, h := range w.server.Handlers() {
		w.mux.Handle(path, h)
	}
	return w
}

// change puts a changed registration of a client in force.
func (w *world) change(t testing.TB, id string, change func(*auth.Client)) {
	t.Helper()
	for i := range w.clients {
		if w.clients[i].ID == id {
			change(&w.clients[i])
		}
	}
	if err := w.registry.Replace(w.clients); err != nil {
		t.Fatal(err)
	}
}

const verifier = "a-verifier-of-forty-three-to-128-unreserved-characters"

func challenge(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// request makes the parameters of a good authorization request, bent by over:
// "-" leaves one out.
func request(client string, over map[string]string) url.Values {
	v := url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {callback}, "state": {"st&ate=1 ä"}, "aud": {base}, "nonce": {"n1"},
		"scope": {"openid fhirUser launch/patient offline_access user/Observation.rs patient/Observation.rs"}, "code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
	}
	return bend(v, over)
}

func bend(v url.Values, over map[string]string) url.Values {
	for k, s := range over {
		if s == "-" {
			v.Del(k)
		} else {
			v.Set(k, s)
		}
	}
	return v
}

func (w *world) serve(r *http.Request) *http.Response {
	rec := httptest.NewRecorder()
	w.mux.ServeHTTP(rec, r)
	return rec.Result()
}

func (w *world) authorize(v url.Values) *http.Response {
	return w.serve(httptest.NewRequest(http.MethodGet, oauth.AuthorizePath+"?"+v.Encode(), nil))
}

// waiting sends a good request and gives its id.
func (w *world) waiting(t testing.TB, v url.Values) string {
	t.Helper()
	res := w.authorize(v)
	to := must(url.Parse(res.Header.Get("Location")))(t)
	if res.StatusCode != http.StatusFound || to.Path != oauth.PagePath || to.Host != "" {
		body, _ := io.ReadAll(res.Body)
		t.Fatalf("authorize: %d %s %s", res.StatusCode, to, body)
	}
	return to.Query().Get("id")
}

// decision is what a clinician decides, with the scopes as asked.
func (w *world) decision(scope string) oauth.Decision {
	return oauth.Decision{
		Subject: "subject-1", Session: "session-1", ACR: "https://refeds.org/profile/mfa", MFA: true, SignedIn: w.now().Add(-time.Minute).UTC(),
		Said: auth.Asserted{
			UserID: "urn:npi#1", UserName: "Ana Ortiz", Role: "treating-clinician", Organization: "Organization/clinic", Purposes: []string{"TREAT"}, Methods: []string{"pwd", "otp"},
		},
		FHIRUser: "Practitioner/ana", Scope: scope, Patient: "Patient/p1", Encounter: "Encounter/e1",
		Context: map[string]any{"need_patient_banner": true},
	}
}

// code goes all the way to a code.
func (w *world) code(t testing.TB, v url.Values) string {
	t.Helper()
	id := w.waiting(t, v)
	r := must(w.server.Request(t.Context(), id))(t)
	to := must(w.server.Approve(t.Context(), id, w.decision(r.Scope)))(t)
	u := must(url.Parse(to))(t)
	q := u.Query()
	if !strings.HasPrefix(to, callback+"?") || q.Get("state") != v.Get("state") || q.Get("iss") != issuer || q.Get("code") == "" {
		t.Fatalf("answer %s", to)
	}
	return q.Get("code")
}

// An answer of the token endpoint.
type answer struct {
	Status int
	Header http.Header
	Body   map[string]any
}

func (a answer) text(name string) string {
	s, _ := a.Body[name].(string)
	return s
}

func (w *world) post(t testing.TB, v url.Values, head ...string) answer {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, oauth.TokenPath, strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(head); i += 2 {
		r.Header.Set(head[i], head[i+1])
	}
	res := w.serve(r)
	a := answer{Status: res.StatusCode, Header: res.Header}
	if err := json.NewDecoder(res.Body).Decode(&a.Body); err != nil {
		t.Fatal(err)
	}
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "no-cache" || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", a.Header)
	}
	if (a.text("access_token") != "") != (a.Status == 200) || (a.text("error") == "") != (a.Status == 200) {
		t.Errorf("status %d with %v", a.Status, a.Body)
	}
	last := w.trail.last(t)
	if last.Status != a.Status && w.trail.fail == nil || last.Error != a.text("error") && w.trail.fail == nil {
		t.Errorf("the trail says %d %s, the answer %d %v", last.Status, last.Error, a.Status, a.Body)
	}
	return a
}

// exchange makes a good token request for a code of a public app.
func exchange(client, code string, over map[string]string) url.Values {
	return bend(url.Values{"grant_type": {"authorization_code"}, "client_id": {client}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}, over)
}

func refreshing(token string, over map[string]string) url.Values {
	return bend(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, over)
}

// tokens goes all the way to tokens of the public app.
func (w *world) tokens(t testing.TB, scope string) answer {
	t.Helper()
	a := w.post(t, exchange("app", w.code(t, request("app", map[string]string{"scope": scope})), nil))
	if a.Status != 200 {
		t.Fatalf("no token: %d %v (%s)", a.Status, a.Body, w.trail.last(t).Reason)
	}
	return a
}

func (w *world) good(t testing.TB, token string) bool {
	t.Helper()
	_, err := w.verifier.Verify(t.Context(), token)
	return err == nil
}

func bodyOf(res *http.Response) map[string]any {
	out := map[string]any{}
	_ = json.NewDecoder(res.Body).Decode(&out) // an empty one shows in the test
	return out
}

package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/registration"
)

const clientsSite = `server: {listen: "127.0.0.1:0", base: "http://127.0.0.1:8123/fhir"}
site: {key: a-site-key-of-at-least-thirty-two-bytes}
limits: {requests: 10, users: -1, tokens: 20, failures: 3, window: 5m}
organizations:
  - {id: clinic, name: Clinic, kind: health}
signIn:
  providers:
    - {id: idp, issuer: "https://idp.example", clientId: gw, clientSecret: a-secret-of-the-gateway, organization: clinic, roles: {doctor: treating-clinician}}
clients:
  - {id: svc, organization: clinic, roles: [treating-clinician], purposes: [TREAT], scopes: "system/*.cruds https://handoff-health.github.io/fhir/scope/manage-clients", jwks: '${file:svc.jwks}'}
  - {id: app, organization: clinic, roles: [treating-clinician], purposes: [TREAT], scopes: user/Patient.rs, grants: [authorization_code], redirectUris: ["https://app.example/back"], providers: [idp], lifetime: 10m, secretHashes: ["${file:app.hash}"]}
`

// A clientsWorld is a gateway with a backend service and an app, and the files that the
// command line works on beside it.
type clientsWorld struct {
	t         *testing.T
	file, dir string
	secret    string
	signer    *auth.Signer
	gateway   *running
}

func newClientsWorld(t *testing.T) *clientsWorld {
	t.Helper()
	w := &clientsWorld{t: t, dir: t.TempDir()}
	w.file = filepath.Join(w.dir, "handoff.yaml")
	key, err := auth.GenerateKey(auth.ES384)
	if err != nil {
		t.Fatal(err)
	}
	jwks, err := auth.PublicKeys(key)
	if err != nil {
		t.Fatal(err)
	}
	secret, hash := auth.NewSecret()
	w.secret = secret
	writeConfig(t, w.file, clientsSite)
	for name, text := range map[string]string{"svc.jwks": string(jwks), "app.hash": hash} {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if w.signer, err = auth.NewSigner("svc", key, 0, nil); err != nil {
		t.Fatal(err)
	}
	return w
}

// start runs the gateway; the command line then works beside it.
func (w *clientsWorld) start() {
	w.t.Helper()
	c, err := loadConfig(w.file)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.gateway, err = assemble(context.Background(), c, slog.New(slog.DiscardHandler)); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = w.gateway.Close() })
}

func (w *clientsWorld) do(method, path, token, body, typ string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1:8123"+path, strings.NewReader(body))
	if typ != "" {
		r.Header.Set("Content-Type", typ)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	rec := httptest.NewRecorder()
	w.gateway.handler.ServeHTTP(rec, r)
	return rec
}

// token asks for one as the service.
func (w *clientsWorld) token(scope string) (token string, code int) {
	w.t.Helper()
	assertion, err := w.signer.AssertionFor("http://127.0.0.1:8123/oauth/token", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "scope": {scope}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}
	rec := w.do("POST", "/oauth/token", "", form.Encode(), "application/x-www-form-urlencoded")
	var a struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil {
		w.t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	return a.Token, rec.Code
}

func (w *clientsWorld) run(want int, args ...string) (stdout, stderr string) {
	w.t.Helper()
	stdout, stderr, code := runLine("", append([]string{"clients", args[0], "--config", w.file}, args[1:]...)...)
	if code != want {
		w.t.Errorf("%v: exit %d, want %d: %s %s", args, code, want, stdout, stderr)
	}
	return stdout, stderr
}

func TestClientsAreDisabledBesideARunningGateway(t *testing.T) {
	w := newClientsWorld(t)
	w.start()
	token, code := w.token("system/*.rs")
	if code != http.StatusOK {
		t.Fatalf("%d", code)
	}
	read := func() int { return w.do("GET", "/fhir/Patient/p1", token, "", "").Code }
	if got := read(); got != http.StatusNotFound {
		t.Fatalf("%d", got)
	}
	w.run(2, "disable", "svc") // nobody answers for it
	w.run(1, "disable", "--by", "mlopez", "nobody")
	w.run(0, "disable", "--by", "mlopez", "--reason", "key lost", "svc")
	if got := read(); got != http.StatusUnauthorized {
		t.Errorf("a token of a disabled client: %d", got)
	}
	if _, code := w.token("system/*.rs"); code != http.StatusUnauthorized {
		t.Errorf("a new token of a disabled client: %d", code)
	}
	if out, _ := w.run(0, "show", "svc"); !strings.Contains(out, `"state": "disabled"`) || !strings.Contains(out, "key lost") {
		t.Errorf("%s", out)
	}
	w.run(0, "enable", "--by", "mlopez", "svc")
	if got := read(); got != http.StatusUnauthorized {
		t.Errorf("a token from before: %d", got)
	}
	if _, code := w.token("system/*.rs"); code != http.StatusOK {
		t.Errorf("a new token: %d", code)
	}
	if out, _ := w.run(0, "list"); !strings.Contains(out, "svc") || strings.Count(out, "enabled") != 2 {
		t.Errorf("%s", out)
	}
	if trail := w.recorded(); !strings.Contains(trail, "mlopez") || !strings.Contains(trail, "action=disable") || !strings.Contains(trail, "key+lost") {
		t.Error("it is not on record")
	}
}

// recorded is the trail, with what commands have left for it.
func (w *clientsWorld) recorded() string {
	w.t.Helper()
	if err := registration.RecordNotes(w.t.Context(), w.gateway.store, w.gateway.trail); err != nil {
		w.t.Fatal(err)
	}
	return trailText(w.t, filepath.Join(w.dir, "audit"))
}

func TestClientsAreHeldToTheirRates(t *testing.T) {
	w := newClientsWorld(t)
	w.start()
	token, _ := w.token("system/*.rs")
	var last *httptest.ResponseRecorder
	for range 11 {
		last = w.do("GET", "/fhir/Patient/p1", token, "", "")
	}
	if last.Code != http.StatusTooManyRequests || last.Header().Get("Retry-After") != "6" || !strings.Contains(last.Body.String(), `"throttled"`) {
		t.Errorf("%d, Retry-After %q, %s", last.Code, last.Header().Get("Retry-After"), last.Body)
	}
	if got := w.do("GET", "/oauth/register", token, "", ""); got.Code == http.StatusOK {
		t.Errorf("registration is not limited: %d", got.Code)
	}
	if trail := trailText(t, filepath.Join(w.dir, "audit")); !strings.Contains(trail, `"reason":"throttled"`) {
		t.Error("the refusal is not on record")
	}
	for code, n := http.StatusOK, 0; code == http.StatusOK; n++ {
		if _, code = w.token("system/*.rs"); n > 20 {
			t.Fatal("no end of tokens")
		}
		if code != http.StatusOK && (code != http.StatusTooManyRequests || n != 19) {
			t.Errorf("token request %d: %d", n, code)
		}
	}
}

func TestGuessesAtASecretLock(t *testing.T) {
	w := newClientsWorld(t)
	w.start()
	guess := func(secret string) *httptest.ResponseRecorder {
		form := url.Values{"grant_type": {"authorization_code"}, "code": {"x"}, "redirect_uri": {"https://app.example/back"}, "code_verifier": {strings.Repeat("v", 43)}, "client_id": {"app"}, "client_secret": {secret}}
		return w.do("POST", "/oauth/token", "", form.Encode(), "application/x-www-form-urlencoded")
	}
	for i := range 3 {
		if got := guess("wrong"); got.Code != http.StatusUnauthorized {
			t.Fatalf("guess %d: %d %s", i, got.Code, got.Body)
		}
	}
	if got := guess(w.secret); got.Code != http.StatusTooManyRequests || got.Header().Get("Retry-After") == "" {
		t.Errorf("the right secret of a locked client: %d %v %s", got.Code, got.Header(), got.Body)
	}
	if _, code := w.token("system/*.rs"); code != http.StatusOK {
		t.Errorf("another client at the address: %d", code)
	}
	if trail := trailText(t, filepath.Join(w.dir, "audit")); !strings.Contains(trail, "locked=true") {
		t.Error("the lock is not on record")
	}
	if out, _ := w.run(0, "unlock", "--by", "mlopez", "--reason", "typed an old secret", "app"); !strings.Contains(out, "1 address") {
		t.Errorf("%s", out)
	}
	if trail := w.recorded(); !strings.Contains(trail, "reason=typed+an+old+secret") {
		t.Error("why it was unlocked is not on record")
	}
	if got := guess(w.secret); got.Code != http.StatusBadRequest || !strings.Contains(got.Body.String(), "invalid_grant") {
		t.Errorf("after it was unlocked: %d %s", got.Code, got.Body)
	}
}

func TestRegisteringWithAToken(t *testing.T) {
	w := newClientsWorld(t)
	w.start()
	token, code := w.token("https://handoff-health.github.io/fhir/scope/manage-clients")
	if code != http.StatusOK {
		t.Fatalf("%d", code)
	}
	body := `{"client_name":"App","redirect_uris":["https://new.example/back"],"scope":"user/Patient.rs","providers":["idp"],"roles":["treating-clinician"],"purposes":["TREAT"]}`
	got := w.do("POST", "/oauth/register", token, body, "application/json")
	var made struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal(got.Body.Bytes(), &made); err != nil || got.Code != http.StatusCreated || made.Secret == "" {
		t.Fatalf("%d %s", got.Code, got.Body)
	}
	if out, _ := w.run(0, "list"); !strings.Contains(out, made.ID) {
		t.Errorf("%s", out)
	}
	out, _ := w.run(0, "rotate-secret", "--by", "mlopez", "--reason", "seen in a log", "--overlap", "1h", made.ID)
	if len(strings.TrimSpace(out)) < 43 {
		t.Errorf("%q", out)
	}
	if got := w.do("GET", "/oauth/register/"+made.ID, token, "", ""); got.Code != http.StatusOK || !strings.Contains(got.Body.String(), `"of":"client_secret"`) {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	if got := w.do("GET", "/oauth/register/"+made.ID+"/nothing/here", token, "", ""); got.Code != http.StatusNotFound {
		t.Errorf("%d", got.Code)
	}
	if discovery := w.do("GET", "/fhir/.well-known/smart-configuration", "", "", ""); !strings.Contains(discovery.Body.String(), `"registration_endpoint":"http://127.0.0.1:8123/oauth/register"`) {
		t.Errorf("%s", discovery.Body)
	}
	trail := w.recorded()
	if strings.Contains(trail, made.Secret) || strings.Contains(trail, strings.TrimSpace(out)) {
		t.Error("a secret is on record")
	}
	if !strings.Contains(trail, "reason=seen+in+a+log") {
		t.Error("why the secret was changed is not on record")
	}
}

func TestClientsLint(t *testing.T) {
	w := newClientsWorld(t)
	out, _ := w.run(0, "lint") // before the gateway ran for the first time
	if !strings.Contains(out, "svc system/*.cruds") || !strings.Contains(out, "instead: system/*.rs") {
		t.Errorf("%s", out)
	}
	w.run(1, "lint", "--strict")
	out, _ = w.run(0, "lint", "--json", "svc")
	for line := range strings.Lines(out) {
		var f registration.Finding
		if err := json.Unmarshal([]byte(line), &f); err != nil || f.Client != "svc" || f.Why == "" {
			t.Errorf("%s: %v", line, err)
		}
	}
	w.run(1, "lint", "nobody")
	_, stderr, code := runLine("", "config", "check", w.file)
	if code != 0 || !strings.Contains(stderr, "warning: client svc, system/*.cruds") {
		t.Errorf("config check: %d %s", code, stderr)
	}
	if vacant, err := backend.Vacant(t.Context(), storeAddressOf(t, w.file), backend.Options{}); err != nil || !vacant {
		t.Errorf("a look at the clients made a store: vacant %v, %v", vacant, err)
	}
	if _, _, code := runLine("", "clients", "list"); code != 2 {
		t.Errorf("without --config: %d", code)
	}
	out, _ = w.run(0, "rotate-secret", "app")
	if len(strings.TrimSpace(out)) < 43 {
		t.Errorf("%q", out)
	}
	out, stderr, code = runLine("", "token", "secret")
	if code != 0 || len(strings.TrimSpace(out)) < 43 || !strings.Contains(stderr, "sha256:") {
		t.Errorf("%d %q %q", code, out, stderr)
	}
}

// What a request costs to know that no registration has changed.
func BenchmarkRegistrationsUnchanged(b *testing.B) {
	db := backendtest.Open(b, backend.Options{})
	s := registration.NewStore(db, nil, nil, slog.New(slog.NewTextHandler(io.Discard, nil)))
	for b.Loop() {
		if _, err := s.Version(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/smart"
)

// onceFacts is as much of Facts as tokens need.
type onceFacts struct {
	store.Facts
	used sync.Map
}

func (f *onceFacts) Get(_ context.Context, key string) (store.Fact, error) {
	if _, ok := f.used.Load(key); !ok {
		return store.Fact{}, store.ErrNotFound
	}
	return store.Fact{Key: key}, nil
}

func (f *onceFacts) PutIfAbsent(_ context.Context, key string, _ []byte, _ time.Time) (store.Fact, error) {
	if _, taken := f.used.LoadOrStore(key, true); taken {
		return store.Fact{}, store.ErrExists
	}
	return store.Fact{Key: key}, nil
}

type logAuditor struct{ t *testing.T }

func (l logAuditor) TokenRequested(_ context.Context, a *auth.Attempt) error {
	if a.Status >= 500 {
		l.t.Errorf("token endpoint: %+v", a)
	}
	return nil
}

// fhirStub answers as much FHIR as a client library needs to try its token.
type fhirStub struct {
	base, token string
	verifier    *auth.Verifier
}

func (s *fhirStub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/fhir")
	if path == "/metadata" {
		write(w, 200, map[string]any{"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": []any{map[string]any{"mode": "server", "security": map[string]any{
			"extension": []any{map[string]any{
				"url":       "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
				"extension": []any{map[string]any{"url": "token", "valueUri": s.token}},
			}},
		}}}})
		return
	}
	bearer, err := auth.BearerFromRequest(r)
	var p *auth.Principal
	if err == nil {
		p, err = s.verifier.Verify(r.Context(), bearer)
	}
	if err != nil {
		status, challenge := auth.Challenge("handoff", err)
		w.Header().Set("WWW-Authenticate", challenge)
		outcome(w, status)
		return
	}
	typ, id, read := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	patient := map[string]any{"resourceType": "Patient", "id": "p1"}
	switch {
	case r.Method != http.MethodGet:
		outcome(w, 405)
	case read && !p.Scopes.Allows(typ, smart.Read), !read && !p.Scopes.Allows(typ, smart.Search):
		w.Header().Set("WWW-Authenticate", auth.InsufficientScope("handoff"))
		outcome(w, 403)
	case read && typ+"/"+id == "Patient/p1":
		write(w, 200, patient)
	case read:
		outcome(w, 404)
	default:
		write(w, 200, map[string]any{
			"resourceType": "Bundle", "type": "searchset", "link": []any{map[string]any{"relation": "self", "url": s.base + "/" + typ}},
			"entry": []any{map[string]any{"fullUrl": s.base + "/Patient/p1", "resource": patient, "search": map[string]any{"mode": "match"}}},
		})
	}
}

func outcome(w http.ResponseWriter, status int) {
	write(w, status, map[string]any{"resourceType": "OperationOutcome", "issue": []any{map[string]any{"severity": "error", "code": "processing"}}})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/fhir+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// serve starts the gateway's token side with a FHIR stub and one client.
func serve(t *testing.T, jwks []byte) (base string) {
	t.Helper()
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	stub := &fhirStub{base: srv.URL + "/fhir", token: srv.URL + "/oauth/token"}
	facts := &onceFacts{}
	registry, err := auth.NewRegistry([]auth.Client{{
		ID: "client", JWKS: jwks, Organization: "Organization/x", OrganizationKind: auth.Health, Purposes: []string{"s|TREAT"},
		Scopes: smart.ParseGranted("system/Patient.rs system/Encounter.rs"),
	}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := auth.GenerateKey(auth.ES256)
	if err != nil {
		t.Fatal(err)
	}
	token, err := auth.NewTokenEndpoint(auth.TokenOptions{URL: stub.token, Issuer: srv.URL, Audience: stub.base, Registry: registry, Facts: facts, Key: key, Auditor: logAuditor{t}})
	if err != nil {
		t.Fatal(err)
	}
	own, err := auth.OwnIssuer(srv.URL, stub.base, key)
	if err != nil {
		t.Fatal(err)
	}
	if stub.verifier, err = auth.NewVerifier(auth.VerifierOptions{Issuers: []auth.Issuer{own}, Registry: registry, Facts: facts}); err != nil {
		t.Fatal(err)
	}
	discovery, err := smart.Discovery{TokenEndpoint: stub.token, Algorithms: []string{auth.RS384, auth.ES384}, Scopes: smart.SupportedScopes(smart.ContextSystem, smart.Read|smart.Search, "Patient")}.Handler()
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/oauth/token", token)
	mux.Handle("/fhir"+smart.WellKnown, discovery)
	mux.Handle("/fhir/", stub)
	return stub.base
}

func TestClientLibraries(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed: no client library was tried against the token endpoint")
	}
	var scripts []string
	if _, err := os.Stat("node_modules"); err == nil {
		scripts = append(scripts, "backend.mjs")
	}
	if dir := os.Getenv("HANDOFF_CLIENT_CHECKS"); dir != "" {
		more, err := filepath.Glob(filepath.Join(dir, "[0-9]*.mjs"))
		if err != nil || len(more) == 0 {
			t.Fatalf("HANDOFF_CLIENT_CHECKS=%s: no checks there (%v)", dir, err)
		}
		scripts = append(scripts, more...)
	}
	if len(scripts) == 0 {
		t.Skip("conformance/clients/node_modules is absent (run npm ci there): no client library was tried against the token endpoint")
	}
	for _, alg := range []string{auth.ES384, auth.RS384} {
		key, err := auth.GenerateKey(alg)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "client.jwk")
		if err := key.Write(file); err != nil {
			t.Fatal(err)
		}
		jwks, err := auth.PublicKeys(key)
		if err != nil {
			t.Fatal(err)
		}
		for _, script := range scripts {
			t.Run(fmt.Sprintf("%s/%s", alg, filepath.Base(script)), func(t *testing.T) {
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
				defer cancel()
				cmd := exec.CommandContext(ctx, node, script)
				cmd.Env = append(os.Environ(), "BASE="+serve(t, jwks), "CLIENT_ID=client", "CLIENT_JWK="+file)
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Errorf("%v\n%s", err, out)
				}
				t.Logf("%s", out)
			})
		}
	}
}

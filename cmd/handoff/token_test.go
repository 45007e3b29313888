package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/smart"
)

// runToken runs one command line of `handoff token` in this process.
func runToken(args ...string) (stdout, stderr string, err error) {
	var out, log bytes.Buffer
	cmd := newTokenCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&log)
	err = cmd.ExecuteContext(context.Background())
	return out.String(), log.String(), err
}

// oneTimeFacts is as much of Facts as a token endpoint needs.
type oneTimeFacts struct {
	store.Facts
	used sync.Map
}

func (f *oneTimeFacts) Get(context.Context, string) (store.Fact, error) {
	return store.Fact{}, store.ErrNotFound
}

func (f *oneTimeFacts) PutIfAbsent(_ context.Context, key string, _ []byte, _ time.Time) (store.Fact, error) {
	if _, taken := f.used.LoadOrStore(key, true); taken {
		return store.Fact{}, store.ErrExists
	}
	return store.Fact{Key: key}, nil
}

type silentAuditor struct{}

func (silentAuditor) TokenRequested(context.Context, *auth.Attempt) error { return nil }

// authorizationServer serves discovery and tokens for the client "rms".
func authorizationServer(t *testing.T, jwks []byte) (base string) {
	t.Helper()
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	registry, err := auth.NewRegistry([]auth.Client{{
		ID: "rms", JWKS: jwks, Organization: "Organization/x", OrganizationKind: auth.Health, AssertsUsers: true, BelievesMFA: true,
		Purposes: []string{"s|TREAT"}, Scopes: smart.ParseGranted("system/Patient.rs"),
	}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := auth.GenerateKey(auth.ES256)
	if err != nil {
		t.Fatal(err)
	}
	token, err := auth.NewTokenEndpoint(auth.TokenOptions{
		URL: srv.URL + "/oauth/token", Issuer: srv.URL, Audience: srv.URL + "/fhir",
		Registry: registry, Facts: &oneTimeFacts{}, Key: key, Auditor: silentAuditor{},
	})
	if err != nil {
		t.Fatal(err)
	}
	discovery, err := smart.Discovery{
		TokenEndpoint: srv.URL + "/oauth/token", Algorithms: []string{auth.ES384}, Scopes: smart.SupportedScopes(smart.ContextSystem, smart.Read, "Patient"),
	}.Handler()
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/oauth/token", token)
	mux.Handle("/fhir"+smart.WellKnown, discovery)
	mux.Handle("/moved"+smart.WellKnown, http.RedirectHandler("/fhir"+smart.WellKnown, http.StatusFound))
	answer := func(status int, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
	}
	mux.Handle("/html"+smart.WellKnown, answer(200, "<html>"))
	mux.Handle("/empty"+smart.WellKnown, answer(200, "{}"))
	mux.Handle("/far"+smart.WellKnown, answer(200, `{"token_endpoint":"http://token.example/"}`))
	mux.Handle("/huge"+smart.WellKnown, answer(200, strings.Repeat(" ", 1<<20)))
	mux.Handle("/notoken", answer(200, "{}"))
	mux.Handle("/down", answer(502, "<html>"))
	return srv.URL
}

func TestFromAKeyPairToAToken(t *testing.T) {
	for _, alg := range []string{"ES384", "RS384"} {
		dir := t.TempDir()
		key, public := filepath.Join(dir, "client.jwk"), filepath.Join(dir, "client.jwks")
		if _, _, err := runToken("keygen", "--out", key, "--public", public, "--alg", alg); err != nil {
			t.Fatal(err)
		}
		jwks, err := os.ReadFile(public)
		if err != nil {
			t.Fatal(err)
		}
		if alg == "RS384" { // the endpoint of this test announces both anyway
			continue
		}
		url := authorizationServer(t, jwks)
		stdout, stderr, err := runToken("get", "--base", url+"/fhir/", "--client", "rms", "--key", key, "--scope", "system/*.rs")
		if err != nil || strings.Count(stdout, ".") != 2 || strings.Count(stdout, "\n") != 1 || stderr != "" {
			t.Fatalf("get: %q, %q, %v", stdout, stderr, err)
		}
		stdout, _, err = runToken("get", "--token-url", url+"/oauth/token", "--client", "rms", "--key", key, "--scope", "system/*.rs", "--json")
		var whole struct {
			Scope     string `json:"scope"`
			ExpiresIn int    `json:"expires_in"`
		}
		if err != nil || json.Unmarshal([]byte(stdout), &whole) != nil || whole.Scope != "system/Patient.rs" || whole.ExpiresIn != 300 {
			t.Fatalf("get --json: %q, %v", stdout, err)
		}
		stdout, _, err = runToken("get", "--base", url+"/fhir", "--client", "rms", "--key", key, "--scope", "system/Patient.rs",
			"--organization", "Organization/x", "--purpose", "TREAT", "--user-id", "badge#7", "--user-name", "Ana Ortiz", "--amr", "pwd,otp")
		if err != nil || strings.Count(stdout, ".") != 2 {
			t.Fatalf("get for a person: %q, %v", stdout, err)
		}
		stdout, _, err = runToken("assertion", "--client", "rms", "--key", key, "--aud", url+"/oauth/token")
		if err != nil || strings.Count(stdout, ".") != 2 {
			t.Fatalf("assertion: %q, %v", stdout, err)
		}
	}
}

func TestTokenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "client.jwk")
	jwks, _, err := runToken("keygen", "--out", key)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other.jwk")
	if _, _, err := runToken("keygen", "--out", other); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(dir, "open.jwk")
	raw, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(open, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	url := authorizationServer(t, []byte(jwks))
	get := func(base string, more ...string) []string {
		return append([]string{"get", "--base", base, "--client", "rms", "--key", key, "--scope", "system/Patient.rs"}, more...)
	}
	for _, tt := range []struct {
		note string
		args []string
		code int
		want string
	}{
		{"unknown command", []string{"nonsense"}, exitUsage, "nonsense"},
		{"argument", []string{"keygen", "x"}, exitUsage, "takes no argument"},
		{"no file", []string{"keygen"}, exitUsage, "--out is missing"},
		{"file exists", []string{"keygen", "--out", key}, exitFailed, "not overwritten"},
		{"public file exists", []string{"keygen", "--out", filepath.Join(dir, "new"), "--public", key}, exitFailed, "not overwritten"},
		{"no such folder", []string{"keygen", "--out", filepath.Join(dir, "no", "such")}, exitFailed, "no such file"},
		{"odd algorithm", []string{"keygen", "--out", filepath.Join(dir, "new"), "--alg", "HS256"}, exitUsage, "ES384 or RS384"},
		{"no audience", []string{"assertion", "--client", "rms", "--key", key}, exitUsage, "--aud is missing"},
		{"long life", []string{"assertion", "--client", "rms", "--key", key, "--aud", "x", "--life", "1h"}, exitUsage, "--life"},
		{"no key file", []string{"assertion", "--client", "rms", "--key", filepath.Join(dir, "none"), "--aud", "x"}, exitFailed, "no such file"},
		{"public key file", []string{"assertion", "--client", "rms", "--key", open, "--aud", "x"}, exitFailed, "chmod 600"},
		{"no base", []string{"get", "--client", "rms", "--key", key, "--scope", "x"}, exitUsage, "--base is missing"},
		{"plain http elsewhere", get("http://gw.example/fhir"), exitUsage, "this machine only"},
		{"look-alike of this machine", get("http://127.0.0.1.gw.example/fhir"), exitUsage, "this machine only"},
		{"no URL", get("gw"), exitUsage, "not an absolute"},
		{"not a FHIR base", get(url + "/nowhere"), exitFailed, "status 404"},
		{"HTML", get(url + "/html"), exitFailed, "not JSON"},
		{"no endpoint", get(url + "/empty"), exitFailed, "names no token_endpoint"},
		{"endpoint in the clear", get(url + "/far"), exitUsage, "this machine only"},
		{"redirect", get(url + "/moved"), exitFailed, "redirects"},
		{"huge", get(url + "/huge"), exitFailed, "larger than"},
		{"nobody there", get("http://127.0.0.1:1/fhir"), exitFailed, "refused"},
		{"no token in the answer", get("", "--token-url", url+"/notoken"), exitFailed, "no access_token"},
		{"gateway error", get("", "--token-url", url+"/down"), exitFailed, "status 502"},
		{"scope refused", get(url+"/fhir", "--scope", "system/Consent.rs"), exitFailed, "invalid_scope: none of the requested"},
		{"a person without purpose", get(url+"/fhir", "--user-id", "x", "--user-name", "y"), exitUsage, "--purpose"},
		{"a person without name", get(url+"/fhir", "--user-id", "x", "--organization", "Organization/x", "--purpose", "TREAT"), exitUsage, "--user-name"},
		{"amr of nobody", get(url+"/fhir", "--amr", "mfa", "--organization", "Organization/x", "--purpose", "TREAT"), exitUsage, "--user-id"},
		{"purpose refused", get(url+"/fhir", "--organization", "Organization/x", "--purpose", "HMARKT"), exitFailed, "invalid_grant: a purpose_of_use"},
		{"organisation refused", get(url+"/fhir", "--organization", "Organization/y", "--purpose", "TREAT"), exitFailed, "invalid_grant: organization_id"},
		{"key refused", get(url+"/fhir", "--key", other), exitFailed, "invalid_client"},
	} {
		t.Run(tt.note, func(t *testing.T) {
			stdout, _, err := runToken(tt.args...)
			code := 0
			if err != nil {
				code = exitFailed
			}
			if ee := (*exitError)(nil); errors.As(err, &ee) {
				code = ee.code
			}
			if code != tt.code || !strings.Contains(err.Error(), tt.want) || stdout != "" {
				t.Errorf("code %d, error %v, stdout %q; want code %d and %q", code, err, stdout, tt.code, tt.want)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); err == nil {
		t.Error("a refused keygen left a private key")
	}
}

// A server that does not answer in time is named, with how long it was waited for.
func TestTokenSaysHowLongItWaited(t *testing.T) {
	was := tokenTimeout
	tokenTimeout = 50 * time.Millisecond
	t.Cleanup(func() { tokenTimeout = was })
	asked := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-asked }))
	t.Cleanup(silent.Close)
	t.Cleanup(func() { close(asked) })
	err := (&tokenRequest{base: silent.URL + "/fhir"}).discover(t.Context())
	for _, want := range []string{silent.URL + "/fhir/.well-known/smart-configuration", "no whole answer within 50ms", "/readyz"} {
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "context deadline") {
			t.Errorf("without %q: %v", want, err)
		}
	}
}

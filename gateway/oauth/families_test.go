package oauth_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/gateway/auth"
)

// TokenInquired implements auth.InquiryAuditor.
func (t *trail) TokenInquired(context.Context, *auth.Inquiry) error { return t.fail }

// inquiries mounts introspection, open to client "signed", and revocation.
func (w *world) inquiries(t testing.TB) {
	t.Helper()
	w.change(t, "signed", func(c *auth.Client) { c.Operations = []string{auth.ScopeIntrospect} })
	names := must(auth.NewAuthenticator(auth.AuthenticatorOptions{TokenURL: tokenURL, Issuer: issuer, Registry: w.registry, Facts: w.facts, Now: w.now}))(t)
	o := auth.TokenInquiries{Clients: names, Verifier: w.verifier, Registry: w.registry, Facts: w.facts, Base: base, Families: w.server.Families(), Auditor: w.trail, Now: w.now}
	w.mux.Handle("/oauth/introspect", must(auth.NewIntrospectionEndpoint(o))(t))
	w.mux.Handle("/oauth/revoke", must(auth.NewRevocationEndpoint(o))(t))
}

func (w *world) form(t testing.TB, path string, v url.Values) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res := w.serve(r)
	body := map[string]any{}
	if res.ContentLength != 0 {
		if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
			t.Fatal(err)
		}
	}
	return res.StatusCode, body
}

// ask introspects a token as client "signed".
func (w *world) ask(t testing.TB, token string) map[string]any {
	t.Helper()
	signer := must(auth.NewSigner("signed", w.key, 0, w.now))(t)
	status, body := w.form(t, "/oauth/introspect", url.Values{
		"token": {token}, "client_assertion": {must(signer.Assertion(tokenURL))(t)},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	})
	if status != http.StatusOK {
		t.Fatalf("introspection: %d %v", status, body)
	}
	return body
}

func TestIntrospectionOfWhatAnAppGot(t *testing.T) {
	w := newWorld(t)
	w.inquiries(t)
	got := w.tokens(t, everything)
	access, refresh := w.ask(t, got.text("access_token")), w.ask(t, got.text("refresh_token"))
	for name, want := range map[string]any{
		"active": true, "client_id": "app", "scope": got.text("scope"), "patient": got.text("patient"), "need_patient_banner": true, "iss": issuer,
	} {
		if access[name] != want {
			t.Errorf("access token: %s is %v, want %v", name, access[name], want)
		}
		if refresh[name] != want {
			t.Errorf("refresh token: %s is %v, want %v", name, refresh[name], want)
		}
	}
	_, id := claimsOf(t, got.text("id_token"))
	for _, name := range []string{"iss", "sub", "fhirUser"} {
		if access[name] != id[name] {
			t.Errorf("%s is %v, in the id token %v", name, access[name], id[name])
		}
	}
	next := w.post(t, refreshing(got.text("refresh_token"), nil))
	nothing := map[string]any{"active": false}
	for note, token := range map[string]string{"used": got.text("refresh_token"), "an id token": got.text("id_token"), "a code": w.code(t, request("app", nil))} {
		if body := w.ask(t, token); !maps.Equal(body, nothing) {
			t.Errorf("%s: %v", note, body)
		}
	}
	w.pass(auth.MaxFamilyLife)
	if body := w.ask(t, next.text("refresh_token")); !maps.Equal(body, nothing) {
		t.Errorf("after its time: %v", body)
	}
}

func TestRevokedRefreshTokensEndTheirFamily(t *testing.T) {
	w := newWorld(t)
	w.inquiries(t)
	first, other := w.tokens(t, everything), w.tokens(t, everything)
	next := w.post(t, refreshing(first.text("refresh_token"), nil))
	// The old one will do: it is of the same family.
	if status, body := w.form(t, "/oauth/revoke", url.Values{"token": {first.text("refresh_token")}, "client_id": {"other"}}); status != 200 || len(body) > 0 || !w.good(t, next.text("access_token")) {
		t.Errorf("another client's revocation: %d %v", status, body)
	}
	if status, body := w.form(t, "/oauth/revoke", url.Values{"token": {first.text("refresh_token")}, "client_id": {"app"}}); status != 200 || len(body) > 0 {
		t.Errorf("revocation: %d %v", status, body)
	}
	if w.good(t, first.text("access_token")) || w.good(t, next.text("access_token")) || !w.good(t, other.text("access_token")) {
		t.Error("not the family alone")
	}
	if a := w.post(t, refreshing(next.text("refresh_token"), nil)); a.Status == http.StatusOK {
		t.Error("refreshed after revocation")
	}
	if a := w.post(t, refreshing(other.text("refresh_token"), nil)); a.Status != http.StatusOK {
		t.Errorf("another family: %d %v", a.Status, a.Body)
	}
}

// What ends a client or a person ends their refresh tokens too, for as long as any
// of them could live.
func TestEndedClientsAndPersonsRefreshNothing(t *testing.T) {
	for note, end := range map[string]func(*world, string) error{
		"client": func(w *world, _ string) error { return auth.EndClient(t.Context(), w.facts, "app", w.now()) },
		"person": func(w *world, sub string) error { return auth.EndSubject(t.Context(), w.facts, sub, w.now()) },
	} {
		w := newWorld(t)
		w.inquiries(t)
		got := w.tokens(t, everything)
		sub, _ := w.ask(t, got.text("access_token"))["sub"].(string)
		if err := end(w, sub); err != nil {
			t.Fatal(err)
		}
		w.pass(25 * 24 * time.Hour)
		if a := w.post(t, refreshing(got.text("refresh_token"), nil)); a.Status == http.StatusOK {
			t.Errorf("%s: refreshed", note)
		}
		if body := w.ask(t, got.text("refresh_token")); body["active"] != false {
			t.Errorf("%s: %v", note, body)
		}
		later := w.tokens(t, everything)
		if a := w.post(t, refreshing(later.text("refresh_token"), nil)); a.Status != http.StatusOK {
			t.Errorf("%s: what came later is refused: %d %v", note, a.Status, a.Body)
		}
	}
}

func TestOnlineAccessIsInactiveWithoutItsSession(t *testing.T) {
	w := newWorld(t)
	w.inquiries(t)
	got := w.tokens(t, strings.Replace(everything, "offline_access", "online_access", 1))
	if w.ask(t, got.text("refresh_token"))["active"] != true {
		t.Fatal("inactive while the person is signed in")
	}
	_, id := claimsOf(t, got.text("id_token"))
	sid, _ := id["sid"].(string)
	w.sessions.mu.Lock()
	w.sessions.ended[sid] = true
	w.sessions.mu.Unlock()
	if body := w.ask(t, got.text("refresh_token")); !maps.Equal(body, map[string]any{"active": false}) {
		t.Errorf("after the session: %v", body)
	}
}

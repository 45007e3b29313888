package oauth_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/oauth"
)

const everything = "openid fhirUser profile launch/patient offline_access user/Observation.read patient/Observation.rs"

func claimsOf(t testing.TB, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWS", token)
	}
	for i, into := range []*map[string]any{&header, &claims} {
		raw := must(base64.RawURLEncoding.DecodeString(parts[i]))(t)
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

func TestAPersonLetsAnAppIn(t *testing.T) {
	w := newWorld(t)
	a := w.tokens(t, everything)
	want := map[string]any{
		"token_type": "Bearer", "expires_in": 3600.0, "patient": "p1", "encounter": "e1", "need_patient_banner": true,
		"scope": "openid fhirUser profile launch/patient offline_access user/Observation.read patient/Observation.rs",
	}
	for name, value := range want {
		if a.Body[name] != value {
			t.Errorf("%s is %v, want %v", name, a.Body[name], value)
		}
	}
	p, err := w.verifier.Verify(t.Context(), a.text("access_token"))
	if err != nil {
		t.Fatal(err)
	}
	if p.Patient != "Patient/p1" || p.Encounter != "Encounter/e1" || p.User.ID != "urn:npi#1" || !p.User.MFA || p.Scopes.String() != "user/Observation.read patient/Observation.rs" {
		t.Errorf("principal %+v", p)
	}
	header, id := claimsOf(t, a.text("id_token"))
	if header["alg"] != "RS256" || header["kid"] != w.idKey.KeyID() {
		t.Errorf("header %v", header)
	}
	for name, value := range map[string]any{
		"iss": issuer, "sub": "subject-1", "nonce": "n1", "acr": "https://refeds.org/profile/mfa", "fhirUser": base + "/Practitioner/ana",
		"name": "Ana Ortiz", "sid": "session-1", "auth_time": float64(w.now().Add(-time.Minute).Unix()), "exp": float64(w.now().Add(5 * time.Minute).Unix()),
	} {
		if id[name] != value {
			t.Errorf("id token: %s is %v, want %v", name, id[name], value)
		}
	}
	if aud, _ := id["aud"].([]any); len(aud) != 1 || aud[0] != "app" {
		t.Errorf("aud %v", id["aud"])
	}
	if _, ok := id["at_hash"].(string); !ok {
		t.Error("no at_hash")
	}
	at := w.trail.last(t)
	if at.Client != "app" || at.Authenticated || at.User.Name != "Ana Ortiz" || at.Reference != "Practitioner/ana" || at.TokenID == "" || at.Authorization == "" || at.GrantType != "authorization_code" {
		t.Errorf("attempt %+v", at)
	}
	if w.good(t, a.text("id_token")) {
		t.Error("an id token opens the FHIR server")
	}
}

func TestEachKindOfClientAuthenticates(t *testing.T) {
	w := newWorld(t)
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("secret:"+strings.ReplaceAll(strings.ReplaceAll(secret, " ", "+"), ",", "%2C")))
	signer := must(auth.NewSigner("signed", w.key, 0, w.now))(t)
	for _, c := range []struct {
		client string
		over   map[string]string
		head   []string
	}{
		{"app", nil, nil},
		{"secret", map[string]string{"client_secret": secret}, nil},
		{"secret", nil, []string{"Authorization", basic}},
		{"secret", map[string]string{"client_id": "-"}, []string{"Authorization", basic}},
		{"signed", map[string]string{"client_id": "-", "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion": must(signer.Assertion(tokenURL))(t)}, nil},
	} {
		code := w.code(t, request(c.client, nil))
		if a := w.post(t, exchange(c.client, code, c.over), c.head...); a.Status != http.StatusOK {
			t.Errorf("%s %v: %d %v (%s)", c.client, c.over, a.Status, a.Body, w.trail.last(t).Reason)
		}
	}
}

func TestABackendServiceGetsAToken(t *testing.T) {
	w := newWorld(t)
	signer := must(auth.NewSigner("service", w.key, 0, w.now))(t)
	v := bend(url.Values{}, map[string]string{
		"grant_type": "client_credentials", "scope": "system/Patient.rs", "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
		"client_assertion": must(signer.Assertion(tokenURL))(t),
	})
	a := w.post(t, v)
	if a.Status != http.StatusOK || a.text("scope") != "system/Patient.rs" || a.Body["expires_in"] != 300.0 || a.text("refresh_token") != "" {
		t.Fatalf("%d %v", a.Status, a.Body)
	}
	if again := w.post(t, v); again.text("error") != "invalid_client" {
		t.Errorf("the assertion twice: %v", again.Body)
	}
}

func TestARefreshGivesANewPair(t *testing.T) {
	w := newWorld(t)
	first := w.tokens(t, everything)
	w.pass(time.Hour)
	for _, over := range []map[string]string{nil, {"client_id": "app"}, {"scope": "patient/Observation.r offline_access"}, nil} {
		next := w.post(t, refreshing(first.text("refresh_token"), over))
		if next.Status != http.StatusOK || next.text("refresh_token") == "" || next.text("refresh_token") == first.text("refresh_token") {
			t.Fatalf("%v: %d %v (%s)", over, next.Status, next.Body, w.trail.last(t).Reason)
		}
		if next.text("patient") != "p1" || next.Body["need_patient_banner"] != true {
			t.Errorf("context is lost: %v", next.Body)
		}
		want := first.text("scope")
		if over["scope"] != "" {
			want = "offline_access patient/Observation.r"
		} else if _, id := claimsOf(t, next.text("id_token")); id["nonce"] != nil {
			t.Errorf("a refreshed id token has a nonce")
		}
		if over["scope"] == "" && next.text("scope") != want || over["scope"] != "" && next.text("scope") != want {
			t.Errorf("%v: scope %q, want %q", over, next.text("scope"), want)
		}
		if !w.good(t, next.text("access_token")) {
			t.Error("the new token opens nothing")
		}
		first.Body["refresh_token"] = next.text("refresh_token")
	}
}

func TestUserInfoAndKeys(t *testing.T) {
	w := newWorld(t)
	get := func(path, token string) *http.Response {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		return w.serve(r)
	}
	res := get(oauth.UserInfoPath, w.tokens(t, everything).text("access_token"))
	said := map[string]any{}
	if err := json.NewDecoder(res.Body).Decode(&said); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%d %v", res.StatusCode, err)
	}
	if said["sub"] != "subject-1" || said["fhirUser"] != base+"/Practitioner/ana" || said["name"] != "Ana Ortiz" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v %v", said, res.Header)
	}
	if e := w.trail.lastEvent(t); e.Interaction != "userinfo" || e.User != "Practitioner/ana" || e.Client != "app" {
		t.Errorf("event %+v", e)
	}
	for token, want := range map[string]int{"": 401, "x.y.z": 401, w.tokens(t, "user/Observation.rs").text("access_token"): 403} {
		if res := get(oauth.UserInfoPath, token); res.StatusCode != want || res.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%.10q: %d %v", token, res.StatusCode, res.Header)
		}
	}
	keys := struct{ Keys []map[string]any }{}
	if err := json.NewDecoder(get(oauth.KeysPath, "").Body).Decode(&keys); err != nil {
		t.Fatal(err)
	}
	var algs []string
	for _, k := range keys.Keys {
		algs = append(algs, k["alg"].(string))
		if k["d"] != nil {
			t.Fatal("a private key is published")
		}
	}
	if !slices.Equal(algs, []string{"RS256", "ES256"}) {
		t.Errorf("keys %v", algs)
	}
}

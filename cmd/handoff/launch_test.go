package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A walker is a browser without scripts at the demo.
type walker struct {
	t      *testing.T
	client *http.Client
	at     *url.URL // of the page that it shows
	page   string
	stop   string // an address to which it does not go: the app's
}

func (w *walker) go1(req *http.Request) {
	w.t.Helper()
	for range 20 {
		if w.stop != "" && strings.HasPrefix(req.URL.String(), w.stop) {
			w.at, w.page = req.URL, ""
			return
		}
		resp, err := w.client.Do(req)
		if err != nil {
			w.t.Fatal(err)
		}
		raw, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			w.t.Fatal(err)
		}
		to := resp.Header.Get("Location")
		if _, next, ok := strings.Cut(resp.Header.Get("Refresh"), "url="); ok {
			to = next
		}
		w.at, w.page = req.URL, string(raw)
		if to == "" {
			return
		}
		next, err := req.URL.Parse(to)
		if err != nil {
			w.t.Fatal(err)
		}
		if req, err = http.NewRequest(http.MethodGet, next.String(), nil); err != nil {
			w.t.Fatal(err)
		}
	}
	w.t.Fatalf("%s leads nowhere", req.URL)
}

func (w *walker) open(address string) {
	w.t.Helper()
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.go1(req)
}

var hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// fill sends the form of the page that goes to action, with its hidden fields.
func (w *walker) fill(action string, pairs ...string) {
	w.t.Helper()
	_, form, ok := strings.Cut(w.page, `action="`+action+`"`)
	if !ok {
		w.t.Fatalf("there is no form for %s at %s:\n%s", action, w.at, w.page)
	}
	form, _, _ = strings.Cut(form, "</form>")
	v := url.Values{}
	for _, m := range hiddenInput.FindAllStringSubmatch(form, -1) {
		v.Set(m[1], html.UnescapeString(m[2]))
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	to, err := w.at.Parse(action)
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, to.String(), strings.NewReader(v.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w.go1(req)
}

func (w *walker) signIn(u *demoUser) {
	w.t.Helper()
	w.fill("/oauth/signin", "name", u.name, "password", u.password, "code", u.code)
}

// pick chooses the first value of a list.
func (w *walker) pick(name string) string {
	w.t.Helper()
	m := regexp.MustCompile(`name="` + name + `" value="([^"]+)"`).FindStringSubmatch(w.page)
	if m == nil {
		w.t.Fatalf("there is no %s to choose:\n%s", name, w.page)
	}
	return html.UnescapeString(m[1])
}

func newWalker(t *testing.T) *walker {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &walker{t: t, client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// chartAppAsks is where the clinician's app of the demo sends a browser.
func chartAppAsks(d *demo, verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return strings.TrimSuffix(d.base, "/fhir") + "/oauth/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {"lakeside-app"}, "redirect_uri": {d.app.redirect("lakeside-app")}, "state": {"the-state"}, "aud": {d.base},
		"scope":          {"launch/patient openid fhirUser offline_access patient/Patient.rs patient/Encounter.rs"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode()
}

// chartAppToken is what that app gets for a code or a refresh token.
func chartAppToken(t *testing.T, d *demo, form url.Values) (int, map[string]any) {
	t.Helper()
	form.Set("client_id", "lakeside-app")
	resp, err := http.PostForm(strings.TrimSuffix(d.base, "/fhir")+"/oauth/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

func readAs(t *testing.T, d *demo, bearer any, what string) int {
	t.Helper()
	got, err := visitor{d: d, token: fmt.Sprint(bearer)}.do(t.Context(), http.MethodGet, what, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	return got.code
}

// A clinician opens an app by itself, finds a patient, allows part of what it asks
// for; the app reads, refreshes and is signed out. Then the EHR opens the demo's app.
func TestPeopleOpenApps(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out screen
	d, done := startDemo(ctx, t, filepath.Join(t.TempDir(), "demo"), &out)
	origin := strings.TrimSuffix(d.base, "/fhir")
	w := newWalker(t)
	w.stop = d.app.redirect("lakeside-app")
	verifier := rand.Text() + rand.Text()
	w.open(chartAppAsks(d, verifier))
	w.signIn(d.users[1])
	w.fill("/oauth/launch/patient", "family", "Nobody", "birth", "1990-01-02")
	if !strings.Contains(w.page, "Nobody was found") {
		t.Fatalf("%s", w.page)
	}
	w.fill("/oauth/launch/patient", "identifier", "R100001")
	patient := w.pick("patient")
	w.fill("/oauth/launch/patient", "patient", patient)
	if !strings.Contains(w.page, "Jo Marsh") || !strings.Contains(w.page, "Lakeside chart app") || !strings.Contains(w.page, "born ") {
		t.Fatalf("%s", w.page)
	}
	w.fill("/oauth/launch/decision", "decision", "allow", "scope", "3", "scope", "4") // Encounters are left out
	code := w.at.Query().Get("code")
	if code == "" || w.at.Query().Get("state") != "the-state" {
		t.Fatalf("the app gets %s", w.at)
	}
	token := func(form url.Values) (int, map[string]any) { t.Helper(); return chartAppToken(t, d, form) }
	read := func(bearer any, what string) int { t.Helper(); return readAs(t, d, bearer, what) }
	status, got := token(url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {w.stop}, "code_verifier": {verifier}})
	if status != http.StatusOK || "Patient/"+fmt.Sprint(got["patient"]) != patient || strings.Contains(fmt.Sprint(got["scope"]), "Encounter") {
		t.Fatalf("%d %v", status, got)
	}
	if a, b := read(got["access_token"], patient), read(got["access_token"], "Encounter?patient="+patient); a != http.StatusOK || b != http.StatusForbidden {
		t.Errorf("the patient %d, encounters that were left out %d", a, b)
	}
	status, fresh := token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {fmt.Sprint(got["refresh_token"])}})
	if status != http.StatusOK || read(fresh["access_token"], patient) != http.StatusOK {
		t.Fatalf("%d %v", status, fresh)
	}
	t.Run("an EHR launch", func(t *testing.T) { ehrLaunch(t, ctx, d, w.client, patient) })
	w.stop = ""
	w.open(origin + "/oauth/signout")
	w.fill("/oauth/signout")
	if a := read(fresh["access_token"], patient); a != http.StatusUnauthorized {
		t.Errorf("after the sign-out the token reads: %d", a)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// ehrLaunch opens the demo's own app from the clinic's EHR.
func ehrLaunch(t *testing.T, ctx context.Context, d *demo, client *http.Client, patient string) {
	token, err := d.token(ctx, "lakeside-clinic", "system/Patient.r system/Encounter.rs https://handoff-health.github.io/fhir/scope/launch")
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, strings.TrimSuffix(d.base, "/fhir")+"/oauth/launch", strings.NewReader(fmt.Sprintf(`{"client_id":"lakeside-app","patient":%q}`, patient)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	got, err := send(req)
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		URL string `json:"launch_url"`
	}
	if err := json.Unmarshal(got.body, &out); err != nil || out.URL == "" {
		t.Fatalf("%s %s", got.status, got.body)
	}
	w := &walker{t: t, client: client}
	w.open(out.URL)
	w.fill("/oauth/launch/decision", "decision", "allow", "scope", "3", "scope", "4")
	if !strings.Contains(w.page, "GET "+patient) || !strings.Contains(w.page, "200 OK") || strings.Contains(w.page, "eyJ") {
		t.Fatalf("at %s:\n%s", w.at, w.page)
	}
	// The address of a launch counts once.
	w.open(out.URL)
	if !strings.Contains(w.page, "access_denied") {
		t.Errorf("again, at %s:\n%s", w.at, w.page)
	}
}

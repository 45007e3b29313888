package oauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/oauth"
)

// refusedPage wants an answer that goes to the person and sends the browser nowhere.
func refusedPage(t *testing.T, res *http.Response) string {
	t.Helper()
	body := must(io.ReadAll(res.Body))(t)
	if res.StatusCode < 400 || res.Header.Get("Location") != "" || res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v %s", res.StatusCode, res.Header, body)
	}
	return string(body)
}

func TestDoubtsAboutTheAppAreShownAndNeverRedirected(t *testing.T) {
	w := newWorld(t)
	w.change(t, "other", func(c *auth.Client) { c.Disabled = true })
	for name, v := range map[string]url.Values{
		"no client":            request("app", map[string]string{"client_id": "-"}),
		"unknown client":       request("nobody", nil),
		"disabled client":      request("other", nil),
		"backend service":      request("service", nil),
		"no redirect_uri":      request("app", map[string]string{"redirect_uri": "-"}),
		"another redirect_uri": request("app", map[string]string{"redirect_uri": "https://evil.example/cb"}),
		"longer":               request("app", map[string]string{"redirect_uri": callback + "/x"}),
		"with a query":         request("app", map[string]string{"redirect_uri": callback + "?x=1"}),
		"another case":         request("app", map[string]string{"redirect_uri": "https://APP.example/cb"}),
		"encoded":              request("app", map[string]string{"redirect_uri": "https://app.example/%63b"}),
		"a slash more":         request("app", map[string]string{"redirect_uri": callback + "/"}),
		"a space":              request("app", map[string]string{"redirect_uri": callback + " "}),
	} {
		t.Run(name, func(t *testing.T) {
			body := refusedPage(t, w.authorize(v))
			if strings.Contains(body, "evil") {
				t.Errorf("the page shows what was sent: %s", body)
			}
			if e := w.trail.lastEvent(t); e.Interaction != "authorize" || e.Outcome == 0 || e.Reason == "" || e.Client != "" {
				t.Errorf("event %+v", e)
			}
		})
	}
}

// An away is a source of clients that cannot be asked.
type away struct{ err error }

func (a *away) Version(context.Context) (int64, error)     { return 1, a.err }
func (a *away) Load(context.Context) (auth.Changes, error) { return auth.Changes{}, a.err }

// Where the store cannot say which apps there are, nobody is told that an app is not
// registered.
func TestAnAppIsNotUnknownBecauseTheStoreIsAway(t *testing.T) {
	source := &away{}
	w := newWorldWith(t, func(backend.Backend) auth.Source { return source })
	for err, status := range map[error]int{store.ErrAway: http.StatusServiceUnavailable, store.ErrDamaged: http.StatusInternalServerError} {
		source.err = fmt.Errorf("MongoDB at db.internal: %w", err)
		res := w.authorize(request("app", nil))
		body := refusedPage(t, res)
		if res.StatusCode != status || strings.Contains(body, "registered") || strings.Contains(body, "db.internal") || w.trail.lastEvent(t).Reason == "client-unknown" {
			t.Errorf("%v: %d %s, event %+v", err, res.StatusCode, body, w.trail.lastEvent(t))
		}
	}
	source.err = nil
	w.waiting(t, request("app", nil))
}

func TestRepeatedParametersAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"client_id", "redirect_uri", "state", "scope", "aud", "code_challenge", "resource"} {
		v := request("app", map[string]string{"resource": base})
		v.Add(name, v.Get(name))
		refusedPage(t, w.authorize(v))
	}
	// What stands in the query does not count beside a form.
	v := request("app", nil)
	r := httptest.NewRequest(http.MethodPost, oauth.AuthorizePath+"?scope=user/*.rs", strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	refusedPage(t, w.serve(r))
}

func TestOtherErrorsGoToTheApp(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name string
		over map[string]string
		want string
	}{
		{"no response_type", map[string]string{"response_type": "-"}, "invalid_request"},
		{"implicit", map[string]string{"response_type": "token"}, "unsupported_response_type"},
		{"hybrid", map[string]string{"response_type": "code id_token"}, "unsupported_response_type"},
		{"fragment", map[string]string{"response_mode": "fragment"}, "invalid_request"},
		{"form_post", map[string]string{"response_mode": "form_post"}, "invalid_request"},
		{"no state", map[string]string{"state": "-"}, "invalid_request"},
		{"a long state", map[string]string{"state": strings.Repeat("s", 2049)}, "invalid_request"},
		{"no aud", map[string]string{"aud": "-"}, "invalid_request"},
		{"another aud", map[string]string{"aud": "https://evil.example/fhir"}, "invalid_target"},
		{"aud is the origin", map[string]string{"aud": issuer}, "invalid_target"},
		{"aud is longer", map[string]string{"aud": base + "/Patient"}, "invalid_target"},
		{"resource is another", map[string]string{"resource": "https://evil.example/fhir"}, "invalid_target"},
		{"no challenge", map[string]string{"code_challenge": "-"}, "invalid_request"},
		{"no method", map[string]string{"code_challenge_method": "-"}, "invalid_request"},
		{"plain", map[string]string{"code_challenge_method": "plain"}, "invalid_request"},
		{"another method", map[string]string{"code_challenge_method": "s256"}, "invalid_request"},
		{"a short challenge", map[string]string{"code_challenge": "abc"}, "invalid_request"},
		{"a padded challenge", map[string]string{"code_challenge": challenge(verifier)[:42] + "="}, "invalid_request"},
		{"a request object", map[string]string{"request": "x.y.z"}, "request_not_supported"},
		{"a request_uri", map[string]string{"request_uri": "https://evil.example/r"}, "request_uri_not_supported"},
		{"UDAP", map[string]string{"udap": "1"}, "invalid_request"},
		{"no scope", map[string]string{"scope": "-"}, "invalid_request"},
		{"malformed scope", map[string]string{"scope": "openid user/Patient.sr"}, "invalid_scope"},
		{"unknown type", map[string]string{"scope": "openid user/Nothing.rs"}, "invalid_scope"},
		{"system", map[string]string{"scope": "openid system/Patient.rs"}, "invalid_scope"},
		{"not registered", map[string]string{"scope": "user/Patient.d"}, "invalid_scope"},
		{"unknown alone", map[string]string{"scope": "email"}, "invalid_scope"},
		{"launch without its scope", map[string]string{"launch": "h"}, "invalid_scope"},
		{"prompt none and another", map[string]string{"prompt": "none login"}, "invalid_request"},
		{"prompt none and login", map[string]string{"prompt": "none login"}, "invalid_request"},
		{"unknown prompt", map[string]string{"prompt": "maybe"}, "invalid_request"},
		{"max_age", map[string]string{"max_age": "-5"}, "invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := request("app", c.over)
			res := w.authorize(v)
			to := must(url.Parse(res.Header.Get("Location")))(t)
			q := to.Query()
			if res.StatusCode != http.StatusFound || to.Host != "app.example" || to.Path != "/cb" || to.Fragment != "" {
				t.Fatalf("%d %s", res.StatusCode, to)
			}
			if q.Get("error") != c.want || q.Get("state") != v.Get("state") || q.Get("iss") != issuer || q.Get("code") != "" {
				t.Errorf("answer %s, want %s", to.RawQuery, c.want)
			}
			if e := w.trail.lastEvent(t); e.Outcome == 0 || !strings.Contains(e.Query, "error="+c.want) || strings.Contains(e.Query, "state") {
				t.Errorf("event %+v", e)
			}
		})
	}
}

func TestGoodRequestsWait(t *testing.T) {
	w := newWorld(t)
	post := func(v url.Values) *http.Response {
		r := httptest.NewRequest(http.MethodPost, oauth.AuthorizePath, strings.NewReader(v.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return w.serve(r)
	}
	for _, c := range []struct {
		over  map[string]string
		scope string
		send  func(url.Values) *http.Response
	}{
		{nil, "openid fhirUser launch/patient offline_access user/Observation.rs patient/Observation.rs", w.authorize},
		{map[string]string{"aud": base + "/"}, "openid fhirUser launch/patient offline_access user/Observation.rs patient/Observation.rs", post},
		{map[string]string{"aud": "-", "resource": base, "scope": "email user/Patient.cruds launch"}, "user/Patient.rs", w.authorize},
		{map[string]string{"scope": "launch online_access patient/Patient.read", "launch": "h1", "max_age": "60", "prompt": "login"}, "launch online_access patient/Patient.read", post},
		{map[string]string{"client_id": "secret", "response_mode": "query", "scope": "user/Observation.rs?category=laboratory"}, "user/Observation.rs?category=laboratory", w.authorize},
	} {
		v := request("app", c.over)
		res := c.send(v)
		to := must(url.Parse(res.Header.Get("Location")))(t)
		if res.StatusCode != http.StatusFound || to.Path != oauth.PagePath {
			t.Errorf("%v: %d %s", c.over, res.StatusCode, to)
			continue
		}
		r := must(w.server.Request(t.Context(), to.Query().Get("id")))(t)
		if r.Scope != c.scope || r.Client != v.Get("client_id") || r.RedirectURI != callback || r.Launch != v.Get("launch") {
			t.Errorf("%v: request %+v", c.over, r)
		}
		if v.Get("max_age") == "60" && (r.MaxAge != time.Minute || len(r.Prompt) != 1) || v.Get("max_age") == "" && r.MaxAge != -1 {
			t.Errorf("%v: request %+v", c.over, r)
		}
	}
	if res := w.serve(httptest.NewRequest(http.MethodPut, oauth.AuthorizePath, nil)); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") == "" {
		t.Errorf("PUT: %d %v", res.StatusCode, res.Header)
	}
}

func TestARequestIsAnsweredOnce(t *testing.T) {
	w := newWorld(t)
	approve := func(id string) error {
		_, err := w.server.Approve(t.Context(), id, w.decision("user/Observation.rs"))
		return err
	}
	refuse := func(id string) error {
		_, err := w.server.Refuse(t.Context(), id, oauth.Refusal{Code: "access_denied", Description: "the person said no", Reason: "denied"})
		return err
	}
	for _, first := range []func(string) error{approve, refuse} {
		for _, second := range []func(string) error{approve, refuse} {
			id := w.waiting(t, request("app", nil))
			if err := first(id); err != nil {
				t.Fatal(err)
			}
			if err := second(id); !errors.Is(err, oauth.ErrNoRequest) {
				t.Errorf("answered again: %v", err)
			}
			if _, err := w.server.Request(t.Context(), id); !errors.Is(err, oauth.ErrNoRequest) {
				t.Errorf("waits still: %v", err)
			}
		}
	}
	id := w.waiting(t, request("app", nil))
	w.pass(oauth.RequestLife)
	if err := approve(id); !errors.Is(err, oauth.ErrNoRequest) {
		t.Errorf("after its time: %v", err)
	}
	if err := approve("made-up"); !errors.Is(err, oauth.ErrNoRequest) {
		t.Errorf("made up: %v", err)
	}
	// Two answers at one moment: one counts.
	id = w.waiting(t, request("app", nil))
	results := make(chan error)
	for range 8 {
		go func() { results <- approve(id) }()
	}
	good := 0
	for range 8 {
		if <-results == nil {
			good++
		}
	}
	if good != 1 {
		t.Errorf("%d of eight answers counted", good)
	}
}

func TestARefusalGoesToTheApp(t *testing.T) {
	w := newWorld(t)
	id := w.waiting(t, request("app", nil))
	to := must(url.Parse(must(w.server.Refuse(t.Context(), id, oauth.Refusal{Code: "access_denied", Description: "the person said no", Reason: "denied"}))(t)))(t)
	q := to.Query()
	if to.Host != "app.example" || q.Get("error") != "access_denied" || q.Get("state") != "st&ate=1 ä" || q.Get("iss") != issuer || q.Get("error_description") != "the person said no" {
		t.Errorf("answer %s", to)
	}
}

func TestADecisionStaysWithinTheRequest(t *testing.T) {
	w := newWorld(t)
	for name, bend := range map[string]func(*oauth.Decision){
		"more letters":      func(d *oauth.Decision) { d.Scope = "user/Observation.rus" },
		"another type":      func(d *oauth.Decision) { d.Scope = "user/Patient.rs" },
		"system":            func(d *oauth.Decision) { d.Scope = "system/Observation.rs" },
		"a context more":    func(d *oauth.Decision) { d.Scope = "profile user/Observation.rs" },
		"nothing":           func(d *oauth.Decision) { d.Scope = "" },
		"no patient":        func(d *oauth.Decision) { d.Scope, d.Patient = "patient/Observation.rs", "" },
		"an odd patient":    func(d *oauth.Decision) { d.Patient = "Group/1" },
		"an odd encounter":  func(d *oauth.Decision) { d.Encounter = "Patient/1" },
		"nobody":            func(d *oauth.Decision) { d.Said.UserID = "" },
		"no subject":        func(d *oauth.Decision) { d.Subject = "" },
		"no session":        func(d *oauth.Decision) { d.Session = "" },
		"no sign-in":        func(d *oauth.Decision) { d.SignedIn = time.Time{} },
		"another role":      func(d *oauth.Decision) { d.Said.Role = "emergency-physician" },
		"another purpose":   func(d *oauth.Decision) { d.Said.Purposes = []string{"HRESCH"} },
		"another's people":  func(d *oauth.Decision) { d.Said.Organization = "Organization/police" },
		"purposes left out": func(d *oauth.Decision) { d.Said.Purposes = nil },
	} {
		t.Run(name, func(t *testing.T) {
			id := w.waiting(t, request("app", nil))
			d := w.decision("user/Observation.rs")
			bend(&d)
			if to, err := w.server.Approve(t.Context(), id, d); err == nil {
				t.Fatalf("approved: %s", to)
			}
			// A decision that was none leaves the request to be decided.
			if _, err := w.server.Approve(t.Context(), id, w.decision("user/Observation.rs")); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestADisabledAppGetsNoDecision(t *testing.T) {
	w := newWorld(t)
	id := w.waiting(t, request("app", nil))
	w.change(t, "app", func(c *auth.Client) { c.Disabled = true })
	if _, err := w.server.Approve(t.Context(), id, w.decision("user/Observation.rs")); err == nil {
		t.Error("approved")
	}
}

func TestWithoutATrailNothingIsAuthorized(t *testing.T) {
	w := newWorld(t)
	id := w.waiting(t, request("app", nil))
	w.trail.fail = errors.New("disk full")
	refusedPage(t, w.authorize(request("app", nil)))
	if _, err := w.server.Approve(t.Context(), id, w.decision("user/Observation.rs")); err == nil {
		t.Error("approved without a record")
	}
}

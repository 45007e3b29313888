package launch

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/gateway/oauth"
)

const picking = "launch/patient launch/encounter openid patient/Observation.rs"

// A person finds a patient, takes an encounter, leaves a scope out, and allows.
func TestStandaloneLaunch(t *testing.T) {
	w := newWorld(t)
	b, id := &browser{w: w}, w.request("app", picking+" offline_access")
	for _, step := range []struct{ path, want, name, value, name2, value2 string }{
		{patientPath, "Ada Sample (born 1980-03-17)", "family", "Sample", "birth", "1980-03-17"},
		{patientPath, "", "patient", "Patient/ada", "", ""},
		{encounterPath, "", "encounter", "Encounter/visit", "", ""},
	} {
		got := b.open(id)
		if got.Code != http.StatusOK {
			t.Fatalf("before %+v: %d %s", step, got.Code, got.Body)
		}
		if got = b.post(step.path, id, step.name, step.value, step.name2, step.value2); !strings.Contains(got.Body.String(), step.want) {
			t.Fatalf("%+v: %d %s", step, got.Code, got.Body)
		}
	}
	page := b.open(id).Body.String()
	for _, want := range []string{"App app", "Clinic", "Jo Marsh", "Ada Sample", "born 1980-03-17", "Encounter (finished)", "<code>patient/Observation.rs</code>", "<code>offline_access</code>"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not on the page\n%s", want, page)
		}
	}
	got := b.post(decisionPath, id, "decision", "allow", "scope", "3")
	d := w.granted[id]
	if got.Code != http.StatusOK || got.Header().Get("Refresh") != "0;url="+back+"?code=c" || d.Scope != picking || d.Patient != "Patient/ada" || d.Encounter != "Encounter/visit" {
		t.Errorf("%d %v %+v", got.Code, got.Header(), d)
	}
	if d.Said.Role != clinician || len(d.Said.Purposes) != 1 || d.Said.Purposes[0] != treat || d.Session != "s1" {
		t.Errorf("%+v", d)
	}
}

// At each step something is not as it should be.
func TestRefusals(t *testing.T) {
	ready := func(b *browser, id string) { // up to the decision
		b.open(id)
		b.post(patientPath, id, "patient", "Patient/ada")
		b.post(encounterPath, id, "encounter", "Encounter/visit")
	}
	allow := []string{"decision", "allow", "scope", "3"}
	for _, c := range []struct {
		name   string
		do     func(w *world, b *browser, id string) (status int, body string)
		status int
		body   string
	}{
		{"another browser", func(w *world, b *browser, id string) (int, string) {
			ready(b, id)
			got := (&browser{w: w}).post(decisionPath, id, allow...)
			return got.Code, got.Body.String()
		}, 400, "another browser"},
		{"another browser opens it", func(w *world, b *browser, id string) (int, string) {
			b.open(id)
			got := (&browser{w: w}).open(id)
			return got.Code, got.Body.String()
		}, 400, "another browser"},
		{"page token", func(_ *world, b *browser, id string) (int, string) {
			ready(b, id)
			got := b.post(decisionPath, id, append(allow, "page_token", "bad")...)
			return got.Code, got.Body.String()
		}, 400, "too old"},
		{"no such request", func(_ *world, b *browser, _ string) (int, string) {
			got := b.open("x")
			return got.Code, got.Body.String()
		}, 400, "too old"},
		{"too old", func(w *world, b *browser, id string) (int, string) {
			ready(b, id)
			w.at = w.at.Add(flowLife)
			got := b.post(decisionPath, id, allow...)
			return got.Code, got.Body.String()
		}, 400, "too old"},
		{"patient not visible", func(_ *world, b *browser, id string) (int, string) {
			b.open(id)
			got := b.post(patientPath, id, "patient", "Patient/hidden")
			return got.Code, got.Body.String()
		}, 422, "cannot be chosen"},
		{"patient is no id", func(_ *world, b *browser, id string) (int, string) {
			b.open(id)
			got := b.post(patientPath, id, "patient", "../Task/1")
			return got.Code, got.Body.String()
		}, 422, "cannot be chosen"},
		{"encounter of another", func(_ *world, b *browser, id string) (int, string) {
			b.open(id)
			b.post(patientPath, id, "patient", "Patient/ada")
			got := b.post(encounterPath, id, "encounter", "Encounter/other")
			return got.Code, got.Body.String()
		}, 422, "Choose an encounter"},
		{"patient hidden by now", func(w *world, b *browser, id string) (int, string) {
			ready(b, id)
			delete(w.seen, "Patient/ada")
			b.post(decisionPath, id, allow...)
			got := b.open(id)
			return got.Code, got.Body.String()
		}, 200, "Which patient?"},
		{"encounter hidden by now", func(w *world, b *browser, id string) (int, string) {
			ready(b, id)
			delete(w.seen, "Encounter/visit")
			b.post(decisionPath, id, allow...)
			got := b.open(id)
			return got.Code, got.Body.String()
		}, 200, "Which encounter?"},
		{"patient skipped", func(_ *world, b *browser, id string) (int, string) {
			b.open(id)
			got := b.post(decisionPath, id, allow...)
			return got.Code, got.Header().Get("Location")
		}, 303, AuthorizePath},
		{"scope not offered", func(_ *world, b *browser, id string) (int, string) {
			ready(b, id)
			got := b.post(decisionPath, id, "decision", "allow", "scope", "99")
			return got.Code, got.Body.String() // openid is left
		}, 200, "One moment"},
		{"no decision", func(_ *world, b *browser, id string) (int, string) {
			ready(b, id)
			got := b.post(decisionPath, id, "scope", "3")
			return got.Code, got.Body.String()
		}, 422, "Choose whether"},
		{"role not offered", func(_ *world, b *browser, id string) (int, string) {
			b.open(id)
			got := b.post(rolePath, id, "role", manager, "purpose", treat)
			return got.Code, got.Body.String()
		}, 422, "Choose the role"},
		{"purpose not offered", func(_ *world, b *browser, id string) (int, string) {
			b.open(id)
			got := b.post(rolePath, id, "role", clinician, "purpose", "x#ETREAT")
			return got.Code, got.Body.String()
		}, 422, "Choose what you need"},
		{"records are down", func(w *world, b *browser, id string) (int, string) {
			b.open(id)
			w.down = true
			got := b.post(patientPath, id, "patient", "Patient/ada")
			return got.Code, got.Body.String()
		}, 503, "at the moment"},
		{"another person comes", func(w *world, b *browser, id string) (int, string) {
			ready(b, id)
			w.person = w.somebody("s2")
			b.post(decisionPath, id, allow...)
			got := b.open(id)
			return got.Code, got.Body.String()
		}, 200, "Which patient?"},
		{"nobody is there any more", func(w *world, b *browser, id string) (int, string) {
			ready(b, id)
			w.person = nil
			got := b.post(decisionPath, id, allow...)
			return got.Code, got.Header().Get("Location")
		}, 303, "/oauth/signin"},
		{"GET of a form", func(_ *world, b *browser, id string) (int, string) {
			got := b.do(mustRequest(http.MethodGet, origin+decisionPath+"?id="+id))
			return got.Code, got.Header().Get("Allow")
		}, 405, "POST"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			b, id := &browser{w: w}, w.request("app", picking)
			status, body := c.do(w, b, id)
			if status != c.status || !strings.Contains(body, c.body) {
				t.Errorf("%d, want %d with %q\n%s", status, c.status, c.body, body)
			}
			if d, ok := w.granted[id]; ok && (c.name != "scope not offered" || d.Scope != "launch/patient launch/encounter openid") {
				t.Errorf("granted: %+v", d)
			}
			if status == 400 && (len(w.events) == 0 || w.events[len(w.events)-1].Reason != "request") {
				t.Errorf("not on record: %+v", w.events)
			}
		})
	}
}

func mustRequest(method, target string) *http.Request {
	r, err := http.NewRequest(method, target, nil)
	if err != nil {
		panic(err)
	}
	r.RequestURI = target
	return r
}

func TestDenyNamesWhoAndWhat(t *testing.T) {
	w := newWorld(t)
	b, id := &browser{w: w}, w.request("app", "launch/patient patient/Observation.rs")
	b.open(id)
	b.post(patientPath, id, "patient", "Patient/ada")
	b.post(decisionPath, id, "decision", "deny")
	r := w.refused[id]
	if r.Code != "access_denied" || r.Reason != "denied" || r.By.Patient != "Patient/ada" || r.By.Said.Role != clinician || r.By.Said.UserID == "" {
		t.Errorf("%+v", r)
	}
}

// Of two posts at once one counts.
func TestTwoPostsAtOnce(t *testing.T) {
	w := newWorld(t)
	b, id := &browser{w: w}, w.request("app", "openid user/Observation.rs")
	b.open(id)
	var all sync.WaitGroup
	codes := make([]int, 8)
	for i := range codes {
		all.Go(func() {
			codes[i] = (&browser{w: w, cookies: b.cookies}).post(decisionPath, id, "decision", "allow", "scope", "1").Code
		})
	}
	all.Wait()
	good := 0
	for _, c := range codes {
		if c == http.StatusOK {
			good++
		}
	}
	if good != 1 {
		t.Errorf("%v", codes)
	}
}

func TestSignInsThatAppsWant(t *testing.T) {
	prompt := func(p ...string) func(*oauth.Request) { return func(q *oauth.Request) { q.Prompt = p } }
	maxAge := func(d time.Duration) func(*oauth.Request) { return func(q *oauth.Request) { q.MaxAge = d } }
	nobody := func(w *world) { w.person = nil }
	renewed := func(w *world) { w.person.Began, w.person.SignedIn = w.at, w.at.Truncate(time.Second) }
	silently := func(w *world) { w.person.Began = w.at } // the provider did not ask
	other := func(w *world) { w.person.Provider = "other-idp" }
	for _, c := range []struct {
		name   string
		person func(*world)
		change func(*oauth.Request)
		want   string // again, once, page, or the error for the app
	}{
		{"signed in", nil, maxAge(-1), "page"},
		{"nobody", nobody, maxAge(-1), "once"},
		{"login, signed in before", nil, prompt("login"), "again"},
		{"login, nobody", nobody, prompt("login"), "again"},
		{"login, came back without being asked", silently, prompt("login"), "again"},
		{"login, came back", renewed, prompt("login"), "page"},
		{"select_account", nil, prompt("select_account"), "again"},
		{"max_age 0", nil, maxAge(0), "again"},
		{"max_age 30", nil, maxAge(30 * time.Second), "again"},
		{"max_age 30, nobody", nobody, maxAge(30 * time.Second), "again"},
		{"max_age 30, came back silently", silently, maxAge(30 * time.Second), "again"},
		{"max_age 120", nil, maxAge(2 * time.Minute), "page"},
		{"another provider", other, maxAge(-1), "once"},
		{"another provider, just now", func(w *world) { other(w); renewed(w) }, maxAge(-1), "access_denied"},
		{"no role", func(w *world) { w.person.Roles = []label.Code{{System: actorRole, Code: "case-manager"}} }, maxAge(-1), "access_denied"},
		{"none, nobody", nobody, prompt("none"), "login_required"},
		{"none, signed in", nil, prompt("none"), "consent_required"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			if c.person != nil {
				c.person(w)
			}
			id := w.request("app", "openid user/Observation.rs", c.change)
			got := (&browser{w: w}).open(id)
			said := w.refused[id].Code
			switch {
			case len(w.asked) == 1 && w.asked[0]:
				said = "again"
			case len(w.asked) == 1:
				said = "once"
			case said == "" && got.Code == http.StatusOK:
				said = "page"
			}
			if said != c.want {
				t.Errorf("%q, want %q: %d %s", said, c.want, got.Code, got.Body)
			}
		})
	}
}

// Who does not sign in as the app wants is not asked for ever.
func TestAskingEnds(t *testing.T) {
	w := newWorld(t)
	b, id := &browser{w: w}, w.request("app", "openid", func(q *oauth.Request) { q.Prompt = []string{"login"} })
	for range maxAsks + 1 {
		b.open(id)
	}
	if len(w.asked) != maxAsks || w.refused[id].Code != "login_required" {
		t.Errorf("asked %d times, %+v", len(w.asked), w.refused[id])
	}
}

// A person who was in one role signs in again before going on in another.
func TestAnotherRole(t *testing.T) {
	w := newWorld(t)
	w.person.Roles = append(w.person.Roles, label.Code{System: actorRole, Code: "case-manager"})
	b, first := &browser{w: w}, w.request("two", "openid user/Observation.rs")
	b.open(first)
	b.post(rolePath, first, "role", clinician, "purpose", treat)
	second := w.request("two", "openid user/Observation.rs")
	b.open(second)
	if got := b.post(rolePath, second, "role", manager, "purpose", treat); got.Header().Get("Location") != "/oauth/signin" || len(w.asked) != 1 || !w.asked[0] {
		t.Fatalf("%v %v", got.Header(), w.asked)
	}
	w.person.Began, w.person.SignedIn = w.at, w.at
	if got := b.post(rolePath, second, "role", manager, "purpose", treat); !strings.HasPrefix(got.Header().Get("Location"), AuthorizePath) {
		t.Errorf("%d %v", got.Code, got.Header())
	}
}

func TestEHRLaunch(t *testing.T) {
	const scope = "launch openid patient/Observation.rs"
	for _, c := range []struct {
		name, app string
		change    func(w *world, b *browser, handle string)
		refused   bool
		encounter string
	}{
		{"good", "app", nil, false, "Encounter/visit"},
		{"another app's", "two", nil, true, ""},
		{"used", "app", func(w *world, b *browser, h string) {
			b.open(w.request("app", scope, func(q *oauth.Request) { q.Launch = h }))
		}, true, ""},
		{"too late", "app", func(w *world, _ *browser, _ string) { w.at = w.at.Add(ContextLife); w.person = w.somebody("s1") }, true, ""},
		{"another person's", "app", func(w *world, _ *browser, _ string) { w.person = w.somebody("s2") }, true, ""},
		{"patient hidden", "app", func(w *world, _ *browser, _ string) { delete(w.seen, "Patient/ada") }, true, ""},
		{"encounter hidden", "app", func(w *world, _ *browser, _ string) { delete(w.seen, "Encounter/visit") }, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			got := w.register("ehr", `{"client_id":"app","patient":"ada","encounter":"Encounter/visit","subject":"urn:x#s1","need_patient_banner":false}`)
			var out struct{ Launch, Launch_URL string }
			if err := json.Unmarshal(got.Body.Bytes(), &out); err != nil || got.Code != http.StatusCreated || !strings.Contains(out.Launch_URL, "launch="+out.Launch) {
				t.Fatalf("%d %s", got.Code, got.Body)
			}
			b := &browser{w: w}
			if c.change != nil {
				c.change(w, b, out.Launch)
			}
			id := w.request(c.app, scope, func(q *oauth.Request) { q.Launch = out.Launch })
			b.open(id)
			if c.app == "two" {
				b.post(rolePath, id, "role", clinician, "purpose", treat)
				b.open(id)
			}
			b.post(decisionPath, id, "decision", "allow", "scope", "2")
			d, granted := w.granted[id]
			if r := w.refused[id]; granted == c.refused || c.refused && (r.Code != "access_denied" || r.Reason != "launch") {
				t.Fatalf("granted %t, refused %+v", granted, r)
			}
			if granted && (d.Patient != "Patient/ada" || d.Encounter != c.encounter || d.Context["need_patient_banner"] != false) {
				t.Errorf("%+v", d)
			}
		})
	}
}

// Trouble in the middle does not burn a launch.
func TestLaunchOutlivesTrouble(t *testing.T) {
	w := newWorld(t)
	var out struct{ Launch string }
	if err := json.Unmarshal(w.register("ehr", `{"client_id":"app","patient":"ada"}`).Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	b, id := &browser{w: w}, w.request("app", "launch patient/Observation.rs", func(q *oauth.Request) { q.Launch = out.Launch })
	w.down = true
	if got := b.open(id); got.Code != http.StatusServiceUnavailable {
		t.Fatal(got.Code)
	}
	w.down = false
	b.open(id)
	b.post(rolePath, id, "role", clinician, "purpose", treat) // the Back button
	b.open(id)
	b.post(decisionPath, id, "decision", "allow", "scope", "1")
	if d := w.granted[id]; d.Patient != "Patient/ada" {
		t.Errorf("%+v, %+v", d, w.refused[id])
	}
}

func TestRegistrationIsRefused(t *testing.T) {
	for _, c := range []struct {
		name, bearer, body string
		status             int
	}{
		{"no token", "x", `{"client_id":"app"}`, 500}, // the fake verifier's own error is no refusal
		{"another scope", "plain", `{"client_id":"app"}`, 403},
		{"a person's token", "person", `{"client_id":"app"}`, 403},
		{"unknown app", "ehr", `{"client_id":"nobody"}`, 400},
		{"another organisation's app", "ehr", `{"client_id":"elsewhere"}`, 400},
		{"hidden patient", "ehr", `{"client_id":"app","patient":"hidden"}`, 400},
		{"encounter of another", "ehr", `{"client_id":"app","patient":"ada","encounter":"other"}`, 400},
		{"unknown member", "ehr", `{"client_id":"app","role":"admin"}`, 400},
		{"a name twice", "ehr", `{"client_id":"app","client_id":"two"}`, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			got := w.register(c.bearer, c.body)
			if got.Code != c.status || strings.Contains(got.Body.String(), `"launch"`) {
				t.Errorf("%d, want %d: %s", got.Code, c.status, got.Body)
			}
			if len(w.events) != 1 || w.events[0].Status != c.status || w.events[0].Reason == "" {
				t.Errorf("%+v", w.events)
			}
		})
	}
}

func TestSearchSaysWhatIsMissing(t *testing.T) {
	for _, c := range []struct {
		q      search
		police bool
		field  string
	}{
		{search{}, false, "family"},
		{search{Family: "Li", Birth: "1980-03-17"}, false, ""},
		{search{Family: "Li", Birth: "1980-02-31"}, false, "birth"},
		{search{Family: "Li, Lee", Birth: "1980-03-17"}, false, "family"},
		{search{Identifier: "4711"}, false, ""},
		{search{Identifier: "4711"}, true, "identifier"},
		{search{Identifier: "|4711"}, true, "identifier"},
		{search{Identifier: "urn:x|4711"}, true, ""},
		{search{Family: "Li", Birth: "1980-03-17"}, true, "given"},
		{search{Family: "L", Given: "Bo", Birth: "1980-03-17"}, true, "family"},
		{search{Family: "Li", Given: "Bo", Birth: "1980-03"}, true, "birth"},
		{search{Family: "Li", Given: "Bo", Birth: "1980-03-17"}, true, ""},
	} {
		got := ""
		if faults := c.q.check(c.police); len(faults) > 0 {
			got = faults[0].Field
		}
		if got != c.field {
			t.Errorf("%+v, police %t: %q, want %q", c.q, c.police, got, c.field)
		}
	}
}

func TestContextReferences(t *testing.T) {
	for entry, want := range map[string]bool{
		`{"reference":"ImagingStudy/1"}`:                     true,
		`{"reference":"Patient/1","role":"x"}`:               true,
		`{"reference":"Patient/1"}`:                          false,
		`{"reference":"Patient/1","role":"launch"}`:          false,
		`{"reference":"Encounter/1/_history/2"}`:             false,
		`{"reference":"https://ehr.example/fhir/Patient/1"}`: false,
		`{"reference":"Patient?identifier=1"}`:               false,
		`{"reference":5}`:                                    false,
		`{"role":"x"}`:                                       false,
	} {
		if _, err := parseContext([]byte(`{"client_id":"a","fhirContext":[` + entry + `]}`)); (err == nil) != want {
			t.Errorf("%s: %v", entry, err)
		}
	}
}

// Who asks without a token, or with another method, is told what is missing.
func TestRegistrationErrors(t *testing.T) {
	w := newWorld(t)
	for method, want := range map[string]string{http.MethodPost: `{"error":"invalid_token"}`, http.MethodGet: `{"error":"invalid_request","error_description":"POST only"}`} {
		got := httptest.NewRecorder()
		w.mux.ServeHTTP(got, httptest.NewRequest(method, origin+Path, strings.NewReader(`{}`)))
		if got.Body.String() != want || method == http.MethodGet && got.Header().Get("Allow") != http.MethodPost {
			t.Errorf("%s: %d %s %v", method, got.Code, got.Body, got.Header())
		}
	}
}

func FuzzParseContext(f *testing.F) {
	for _, s := range []string{
		`{"client_id":"a","patient":"1","encounter":"Encounter/2","subject":"x","intent":"i","tenant":"t","need_patient_banner":true,"fhirContext":[{"reference":"ImagingStudy/1"}]}`,
		`{"client_id":"a","fhirContext":[{"reference":"Patient/1","role":"x"}]}`, `{"client_id":1}`, `[]`, `{"client_id":"a","client_id":"b"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := parseContext(raw)
		if err != nil {
			return
		}
		if c.Client == "" || c.Encounter != "" && c.Patient == "" || c.Patient != "" && !idForm.MatchString(strings.TrimPrefix(c.Patient, "Patient/")) {
			t.Errorf("%+v", c)
		}
		if _, err := json.Marshal(c); err != nil {
			t.Errorf("cannot be kept: %v", err)
		}
	})
}

package registration_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/registration"
)

const path = registration.Path

func TestRegisterReadChangeAndDelete(t *testing.T) {
	n := newNode(t, "", nil)
	made := n.do("clinic", "POST", path, app)
	id, tag := made.str("client_id"), made.Header.Get("ETag")
	if made.Code != http.StatusCreated || id == "" || tag == "" || len(made.str("client_secret")) < 43 || made.Body["client_secret_expires_at"] != float64(0) {
		t.Fatalf("%d %s", made.Code, made.Text)
	}
	if made.str("registration_client_uri") != "https://gw.example/oauth/register/"+id || made.str("organization") != "Organization/clinic" ||
		made.str("token_endpoint_auth_method") != "client_secret_basic" || made.str("source") != "registration" {
		t.Errorf("%s", made.Text)
	}
	if !n.enabled(id) {
		t.Error("the client is not known")
	}
	e := n.last()
	about, _ := url.ParseQuery(e.Query)
	if e.Client != "desk" || e.User != "urn:x#ortiz" || about.Get("client") != id || strings.Contains(e.Query, made.str("client_secret")) {
		t.Errorf("on record: %+v", e)
	}
	contains(t, about["changed"], "redirect_uris")

	read := n.do("clinic", "GET", path+"/"+id, "")
	if read.Code != 200 || read.Header.Get("ETag") != tag || read.Body["client_secret"] != nil || strings.Contains(read.Text, "sha256:") {
		t.Errorf("%d %s", read.Code, read.Text)
	}
	list := n.do("clinic", "GET", path, "")
	if !strings.Contains(list.Text, id) || !strings.Contains(list.Text, `"desk"`) || strings.Contains(list.Text, `"other"`) || strings.Contains(list.Text, `"rms"`) {
		t.Errorf("%s", list.Text)
	}

	change := strings.Replace(app, "https://app.example/back", "https://app.example/return", 1)
	for note, c := range map[string]struct {
		header []string
		want   int
	}{
		"without If-Match": {nil, http.StatusPreconditionRequired},
		"an old one":       {[]string{"If-Match", `"999"`}, http.StatusPreconditionFailed},
		"any":              {[]string{"If-Match", `*`}, http.StatusPreconditionFailed},
	} {
		if got := n.do("clinic", "PUT", path+"/"+id, change, c.header...); got.Code != c.want {
			t.Errorf("%s: %d %s", note, got.Code, got.Text)
		}
	}
	put := n.do("clinic", "PUT", path+"/"+id, change, "If-Match", tag)
	if put.Code != 200 || put.Header.Get("ETag") == tag || !strings.Contains(put.Text, "app.example/return") || put.Body["client_secret"] != nil {
		t.Fatalf("%d %s", put.Code, put.Text)
	}
	about, _ = url.ParseQuery(n.last().Query)
	if len(about["changed"]) != 1 || !strings.Contains(about.Get("before.redirect_uris"), "back") || !strings.Contains(about.Get("after.redirect_uris"), "return") {
		t.Errorf("on record: %v", about)
	}
	if again := n.do("clinic", "PUT", path+"/"+id, change, "If-Match", tag); again.Code != http.StatusPreconditionFailed {
		t.Errorf("the second of two managers: %d", again.Code)
	}
	if wrong := n.do("clinic", "PUT", path+"/"+id, `{"client_id":"x",`+change[1:], "If-Match", put.Header.Get("ETag")); wrong.Code != 400 {
		t.Errorf("another client_id: %d", wrong.Code)
	}
	if got := n.do("clinic", "DELETE", path+"/"+id, ""); got.Code != http.StatusNoContent || n.enabled(id) {
		t.Errorf("delete: %d", got.Code)
	}
	if got := n.do("clinic", "GET", path+"/"+id, ""); got.Code != http.StatusNotFound {
		t.Errorf("after it was deleted: %d", got.Code)
	}
}

func TestWhoManages(t *testing.T) {
	n := newNode(t, "", nil)
	for who, want := range map[string]int{"": 401, "nobody": 401, "no-scope": 403, "one-factor": 403, "clinic": 201, "service": 201} {
		got := n.do(who, "POST", path, app)
		if got.Code != want {
			t.Errorf("%q: %d %s", who, got.Code, got.Text)
		}
		if want == 401 && !strings.HasPrefix(got.Header.Get("WWW-Authenticate"), "Bearer") || want == 403 && got.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%q: no challenge", who)
		}
		if n.last().Status != want {
			t.Errorf("%q: on record: %d", who, n.last().Status)
		}
	}
	theirs := n.do("clinic", "POST", path, app).str("client_id")
	for _, who := range []string{"harbor", "pd", "pd-both"} {
		for _, ask := range [][2]string{{"GET", ""}, {"PUT", app}, {"DELETE", ""}} {
			foreign := n.do(who, ask[0], path+"/"+theirs, ask[1], "If-Match", `"1"`)
			absent := n.do(who, ask[0], path+"/client-nosuch", ask[1], "If-Match", `"1"`)
			if foreign.Code != 404 || foreign.Text != absent.Text || foreign.Header.Get("ETag") != "" {
				t.Errorf("%s %s: %d %s, absent %s", who, ask[0], foreign.Code, foreign.Text, absent.Text)
			}
		}
		for _, what := range []string{"disable", "enable", "secret", "keys", "unlock"} {
			foreign, absent := n.do(who, "POST", path+"/"+theirs+"/"+what, ""), n.do(who, "POST", path+"/client-nosuch/"+what, "")
			if foreign.Code != 404 || foreign.Text != absent.Text {
				t.Errorf("%s %s: %d %s", who, what, foreign.Code, foreign.Text)
			}
		}
		if got := n.do(who, "POST", path, strings.Replace(app, `"client_name"`, `"organization":"Organization/clinic","client_name"`, 1)); got.Code != 400 {
			t.Errorf("%s registers for the clinic: %d", who, got.Code)
		}
		if got := n.do(who, "GET", path, ""); strings.Contains(got.Text, theirs) || strings.Contains(got.Text, "desk") {
			t.Errorf("%s sees %s", who, got.Text)
		}
	}
	forHarbor := strings.Replace(service(t), `"client_name"`, `"organization":"Organization/harbor","client_name"`, 1)
	made := n.do("both", "POST", path, forHarbor)
	if made.Code != 201 || n.do("harbor", "GET", path+"/"+made.str("client_id"), "").Code != 200 || n.do("clinic", "GET", path+"/"+made.str("client_id"), "").Code != 404 {
		t.Errorf("for another organisation: %d %s", made.Code, made.Text)
	}
}

func TestWhatIsRefused(t *testing.T) {
	n := newNode(t, "", nil)
	with := func(old, new string) string {
		t.Helper()
		out := strings.Replace(app, old, new, 1)
		if out == app {
			t.Fatalf("%q is not there", old)
		}
		return out
	}
	for _, c := range []struct{ name, body, code, says string }{
		{"no JSON", `{`, "invalid_client_metadata", "JSON"},
		{"a list", `[]`, "invalid_client_metadata", "object"},
		{"a name twice", `{"scope":"a","scope":"b"}`, "invalid_client_metadata", "once"},
		{"a number for a text", with(`"App"`, `7`), "invalid_client_metadata", "client_name"},
		{"a text for a list", with(`["https://app.example/back"]`, `"https://app.example/back"`), "invalid_redirect_uri", "redirect_uris"},
		{"plain http", with("https://app.example/back", "http://app.example/back"), "invalid_redirect_uri", "redirect_uris[0]"},
		{"a fragment", with("app.example/back", "app.example/back#x"), "invalid_redirect_uri", "fragment"},
		{"no redirect", with(`"redirect_uris":["https://app.example/back"],`, ``), "invalid_redirect_uri", "redirect_uris"},
		{"an unknown grant", with(`"refresh_token"`, `"implicit"`), "invalid_client_metadata", "grant_types[1]"},
		{"token as a response", with(`"client_name"`, `"response_types":["token"],"client_name"`), "invalid_client_metadata", "response_types"},
		{"an unknown method", with(`"client_name"`, `"token_endpoint_auth_method":"tls_client_auth","client_name"`), "invalid_client_metadata", "token_endpoint_auth_method"},
		{"a key method without a key", with(`"client_name"`, `"token_endpoint_auth_method":"private_key_jwt","client_name"`), "invalid_client_metadata", "jwks"},
		{"a key with a secret", with(`"client_name"`, `"token_endpoint_auth_method":"none","jwks_uri":"https://app.example/jwks","client_name"`), "invalid_client_metadata", "jwks"},
		{"a key set URL inside", with(`"client_name"`, `"jwks_uri":"http://127.0.0.1:9/jwks","client_name"`), "invalid_client_metadata", "https"},
		{"a service with a secret", strings.NewReplacer(`"authorization_code","refresh_token"`, `"client_credentials"`, `launch openid patient`, `system`).Replace(app), "", "client_credentials needs a key"},
		{"system scopes of an app", with("patient/Patient.rs", "system/Patient.rs"), "invalid_client_metadata", "client_credentials"},
		{"a malformed scope", with("patient/Patient.rs", "patient/Patient.sr"), "invalid_client_metadata", "scope"},
		{"a new role", with("treating-clinician", "law-enforcement-officer"), "invalid_client_metadata", "roles[0]"},
		{"no role", with(`"roles":["treating-clinician"],`, ``), "invalid_client_metadata", "roles"},
		{"a new purpose", with(`["TREAT"]`, `["CRISIS"]`), "invalid_client_metadata", "purposes[0]"},
		{"the right to register", with("launch openid", "https://handoff-health.github.io/fhir/scope/manage-clients"), "invalid_client_metadata", "operator only"},
		{"a provider of others", with("clinic-idp", "cars"), "invalid_client_metadata", "providers[0]"},
		{"no provider", with(`"providers":["clinic-idp"],`, ``), "invalid_client_metadata", "providers"},
		{"an unknown organisation", with(`"client_name"`, `"organization":"Organization/nowhere","client_name"`), "invalid_client_metadata", "organization"},
		{"a long life", with(`"client_name"`, `"access_token_lifetime":86400,"client_name"`), "invalid_client_metadata", "access_token_lifetime"},
		{"a contact that is none", with("ops@app.example", "ops"), "invalid_client_metadata", "contacts"},
		{"a software statement", with(`"client_name"`, `"software_statement":"a.b.c","client_name"`), "unapproved_software_statement", ""},
		{"UDAP", with(`"client_name"`, `"udap":"1","client_name"`), "invalid_client_metadata", "UDAP"},
		{"too much", `{"client_name":"` + strings.Repeat("x", 70<<10) + `"}`, "invalid_request", "larger"},
	} {
		got := n.do("clinic", "POST", path, c.body)
		if got.Code != 400 || c.code != "" && got.str("error") != c.code || !strings.Contains(got.str("error_description"), c.says) {
			t.Errorf("%s: %d %s", c.name, got.Code, got.Text)
		}
	}
	if got := n.do("clinic", "POST", path, app, "Content-Type", "text/plain"); got.Code != 400 {
		t.Errorf("text/plain: %d", got.Code)
	}
	if got := n.do("clinic", "POST", path+"?x=1", app); got.Code != 400 {
		t.Errorf("parameters: %d", got.Code)
	}
	for _, ask := range [][2]string{{"PATCH", path}, {"DELETE", path}, {"POST", path + "/desk"}, {"GET", path + "/desk/disable"}} {
		if got := n.do("clinic", ask[0], ask[1], ""); got.Code != http.StatusMethodNotAllowed || got.Header.Get("Allow") == "" {
			t.Errorf("%v: %d", ask, got.Code)
		}
	}
	records, err := n.store.Records(t.Context())
	if err != nil || len(records) != 0 {
		t.Errorf("%d were registered all the same, %v", len(records), err)
	}
	ok := n.do("clinic", "POST", path, with(`"client_name"`, `"logo_uri":"https://x.example","client_name"`))
	if ok.Code != 201 || !strings.Contains(ok.Text, "logo_uri") {
		t.Errorf("an unknown member is passed over, and told: %d %s", ok.Code, ok.Text)
	}
}

// What one node acknowledges is in force on the other for the next request.
func TestADisabledClientIsOutOnEveryNode(t *testing.T) {
	file := backendtest.Address(t)
	a, b := newNode(t, file, nil), newNode(t, file, nil)
	id := a.do("clinic", "POST", path, service(t)).str("client_id")
	for _, client := range []string{id, "desk"} {
		if !b.enabled(client) {
			t.Fatalf("%s is not known to the other node", client)
		}
		if got := a.do("clinic", "POST", path+"/"+client+"/disable", `{"reason":"key lost"}`); got.Code != http.StatusNoContent {
			t.Fatalf("%d %s", got.Code, got.Text)
		}
		if a.enabled(client) || b.enabled(client) {
			t.Errorf("%s is still in", client)
		}
		about, _ := url.ParseQuery(a.last().Query)
		if about.Get("reason") != "key lost" || about.Get("action") != "disable" {
			t.Errorf("on record: %v", about)
		}
		if got := b.do("clinic", "GET", path+"/"+client, ""); got.Body["disabled"] != true {
			t.Errorf("%s", got.Text)
		}
		if got := b.do("clinic", "POST", path+"/"+client+"/enable", ""); got.Code != http.StatusNoContent || !a.enabled(client) || !b.enabled(client) {
			t.Errorf("enable: %d", got.Code)
		}
	}
	if got := a.do("clinic", "POST", path+"/gone/enable", ""); got.Code != 403 || a.enabled("gone") {
		t.Errorf("what the configuration disables: %d", got.Code)
	}
	if err := a.store.SetDisabled(t.Context(), "desk", registration.State{Disabled: true, Operator: true, By: "mlopez"}); err != nil {
		t.Fatal(err)
	}
	if got := b.do("clinic", "POST", path+"/desk/enable", ""); got.Code != 403 || b.enabled("desk") {
		t.Errorf("what the operator disabled: %d", got.Code)
	}
	for _, ask := range [][2]string{{"PUT", app}, {"DELETE", ""}} {
		if got := a.do("clinic", ask[0], path+"/desk", ask[1], "If-Match", `"1"`); got.Code != 403 {
			t.Errorf("%s of a client of the configuration: %d", ask[0], got.Code)
		}
	}
}

func TestRotation(t *testing.T) {
	at := time.Now()
	n := newNode(t, "", func() time.Time { return at })
	id := n.do("clinic", "POST", path, app).str("client_id")
	client := func() (hashes int, retiring int) {
		c, err := n.registry.Client(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return len(c.SecretHashes), len(c.Retiring)
	}
	why := func() string { about, _ := url.ParseQuery(n.last().Query); return about.Get("reason") }
	got := n.do("clinic", "POST", path+"/"+id+"/secret", `{"overlap":3600,"reason":"seen in a log"}`)
	if why() != "seen in a log" {
		t.Errorf("on record: %s", n.last().Query)
	}
	if got.Code != 200 || len(got.str("client_secret")) < 43 || got.str("former_secret_until") == "" {
		t.Fatalf("%d %s", got.Code, got.Text)
	}
	if h, r := client(); h != 1 || r != 1 {
		t.Errorf("%d and %d", h, r)
	}
	if strings.Contains(n.last().Query, got.str("client_secret")) {
		t.Error("the secret is on record")
	}
	if read := n.do("clinic", "GET", path+"/"+id, ""); !strings.Contains(read.Text, `"of":"client_secret"`) {
		t.Errorf("%s", read.Text)
	}
	if got := n.do("clinic", "POST", path+"/"+id+"/secret", ""); got.Code != 200 {
		t.Fatalf("%d %s", got.Code, got.Text)
	}
	if h, r := client(); h != 1 || r != 0 {
		t.Errorf("a rotation in haste leaves %d and %d", h, r)
	}
	for _, bad := range []string{`{"overlap":-1}`, `{"overlap":1e9}`, `{"overlap":"1h"}`, `{"unknown":1}`, `{`} {
		if got := n.do("clinic", "POST", path+"/"+id+"/secret", bad); got.Code != 400 {
			t.Errorf("%s: %d", bad, got.Code)
		}
	}
	if got := n.do("clinic", "POST", path+"/"+id+"/unlock", `{"reason":"called back"}`); got.Code != 200 || why() != "called back" {
		t.Errorf("unlock: %d %s, on record: %s", got.Code, got.Text, n.last().Query)
	}
	if got := n.do("clinic", "POST", path+"/"+id+"/unlock", `{"reason":7}`); got.Code != 400 {
		t.Errorf("unlock without sense: %d", got.Code)
	}
	if got := n.do("clinic", "POST", path+"/"+id+"/keys", `{"jwks":`+keySet(t)+`}`); got.Code != 400 {
		t.Errorf("keys of a client with a secret: %d", got.Code)
	}

	svc := n.do("clinic", "POST", path, service(t)).str("client_id")
	if got := n.do("clinic", "POST", path+"/"+svc+"/keys", `{"jwks":`+keySet(t)+`,"overlap":60}`); got.Code != 200 || got.str("former_keys_until") == "" {
		t.Fatalf("%d %s", got.Code, got.Text)
	}
	if got := n.do("clinic", "POST", path+"/"+svc+"/secret", ""); got.Code != 400 {
		t.Errorf("a secret of a client with a key: %d", got.Code)
	}
	if got := n.do("clinic", "POST", path+"/"+svc+"/keys", `{"jwks":{"keys":[{"kty":"oct","k":"AA","kid":"x"}]}}`); got.Code != 400 {
		t.Errorf("a symmetric key: %d", got.Code)
	}
	if read := n.do("clinic", "GET", path+"/"+svc, ""); !strings.Contains(read.Text, `"of":"jwks"`) {
		t.Errorf("%s", read.Text)
	}
	at = at.Add(2 * time.Minute)
	if read := n.do("clinic", "GET", path+"/"+svc, ""); strings.Contains(read.Text, `"of":"jwks"`) {
		t.Errorf("the former keys go on: %s", read.Text)
	}
}

func TestWhatIsNotOnRecordIsNotAnswered(t *testing.T) {
	n := newNode(t, "", nil)
	n.trail.fail = errTrail
	if got := n.do("clinic", "POST", path, app); got.Code != 500 || got.Body["client_secret"] != nil || got.Body["client_id"] != nil {
		t.Errorf("%d %s", got.Code, got.Text)
	}
}

func TestALastUseCostsOneWriteAnHour(t *testing.T) {
	at := time.Date(2026, 5, 1, 10, 5, 0, 0, time.UTC)
	n := newNode(t, "", func() time.Time { return at })
	before, err := n.cache.Epoch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		n.store.Used("desk")
	}
	at = at.Add(50 * time.Minute)
	n.store.Used("desk")
	after, _ := n.cache.Epoch(t.Context())
	if after-before != 1 {
		t.Errorf("%d writes", after-before)
	}
	at = at.Add(10 * time.Minute)
	n.store.Used("desk")
	used, err := n.store.LastUsed(t.Context())
	if err != nil || !used["desk"].Equal(time.Date(2026, 5, 1, 11, 0, 0, 0, time.UTC)) {
		t.Errorf("%v, %v", used, err)
	}
}

// A registration that the configuration of today no longer allows is out of use,
// and takes nobody else with it.
func TestTheConfigurationOfTodayDecides(t *testing.T) {
	n := newNode(t, "", nil)
	a := n.do("clinic", "POST", path, app).str("client_id")
	b := n.do("clinic", "POST", path, service(t)).str("client_id")
	n.config.SignIn.Providers[0].Organization = "harbor"
	if err := n.store.SetDisabled(t.Context(), "other", registration.State{By: "x"}); err != nil { // makes it read again
		t.Fatal(err)
	}
	if n.enabled(a) || !n.enabled(b) || !n.enabled("desk") {
		t.Errorf("app %v, service %v, desk %v", n.enabled(a), n.enabled(b), n.enabled("desk"))
	}
	if got := n.do("clinic", "GET", path+"/"+a, ""); got.Code != 200 {
		t.Errorf("it can still be looked at: %d", got.Code)
	}
}

// A key or a secret that is replaced at once takes with it the tokens that were had
// by it; with an overlap, or where it stays, they live on.
func TestReplacedProofEndsTokens(t *testing.T) {
	keys := keySet(t)
	registered := `{"client_name":"Feed","grant_types":["client_credentials"],"jwks":` + keys + `,"scope":"system/Patient.rs","roles":["treating-clinician"],"purposes":["TREAT"]}`
	for _, c := range []struct {
		name, body         string // of the registration
		method, on, change string // what is done to it
		ends               bool
	}{
		{"keys at once", registered, "POST", "/keys", `{"jwks":` + keySet(t) + `}`, true},
		{"keys with an overlap", registered, "POST", "/keys", `{"jwks":` + keySet(t) + `,"overlap":60}`, false},
		{"keys by replacing all", registered, "PUT", "", service(t), true},
		{"keys behind a URL", registered, "PUT", "", strings.Replace(registered, `"jwks":`+keys, `"jwks_uri":"https://feed.example/jwks"`, 1), true},
		{"another name, the same keys written wider", registered, "PUT", "", strings.NewReplacer("Feed", "Other", ",", " , ").Replace(registered), false},
		{"secret at once", app, "POST", "/secret", "", true},
		{"secret with an overlap", app, "POST", "/secret", `{"overlap":60}`, false},
		{"no secret any more", app, "PUT", "", strings.Replace(app, `"client_name"`, `"token_endpoint_auth_method":"none","client_name"`, 1), true},
		{"the same secret", app, "PUT", "", strings.Replace(app, `"App"`, `"Other"`, 1), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := time.Now()
			n := newNode(t, "", func() time.Time { return at })
			made := n.do("clinic", "POST", path, c.body)
			at = at.Add(time.Minute)
			id := made.str("client_id")
			given, err := auth.ReadGeneration(t.Context(), n.cache, id, "")
			if err != nil {
				t.Fatal(err)
			}
			if got := n.do("clinic", c.method, path+"/"+id+c.on, c.change, "If-Match", made.Header.Get("ETag")); got.Code != 200 {
				t.Fatalf("%d %s", got.Code, got.Text)
			}
			if now, err := auth.ReadGeneration(t.Context(), n.cache, id, ""); err != nil || (now != given) != c.ends {
				t.Errorf("the generation of before is over: %v, want %v; %v", now != given, c.ends, err)
			}
			// What has no generation: of an outside issuer, of an older release.
			former := &auth.Authorization{Client: id}
			if ended, err := auth.FamilyEnded(t.Context(), n.cache, former, at.Add(-time.Second)); err != nil || ended != c.ends {
				t.Errorf("what was given before ended: %v, want %v; %v", ended, c.ends, err)
			}
			if ended, err := auth.FamilyEnded(t.Context(), n.cache, former, at.Add(time.Second)); err != nil || ended {
				t.Errorf("what was given after ended: %v %v", ended, err)
			}
		})
	}
}

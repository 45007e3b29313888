package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/smart"
)

// families is the authorization server's knowledge, as a test has it.
type families struct {
	tokens map[string]*auth.RefreshToken
	fail   error
}

func (f *families) RefreshToken(_ context.Context, token string) (*auth.RefreshToken, error) {
	return f.tokens[token], f.fail
}

func (f *families) LaunchContext(_ context.Context, id string) (map[string]any, error) {
	if id != "family" {
		return nil, f.fail
	}
	return map[string]any{"need_patient_banner": true, "client_id": "forged", "username": "r.diaz"}, f.fail
}

type inquiries struct {
	asked []auth.Inquiry
	fail  error
}

func (a *inquiries) TokenInquired(_ context.Context, q *auth.Inquiry) error {
	a.asked = append(a.asked, *q)
	return a.fail
}

// A desk is a world with the two endpoints.
type desk struct {
	*world
	families *families
	audit    *inquiries
	ask, end http.Handler
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	w := withApp(t)
	d := &desk{world: w, families: &families{tokens: map[string]*auth.RefreshToken{}}, audit: &inquiries{}}
	// The health client may ask; the police one is registered for nothing of the kind.
	w.clients[2].Roles = []label.Code{{System: "https://handoff-health.github.io/fhir/CodeSystem/actor-role", Code: "emergency-physician"}}
	w.clients[2].Operations = []string{auth.ScopeIntrospect}
	if err := w.registry.Replace(w.clients); err != nil {
		t.Fatal(err)
	}
	names, err := auth.NewAuthenticator(auth.AuthenticatorOptions{TokenURL: tokenURL, Issuer: issuerID, Registry: w.registry, Facts: w.facts, Now: w.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	o := auth.TokenInquiries{Clients: names, Verifier: w.verifier, Registry: w.registry, Facts: w.facts, Base: fhirBase, Families: d.families, Auditor: d.audit, Now: w.clock.now}
	if d.ask, err = auth.NewIntrospectionEndpoint(o); err != nil {
		t.Fatal(err)
	}
	if d.end, err = auth.NewRevocationEndpoint(o); err != nil {
		t.Fatal(err)
	}
	return d
}

// by adds a fresh assertion of a client to a form.
func (d *desk) by(client, key string, v url.Values) url.Values {
	out := maps.Clone(v)
	out.Set("client_assertion_type", assertionType)
	out.Set("client_assertion", forgery{by: keys()[key], claims: d.claims(client, nil)}.String())
	return out
}

func (d *desk) send(t *testing.T, h http.Handler, v url.Values, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "https://gw.example/oauth/x", strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, h := range headers {
		r.Header.Add("Authorization", h)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if rec.Header().Get("Cache-Control") != "no-store" || rec.Header().Get("Pragma") != "no-cache" {
		t.Errorf("caching is not forbidden: %v", rec.Header())
	}
	return rec
}

// introspect asks as the health client.
func (d *desk) introspect(t *testing.T, token string) *httptest.ResponseRecorder {
	t.Helper()
	rec := d.send(t, d.ask, d.by("ehr", "other", url.Values{"token": {token}}))
	if rec.Code != http.StatusOK || rec.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("introspection: %d %s", rec.Code, rec.Body)
	}
	return rec
}

func members(t *testing.T, rec *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func (d *desk) refreshable(change func(*auth.RefreshToken)) {
	f := &auth.RefreshToken{
		Authorization: auth.Authorization{
			ID: "family", Client: "app", Subject: "person", Session: "sitting", Scope: "launch openid user/Patient.rs offline_access",
			Said: auth.Asserted{
				UserID: "badge#7", UserName: "R. Diaz", Organization: "Organization/riverton-pd",
				Purposes: []string{"https://handoff-health.github.io/fhir/CodeSystem/purpose-of-use#CRISIS"},
			},
			FHIRUser: "Practitioner/diaz", Patient: "Patient/ada",
		},
		Issued: d.clock.now(), Expires: d.clock.now().Add(24 * time.Hour), Ends: d.clock.now().Add(48 * time.Hour),
	}
	if change != nil {
		change(f)
	}
	d.families.tokens["refresh"] = f
}

func TestIntrospectionTellsWhatCounts(t *testing.T) {
	d := newDesk(t)
	at := float64(d.clock.now().Unix())
	person := d.personal(t, func(a *auth.Authorization) {
		a.FHIRUser, a.Patient, a.Encounter = "Practitioner/diaz", "Patient/ada", "Encounter/e1"
		a.Scope = "launch openid fhirUser user/Patient.rs patient/Observation.rs user/Condition.rs"
	})
	d.refreshable(nil)
	for note, tt := range map[string]struct {
		token string
		want  map[string]any
	}{
		"a service's": {d.token(t, "system/Patient.rs system/Encounter.rs"), map[string]any{
			"active": true, "client_id": "rms", "scope": "system/Patient.rs system/Encounter.rs", "token_type": "Bearer",
			"iss": issuerID, "sub": "rms", "aud": fhirBase, "iat": at, "exp": at + 300,
		}},
		"a person's": {person, map[string]any{
			"active": true, "client_id": "app", "scope": "launch openid fhirUser user/Patient.rs patient/Observation.rs", "token_type": "Bearer",
			"iss": issuerID, "sub": "person", "aud": fhirBase, "iat": at, "exp": at + 3600,
			"fhirUser": fhirBase + "/Practitioner/diaz", "patient": "ada", "encounter": "e1", "need_patient_banner": true,
		}},
		"a refresh token": {"refresh", map[string]any{
			"active": true, "client_id": "app", "scope": "launch openid user/Patient.rs", "token_type": "refresh_token",
			"iss": issuerID, "sub": "person", "iat": at, "exp": at + 86400,
			"fhirUser": fhirBase + "/Practitioner/diaz", "patient": "ada", "need_patient_banner": true,
		}},
	} {
		t.Run(note, func(t *testing.T) {
			got := members(t, d.introspect(t, tt.token))
			delete(got, "jti")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			q := d.audit.asked[len(d.audit.asked)-1]
			if q.Kind != "introspect" || !q.Effective || q.Client != "ehr" || !q.Authenticated || q.AskedOf == "" {
				t.Errorf("audited %+v", q)
			}
		})
	}
}

func TestWhateverIsNoLiveTokenGetsTheSameBytes(t *testing.T) {
	d := newDesk(t)
	ctx := context.Background()
	own := func() string { return d.token(t, "system/Patient.rs") }
	personal := func(id string) string {
		return d.personal(t, func(a *auth.Authorization) { a.ID, a.Session, a.Subject = id, id, id })
	}
	is := keys()["issuer"]
	revoked, ended, sitting, subject, expired, disabled := own(), personal("x"), personal("y"), personal("z"), own(), own()
	p, err := d.verifier.Verify(ctx, revoked)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		auth.Revoke(ctx, d.facts, p.Issuer, p.TokenID, p.Expires), auth.EndAuthorization(ctx, d.facts, "x", p.Expires),
		auth.EndSession(ctx, d.facts, "y", p.Expires), auth.EndSubject(ctx, d.facts, "z", d.clock.now()),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	at := map[string]any{"typ": "at+jwt"}
	check := func(t *testing.T, token string) {
		t.Helper()
		if got := d.introspect(t, token).Body.String(); got != `{"active":false}` {
			t.Errorf("answer %s", got)
		}
		if q := d.audit.asked[len(d.audit.asked)-1]; q.Effective || q.Asked != "" {
			t.Errorf("audited %+v", q)
		}
	}
	for note, token := range map[string]string{
		"revoked": revoked, "of an ended family": ended, "of an ended sign-in": sitting, "of an ended person": subject,
		"garbage": "garbage", "dots": "..", "an assertion": d.good(), "long": strings.Repeat("x", 40<<10),
		"an id token":          forgery{by: is, header: map[string]any{"typ": "JWT"}, claims: accessClaims(d.world, nil)}.String(),
		"alg none":             b64([]byte(`{"alg":"none","typ":"at+jwt","kid":"issuer-key"}`)) + "." + b64(marshal(accessClaims(d.world, nil))) + ".AAAA",
		"of a foreign issuer":  forgery{by: is, header: at, claims: accessClaims(d.world, map[string]any{"iss": "https://idp.example"})}.String(),
		"by a foreign key":     forgery{by: keys()["stranger"], header: at, claims: accessClaims(d.world, nil)}.String(),
		"for another audience": forgery{by: is, header: at, claims: accessClaims(d.world, map[string]any{"aud": "https://x.example"})}.String(),
		"of nobody":            forgery{by: is, header: at, claims: accessClaims(d.world, map[string]any{"sub": "no", "client_id": "no"})}.String(),
		"expired":              forgery{by: is, header: at, claims: accessClaims(d.world, map[string]any{"exp": d.in(0)})}.String(),
	} {
		t.Run(note, func(t *testing.T) { check(t, token) })
	}
	d.replace(t, func(c *auth.Client) { c.Disabled = true })
	t.Run("of a disabled client", func(t *testing.T) { check(t, disabled) })
	d.clock.add(time.Hour)
	t.Run("after its time", func(t *testing.T) { check(t, expired) })
}

func TestRefreshTokensThatAreWorthNothingAreInactive(t *testing.T) {
	ctx := context.Background()
	for note, spoil := range map[string]func(*desk) error{
		"used": func(d *desk) error { d.refreshable(func(f *auth.RefreshToken) { f.Used = true }); return nil },
		"expired": func(d *desk) error {
			d.refreshable(func(f *auth.RefreshToken) { f.Expires = d.clock.now() })
			return nil
		},
		"of an ended family": func(d *desk) error {
			return auth.EndAuthorization(ctx, d.facts, "family", d.clock.now().Add(time.Hour))
		},
		"of an ended sign-in":  func(d *desk) error { return auth.EndSession(ctx, d.facts, "sitting", d.clock.now().Add(time.Hour)) },
		"of an ended person":   func(d *desk) error { return auth.EndSubject(ctx, d.facts, "person", d.clock.now()) },
		"of an ended client":   func(d *desk) error { return auth.EndClient(ctx, d.facts, "app", d.clock.now()) },
		"of a disabled client": func(d *desk) error { d.clients[5].Disabled = true; return d.registry.Replace(d.clients) },
		"of a removed client":  func(d *desk) error { return d.registry.Replace(d.clients[:5]) },
		"of a client without": func(d *desk) error {
			d.clients[5].Grants = d.clients[5].Grants[:1]
			return d.registry.Replace(d.clients)
		},
		"with nothing left": func(d *desk) error {
			d.clients[5].Scopes = smart.ParseGranted("user/Device.r")
			d.clients[5].ContextScopes = nil
			return d.registry.Replace(d.clients)
		},
		"for a purpose no more": func(d *desk) error { d.clients[5].Purposes = []string{"x|y"}; return d.registry.Replace(d.clients) },
	} {
		t.Run(note, func(t *testing.T) {
			d := newDesk(t)
			d.refreshable(nil)
			if members(t, d.introspect(t, "refresh"))["active"] != true {
				t.Fatal("inactive before")
			}
			if err := spoil(d); err != nil {
				t.Fatal(err)
			}
			if got := d.introspect(t, "refresh").Body.String(); got != `{"active":false}` {
				t.Errorf("answer %s", got)
			}
		})
	}
}

func TestOnlyRegisteredClientsMayAsk(t *testing.T) {
	d := newDesk(t)
	token := d.token(t, "system/Patient.rs")
	about := url.Values{"token": {token}}
	asker := forgery{by: keys()["issuer"], header: map[string]any{"typ": "at+jwt"}, claims: accessClaims(d.world, map[string]any{"sub": "ehr", "client_id": "ehr", "scope": auth.ScopeIntrospect})}.String()
	person := d.personal(t, func(a *auth.Authorization) { a.Scope += " " + auth.ScopeIntrospect })
	for _, tt := range []struct {
		note    string
		form    url.Values
		headers []string
		status  int
		body    string // holds
		reason  string
	}{
		{"by assertion", d.by("ehr", "other", about), nil, 200, `"active":true`, ""},
		{"with a hint", d.by("ehr", "other", url.Values{"token": {token}, "token_type_hint": {"refresh_token"}}), nil, 200, `"active":true`, ""},
		{"by bearer", about, []string{"Bearer " + asker}, 200, `"active":true`, ""},
		{"about itself", url.Values{"token": {asker}}, []string{"Bearer " + asker}, 200, `"scope":"` + auth.ScopeIntrospect + `"`, ""},
		{"by a client that is not registered for it", d.by("rms", "es", about), nil, 403, "insufficient_scope", "introspection-not-registered"},
		{"by bearer without the scope", about, []string{"Bearer " + token}, 403, "insufficient_scope", "introspection-not-registered"},
		{"by a person's token", about, []string{"Bearer " + person}, 403, "insufficient_scope", "introspection-not-registered"},
		{"by a public client's name", url.Values{"token": {token}, "client_id": {"app"}}, nil, 403, "insufficient_scope", "introspection-not-registered"},
		{"by nobody", about, nil, 401, "invalid_client", "client-missing"},
		{"by a stranger", d.by("ehr", "es", about), nil, 401, "invalid_client", "key"},
		{"by a bad bearer", about, []string{"Bearer x.y.z"}, 401, "invalid_token", "format"},
		{"by two bearers", about, []string{"Bearer " + asker, "Bearer " + asker}, 400, "invalid_request", "several-tokens"},
		{"in two ways", d.by("ehr", "other", about), []string{"Bearer " + asker}, 400, "invalid_request", "several-methods"},
		{"about nothing", d.by("ehr", "other", url.Values{}), nil, 400, "token is missing", "token-missing"},
		{"about two", d.by("ehr", "other", url.Values{"token": {token, token}}), nil, 400, "repeated", "form"},
	} {
		t.Run(tt.note, func(t *testing.T) {
			rec := d.send(t, d.ask, tt.form, tt.headers...)
			if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.body) {
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
			if challenged := strings.HasPrefix(rec.Header().Get("WWW-Authenticate"), "Bearer"); challenged != (tt.headers != nil && tt.status != 200) {
				t.Errorf("challenge %q", rec.Header().Get("WWW-Authenticate"))
			}
			if q := d.audit.asked[len(d.audit.asked)-1]; q.Reason != tt.reason || q.Status != tt.status {
				t.Errorf("audited %+v", q)
			}
		})
	}
	// An operation that law enforcement cannot hold is not held by registration either.
	d.clients[0].Operations = []string{auth.ScopeIntrospect}
	if err := d.registry.Replace(d.clients); err == nil {
		t.Error("registered for the police")
	}
	d.audit.fail = errors.New("trail is full")
	if rec := d.send(t, d.ask, d.by("ehr", "other", about)); rec.Code != 500 || strings.Contains(rec.Body.String(), "active") {
		t.Errorf("without audit: %d %s", rec.Code, rec.Body)
	}
	d.audit.fail, d.facts.fail = nil, errors.New("store down")
	if rec := d.send(t, d.ask, about, "Bearer "+asker); rec.Code != 500 || strings.Contains(rec.Body.String(), "active") {
		t.Errorf("without store: %d %s", rec.Code, rec.Body)
	}
}

func TestRevocation(t *testing.T) {
	ctx := context.Background()
	app := url.Values{"client_id": {"app"}}
	with := func(v url.Values, token string) url.Values {
		out := maps.Clone(v)
		out.Set("token", token)
		return out
	}
	t.Run("a service's own", func(t *testing.T) {
		d := newDesk(t)
		token, other := d.token(t, "system/Patient.rs"), d.token(t, "system/Patient.rs")
		for range 2 { // again, it is unknown
			rec := d.send(t, d.end, d.by("rms", "es", url.Values{"token": {token}, "token_type_hint": {"nonsense"}}))
			if rec.Code != 200 || rec.Body.Len() != 0 {
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
		}
		if believed(t, d.verifier, ctx, token) || !believed(t, d.verifier, ctx, other) {
			t.Error("not this one alone")
		}
		if q := d.audit.asked; len(q) != 2 || !q[0].Effective || q[1].Effective || q[0].Kind != "revoke" || q[0].Asked == "" {
			t.Errorf("audited %+v", q)
		}
	})
	t.Run("an app's access token", func(t *testing.T) {
		d := newDesk(t)
		d.refreshable(nil)
		token, other := d.personal(t, nil), d.personal(t, nil)
		if rec := d.send(t, d.end, with(app, token)); rec.Code != 200 {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
		if believed(t, d.verifier, ctx, token) || !believed(t, d.verifier, ctx, other) || members(t, d.introspect(t, "refresh"))["active"] != true {
			t.Error("not this one alone")
		}
	})
	for _, used := range []bool{false, true} {
		d := newDesk(t)
		d.refreshable(func(f *auth.RefreshToken) { f.Used = used })
		token, other := d.personal(t, nil), d.personal(t, func(a *auth.Authorization) { a.ID = "f2" })
		if rec := d.send(t, d.end, with(app, "refresh")); rec.Code != 200 {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
		if believed(t, d.verifier, ctx, token) || !believed(t, d.verifier, ctx, other) {
			t.Errorf("used %v: not its family alone", used)
		}
		d.clock.add(59 * time.Minute)
		if believed(t, d.verifier, ctx, token) {
			t.Errorf("used %v: the family came back to life", used)
		}
	}
	t.Run("somebody else's", func(t *testing.T) {
		d := newDesk(t)
		d.refreshable(nil)
		own, person := d.token(t, "system/Patient.rs"), d.personal(t, nil)
		nothing := d.send(t, d.end, d.by("ehr", "other", url.Values{"token": {"garbage"}}))
		for _, token := range []string{own, person, "refresh"} {
			rec := d.send(t, d.end, d.by("ehr", "other", url.Values{"token": {token}}))
			if rec.Code != nothing.Code || rec.Body.String() != nothing.Body.String() || !maps.EqualFunc(rec.Header(), nothing.Header(), slices.Equal) {
				t.Errorf("the answer differs: %d %s", rec.Code, rec.Body)
			}
			if q := d.audit.asked[len(d.audit.asked)-1]; q.Effective || q.AskedOf == "" {
				t.Errorf("audited %+v", q)
			}
		}
		if !believed(t, d.verifier, ctx, own) || !believed(t, d.verifier, ctx, person) || members(t, d.introspect(t, "refresh"))["active"] != true {
			t.Error("ended by somebody else")
		}
	})
	t.Run("refused", func(t *testing.T) {
		d := newDesk(t)
		token := d.token(t, "system/Patient.rs")
		for note, tt := range map[string]struct {
			form   url.Values
			status int
		}{
			"nobody":            {url.Values{"token": {token}}, 401},
			"a name alone":      {url.Values{"token": {token}, "client_id": {"rms"}}, 401},
			"no token":          {d.by("rms", "es", url.Values{}), 400},
			"a disabled client": {d.by("gone", "es", url.Values{"token": {token}}), 401},
		} {
			if rec := d.send(t, d.end, tt.form); rec.Code != tt.status {
				t.Errorf("%s: %d %s", note, rec.Code, rec.Body)
			}
		}
		if !believed(t, d.verifier, ctx, token) {
			t.Error("ended by a refused request")
		}
		d.facts.fail = errors.New("store down")
		if rec := d.send(t, d.end, with(app, token)); rec.Code != 500 {
			t.Errorf("without a store: %d", rec.Code)
		}
		d.facts.fail, d.families.fail = nil, errors.New("store down")
		if rec := d.send(t, d.end, with(app, "x")); rec.Code != 500 {
			t.Errorf("without the families: %d", rec.Code)
		}
	})
}

func FuzzIntrospectionForm(f *testing.F) {
	w := newWorld(f)
	names, err := auth.NewAuthenticator(auth.AuthenticatorOptions{TokenURL: tokenURL, Issuer: issuerID, Registry: w.registry, Facts: w.facts, Now: w.clock.now})
	if err != nil {
		f.Fatal(err)
	}
	audit := &inquiries{}
	ask, err := auth.NewIntrospectionEndpoint(auth.TokenInquiries{Clients: names, Verifier: w.verifier, Registry: w.registry, Facts: w.facts, Base: fhirBase, Auditor: audit, Now: w.clock.now})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("token=x", "")
	f.Add("token=a.b.c&client_id=rms", "Bearer a.b.c")
	f.Add("token=%zz&token=&client_assertion_type="+url.QueryEscape(assertionType)+"&client_assertion="+w.good(), "Basic cm1zOng=")
	f.Fuzz(func(t *testing.T, body, authorization string) {
		r := httptest.NewRequest(http.MethodPost, "/oauth/introspect", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if authorization != "" {
			r.Header["Authorization"] = []string{authorization}
		}
		rec := httptest.NewRecorder()
		audit.asked = nil
		ask.ServeHTTP(rec, r)
		// Nobody here is registered to ask: no form and no header makes it answer.
		if rec.Code < 400 || rec.Code > 403 || strings.Contains(rec.Body.String(), "active") || !json.Valid(rec.Body.Bytes()) {
			t.Fatalf("%q %q: %d %s", body, authorization, rec.Code, rec.Body)
		}
		if len(audit.asked) != 1 {
			t.Fatalf("audited %d times", len(audit.asked))
		}
	})
}

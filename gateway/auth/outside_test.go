package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/smart"
)

const idpID = "https://idp.example"

func path(t testing.TB, s string) auth.ClaimPath {
	t.Helper()
	p, err := auth.ParseClaimPath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func role(code string) label.Code {
	return label.Code{System: "https://handoff-health.github.io/fhir/CodeSystem/actor-role", Code: code}
}

// people is a mapping that reads persons.
func people(t testing.TB) auth.ClaimMap {
	return auth.ClaimMap{
		Person: path(t, "sid"), User: path(t, "badge"), System: "urn:oid:2.16.840.1.113883.4.6", Name: path(t, "name"), Patient: path(t, "smart.patient"),
		Methods: path(t, "amr"), Roles: path(t, "realm_access.roles"),
		RoleOf: map[string]label.Code{"officer": role("law-enforcement-officer"), "dispatch": role("dispatcher")},
	}
}

// with makes a verifier that trusts an outside issuer with this mapping.
func (w *world) with(t testing.TB, m auth.ClaimMap, change func(*auth.Client)) *auth.Verifier {
	t.Helper()
	own, err := auth.ParseKeySet(jwks(keys()["issuer"]))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := auth.ParseKeySet(jwks(keys()["stranger"]))
	if err != nil {
		t.Fatal(err)
	}
	cs := slices.Clone(w.clients)
	c := &cs[4]
	c.Scopes = smart.ParseGranted("system/Patient.rs user/Patient.rs patient/Observation.rs user/Observation.rs?category=laboratory")
	c.Practitioners = []auth.Practitioner{{Reference: "Practitioner/diaz", Identifiers: []policy.Identifier{{System: "http://hl7.org/fhir/sid/us-npi", Value: "7"}}}}
	if change != nil {
		change(c)
	}
	if err := w.registry.Replace(cs); err != nil {
		t.Fatal(err)
	}
	v, err := auth.NewVerifier(auth.VerifierOptions{
		Issuers: []auth.Issuer{
			{ID: issuerID, Audience: fhirBase, Algorithms: []string{auth.ES256}, Keys: own},
			{ID: idpID, Audience: "api", Algorithms: []string{auth.ES384}, Keys: theirs, Outside: true, Claims: m},
		},
		Registry: w.registry, Facts: w.facts, Now: w.clock.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// outside makes a token of the outside issuer, bent by over.
func (w *world) outside(over map[string]any) string {
	return forgery{by: keys()["stranger"], claims: merge(map[string]any{
		"iss": idpID, "sub": "s", "azp": "idp-client", "aud": []string{"account", "api"}, "scope": "system/Patient.rs user/Patient.rs patient/Observation.rs",
		"iat": w.in(0), "exp": w.in(5 * time.Minute), "jti": "o1",
	}, over)}.String()
}

func TestPersonsOfAnOutsideIssuer(t *testing.T) {
	person := map[string]any{
		"sid": "x", "badge": "7", "name": "R. Diaz", "amr": []string{"pwd", "otp"},
		"realm_access": map[string]any{"roles": []string{"offline_access", "officer"}}, "smart": map[string]any{"patient": "ada"},
	}
	with := func(over map[string]any) map[string]any { return merge(person, over) }
	for _, tt := range []struct {
		note   string
		claims map[string]any
		change func(*auth.Client)
		reason string
		want   func(*auth.Principal) bool
	}{
		{"a person", with(nil), nil, "", func(p *auth.Principal) bool {
			return p.User.ID == "urn:oid:2.16.840.1.113883.4.6#7" && p.User.Name == "R. Diaz" && p.User.Subject == "s" && !p.User.MFA && p.Patient == "Patient/ada" &&
				p.Requester.Reference == "Practitioner/diaz" && cmp.Equal(p.Requester.Roles, []label.Code{role("law-enforcement-officer")}) &&
				p.Requester.Organization == "Organization/riverton-pd" && len(p.Purposes) == 1
		}},
		{"only user and patient scopes", with(nil), nil, "", func(p *auth.Principal) bool { return p.Scopes.String() == "user/Patient.rs patient/Observation.rs" }},
		{"MFA where the registration believes it", with(nil), func(c *auth.Client) { c.AssertsUsers, c.BelievesMFA = true, true }, "", func(p *auth.Principal) bool { return p.User.MFA }},
		{"one factor", with(map[string]any{"amr": []string{"pwd"}}), func(c *auth.Client) { c.AssertsUsers, c.BelievesMFA = true, true }, "", func(p *auth.Principal) bool { return !p.User.MFA && p.User.ID != "" }},
		{"the client itself", with(map[string]any{"sid": nil}), nil, "", func(p *auth.Principal) bool {
			return p.User.ID == "" && p.Patient == "" && p.Scopes.String() == "system/Patient.rs" && p.Requester.Reference == ""
		}},
		{"authorization, session and fhirUser of its own", with(map[string]any{"authorization": "family", "fhirUser": "Practitioner/other", "mfa": true, "patient": "Patient/x", "encounter": "e"}), nil, "", func(p *auth.Principal) bool {
			return p.Authorization == "" && p.Session == "" && !p.User.MFA && p.Requester.Reference == "Practitioner/diaz" && p.Patient == "Patient/ada" && p.Encounter == ""
		}},
		{"a name of nobody here", with(map[string]any{"badge": "8"}), nil, "", func(p *auth.Principal) bool {
			return p.Requester.Reference == "" && p.User.ID == "urn:oid:2.16.840.1.113883.4.6#8"
		}},
		{"no name", with(map[string]any{"name": nil}), nil, "", func(p *auth.Principal) bool { return p.User.Name == "" && p.User.ID != "" }},
		{"no patient", with(map[string]any{"smart": nil}), nil, "", func(p *auth.Principal) bool { return p.Patient == "" }},
		{"person without id", with(map[string]any{"badge": nil}), nil, "claims", nil},
		{"id a number", with(map[string]any{"badge": 7}), nil, "claims", nil},
		{"id with a line break", with(map[string]any{"badge": "7\n"}), nil, "claims", nil},
		{"no role", with(map[string]any{"realm_access": nil}), nil, "user-role", nil},
		{"unmapped role", with(map[string]any{"realm_access": map[string]any{"roles": []string{"admin"}}}), nil, "user-role", nil},
		{"role that is not the client's", with(map[string]any{"realm_access": map[string]any{"roles": []string{"dispatch"}}}), nil, "user-role", nil},
		{"roles an object", with(map[string]any{"realm_access": map[string]any{"roles": map[string]any{"officer": true}}}), nil, "claims", nil},
		{"roles of numbers", with(map[string]any{"realm_access": map[string]any{"roles": []any{"officer", 1}}}), nil, "claims", nil},
		{"patient of another type", with(map[string]any{"smart": map[string]any{"patient": "Group/g"}}), nil, "claims", nil},
		{"patient a list", with(map[string]any{"smart": map[string]any{"patient": []string{"ada", "bob"}}}), nil, "claims", nil},
		{"patient with a query", with(map[string]any{"smart": map[string]any{"patient": "ada?x=y"}}), nil, "claims", nil},
		{"two ways of naming a person", with(map[string]any{"amr": nil, "extensions": map[string]any{"hl7-b2b": map[string]any{"version": "1", "organization_id": "Organization/riverton-pd", "purpose_of_use": []string{"CRISIS"}}}}), nil, "claims", nil},
	} {
		t.Run(tt.note, func(t *testing.T) {
			w := newWorld(t)
			v := w.with(t, people(t), tt.change)
			for range 2 {
				p, err := v.Verify(t.Context(), w.outside(tt.claims))
				if r := (*auth.Refusal)(nil); tt.reason != "" {
					if !errors.As(err, &r) || r.Reason != tt.reason {
						t.Fatalf("got %+v, %v", p, err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if !tt.want(p) {
					t.Errorf("principal %+v", p)
				}
			}
		})
	}
	// Without a mapping nothing of a person is believed.
	w := newWorld(t)
	p, err := w.with(t, auth.ClaimMap{}, nil).Verify(t.Context(), w.outside(person))
	if err != nil || p.User.ID != "" || p.Patient != "" || p.Scopes.String() != "system/Patient.rs" {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestScopesOfAnOutsideIssuer(t *testing.T) {
	for _, tt := range []struct {
		note   string
		m      auth.ClaimMap
		claims map[string]any
		want   string
	}{
		{"a text", auth.ClaimMap{}, map[string]any{"scope": "profile system/Patient.rs"}, "system/Patient.rs"},
		{"a list", auth.ClaimMap{Scope: []auth.ClaimPath{{"scp"}}}, map[string]any{"scope": nil, "scp": []string{"openid", "system/Patient.r"}}, "system/Patient.r"},
		{"several claims", auth.ClaimMap{Scope: []auth.ClaimPath{{"scp"}, {"roles"}}, ScopeOf: map[string]string{"read": "system/Patient.r"}}, map[string]any{"scp": "x", "roles": []string{"read"}}, "system/Patient.r"},
		{"another claim only", auth.ClaimMap{Scope: []auth.ClaimPath{{"scp"}}}, map[string]any{"scope": "system/Patient.rs"}, ""},
		{"deep", auth.ClaimMap{Scope: []auth.ClaimPath{{"resource_access", fhirBase, "roles"}}}, map[string]any{"resource_access": map[string]any{fhirBase: map[string]any{"roles": []string{"system/Patient.s"}}}}, "system/Patient.s"},
		{"mapped", auth.ClaimMap{ScopeOf: map[string]string{"Handoff.Read": "system/Patient.rs"}}, map[string]any{"scope": "Handoff.Read"}, "system/Patient.rs"},
		{"mapped in another case", auth.ClaimMap{ScopeOf: map[string]string{"Handoff.Read": "system/Patient.rs"}}, map[string]any{"scope": "handoff.read"}, ""},
		{"slash as %2f", auth.ClaimMap{}, map[string]any{"scope": "system%2fPatient.r"}, "system/Patient.r"},
		{"slash as %2F", auth.ClaimMap{}, map[string]any{"scope": "system%2FPatient.r"}, "system/Patient.r"},
		{"encoded twice", auth.ClaimMap{}, map[string]any{"scope": "system%252fPatient.r"}, ""},
		{"as a URI", auth.ClaimMap{}, map[string]any{"scope": "http://smarthealthit.org/fhir/scopes/system/Patient.r"}, "system/Patient.r"},
		{"a role with a space is no two scopes", auth.ClaimMap{Scope: []auth.ClaimPath{{"roles"}}}, map[string]any{"roles": []string{"x system/Patient.rs"}}, ""},
		{"a mapped role with a space", auth.ClaimMap{Scope: []auth.ClaimPath{{"roles"}}, ScopeOf: map[string]string{"read all": "system/Patient.rs"}}, map[string]any{"roles": []string{"read all"}}, "system/Patient.rs"},
		{"more than registered", auth.ClaimMap{ScopeOf: map[string]string{"all": "system/*.cruds"}}, map[string]any{"scope": "all"}, "system/Patient.rs"},
		{"none", auth.ClaimMap{}, map[string]any{"scope": nil}, ""},
	} {
		t.Run(tt.note, func(t *testing.T) {
			w := newWorld(t)
			p, err := w.with(t, tt.m, nil).Verify(t.Context(), w.outside(tt.claims))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Scopes.String(); got != tt.want {
				t.Errorf("scopes %q, want %q", got, tt.want)
			}
		})
	}
}

func TestOutsideTokensThatAreRefused(t *testing.T) {
	many := strings.Repeat("x ", 300)
	for note, tt := range map[string]struct {
		m      auth.ClaimMap
		claims map[string]any
		reason string
	}{
		"an id token by its hash":       {auth.ClaimMap{}, map[string]any{"at_hash": "x"}, "typ"},
		"an id token by its nonce":      {auth.ClaimMap{}, map[string]any{"nonce": "x"}, "typ"},
		"an id token of Keycloak":       {auth.ClaimMap{}, map[string]any{"typ": "ID"}, "typ"},
		"a refresh token of Keycloak":   {auth.ClaimMap{}, map[string]any{"typ": "Refresh"}, "typ"},
		"a logout token":                {auth.ClaimMap{}, map[string]any{"events": map[string]any{}}, "typ"},
		"bound to a key":                {auth.ClaimMap{}, map[string]any{"cnf": map[string]any{"jkt": "x"}}, "bound"},
		"scope a number":                {auth.ClaimMap{}, map[string]any{"scope": 1}, "claims"},
		"scope a list of lists":         {auth.ClaimMap{}, map[string]any{"scope": []any{[]string{"system/Patient.rs"}}}, "claims"},
		"too many scopes":               {auth.ClaimMap{}, map[string]any{"scope": many}, "claims"},
		"client a list":                 {auth.ClaimMap{}, map[string]any{"azp": []string{"idp-client"}}, "claims"},
		"no client":                     {auth.ClaimMap{}, map[string]any{"azp": nil}, "claims"},
		"client in another claim":       {auth.ClaimMap{Client: []auth.ClaimPath{{"cid"}}}, nil, "claims"},
		"two clients, the first counts": {auth.ClaimMap{Client: []auth.ClaimPath{{"cid"}, {"azp"}}}, map[string]any{"cid": "rms"}, "client-issuer"},
		"no id":                         {auth.ClaimMap{}, map[string]any{"jti": nil}, "jti"},
		"id in another claim":           {auth.ClaimMap{ID: auth.ClaimPath{"uti"}}, nil, "jti"},
		"no iat":                        {auth.ClaimMap{}, map[string]any{"iat": nil}, "lifetime"},
		"lives for two days":            {auth.ClaimMap{}, map[string]any{"exp": 4102444800}, "lifetime"},
		"the base URL is not its aud":   {auth.ClaimMap{}, map[string]any{"aud": fhirBase}, "audience"},
	} {
		t.Run(note, func(t *testing.T) {
			w := newWorld(t)
			v := w.with(t, tt.m, nil)
			_, err := v.Verify(t.Context(), w.outside(tt.claims))
			if r := (*auth.Refusal)(nil); !errors.As(err, &r) || r.Reason != tt.reason {
				t.Errorf("got %v, want %s", err, tt.reason)
			}
		})
	}
}

func TestAnOutsideTokenCanBeEnded(t *testing.T) {
	w := newWorld(t)
	v := w.with(t, auth.ClaimMap{ID: auth.ClaimPath{"uti"}}, nil)
	one, two := w.outside(map[string]any{"uti": "a", "jti": nil}), w.outside(map[string]any{"uti": "b", "jti": nil})
	p, err := v.Verify(t.Context(), one)
	if err != nil || !believed(t, v, t.Context(), two) {
		t.Fatal(err)
	}
	if err := auth.Revoke(t.Context(), w.facts, p.Issuer, p.TokenID, p.Expires); err != nil {
		t.Fatal(err)
	}
	if believed(t, v, t.Context(), one) || !believed(t, v, t.Context(), two) {
		t.Error("not this one alone")
	}
	if err := auth.EndClient(t.Context(), w.facts, "idp-client", w.clock.now()); err != nil {
		t.Fatal(err)
	}
	if believed(t, v, t.Context(), two) {
		t.Error("believed after its client was ended")
	}
}

func TestClaimPaths(t *testing.T) {
	for text, want := range map[string]auth.ClaimPath{
		"": nil, "scp": {"scp"}, "realm_access.roles": {"realm_access", "roles"}, "https://h.example/a.b": {"https://h.example/a.b"},
		"/resource_access/https:~1~1gw.example~1fhir/roles": {"resource_access", "https://gw.example/fhir", "roles"}, "/a~01": {"a~1"},
	} {
		got, err := auth.ParseClaimPath(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, bad := range []string{".", "a..b", "a.", "/", "/a/", "a.b.c.d.e.f.g.h.i"} {
		if got, err := auth.ParseClaimPath(bad); err == nil {
			t.Errorf("%q is %q", bad, got)
		}
	}
}

func TestMappingsThatMeanNothingAreRefused(t *testing.T) {
	w := newWorld(t)
	set, err := auth.ParseKeySet(jwks(keys()["stranger"]))
	if err != nil {
		t.Fatal(err)
	}
	for note, m := range map[string]auth.ClaimMap{
		"a user and no person":   {User: auth.ClaimPath{"sub"}},
		"a person and no user":   {Person: auth.ClaimPath{"sid"}},
		"a name and no person":   {Name: auth.ClaimPath{"name"}},
		"roles without meaning":  {Person: auth.ClaimPath{"sid"}, User: auth.ClaimPath{"sub"}, Roles: auth.ClaimPath{"roles"}},
		"scope to nothing":       {ScopeOf: map[string]string{"x": " "}},
		"scope of nothing":       {ScopeOf: map[string]string{"": "system/Patient.r"}},
		"scope to a bad scope":   {ScopeOf: map[string]string{"x": "system/Patient.sr"}},
		"scope to no resource's": {ScopeOf: map[string]string{"x": "launch"}},
	} {
		is := auth.Issuer{ID: idpID, Audience: "api", Algorithms: []string{auth.ES384}, Keys: set, Outside: true, Claims: m}
		if _, err := auth.NewVerifier(auth.VerifierOptions{Issuers: []auth.Issuer{is}, Registry: w.registry, Facts: w.facts}); err == nil {
			t.Errorf("%s was taken", note)
		}
	}
}

// a fetcher that the test stops.
type stoppable struct {
	mu    sync.Mutex
	body  []byte
	fail  error
	asked int
}

func (f *stoppable) Fetch(context.Context, string) ([]byte, time.Duration, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	return f.body, 0, f.fail
}

func TestAnUnreachableIssuerKeepsNobodyElseOut(t *testing.T) {
	w := newWorld(t)
	own, err := auth.ParseKeySet(jwks(keys()["issuer"]))
	if err != nil {
		t.Fatal(err)
	}
	f := &stoppable{body: jwks(keys()["stranger"]), fail: errors.New("no route")}
	remote, err := auth.NewIssuerKeys("https://idp.example/jwks", f, w.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	v, err := auth.NewVerifier(auth.VerifierOptions{
		Issuers: []auth.Issuer{
			{ID: issuerID, Audience: fhirBase, Algorithms: []string{auth.ES256}, Keys: own},
			{ID: idpID, Audience: "api", Algorithms: []string{auth.ES384}, Keys: remote, Outside: true},
		},
		Registry: w.registry, Facts: w.facts, Now: w.clock.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	unreachable, err := v.Check(t.Context())
	if err != nil || len(unreachable) != 1 || unreachable[idpID] == nil {
		t.Errorf("check: %v, %v", unreachable, err)
	}
	theirs := w.outside(nil)
	is503 := func() bool {
		_, err := v.Verify(t.Context(), theirs)
		status, _ := auth.Challenge("x", err)
		return err != nil && status == 503
	}
	if !is503() || !believed(t, v, t.Context(), w.token(t, "system/Patient.rs")) {
		t.Error("unreachable: its tokens should give 503, ours be believed")
	}
	f.mu.Lock()
	f.fail = nil
	f.mu.Unlock()
	w.clock.add(3 * time.Second)
	if !believed(t, v, t.Context(), theirs) {
		t.Fatal("not believed although its keys can be had")
	}
	// Its owner says that the set may not be kept; it is, for a minute.
	asked := f.asked
	for range 5 {
		if !believed(t, v, t.Context(), theirs) {
			t.Fatal("not believed again")
		}
	}
	if f.asked != asked {
		t.Errorf("asked %d times more", f.asked-asked)
	}
	f.mu.Lock()
	f.fail = errors.New("no route")
	f.mu.Unlock()
	w.clock.add(61 * time.Second)
	if !is503() {
		t.Error("believed by keys that are too old")
	}
	if !believed(t, v, t.Context(), w.token(t, "system/Patient.rs")) {
		t.Error("our token is refused")
	}
}

func FuzzClaimMapping(f *testing.F) {
	w := newWorld(f)
	m := people(f)
	m.Scope = []auth.ClaimPath{{"scope"}, path(f, "realm_access.roles")}
	m.ScopeOf = map[string]string{"officer": "user/Patient.rs"}
	v := w.with(f, m, nil)
	for _, claims := range []string{
		`{}`, `{"sid":"x","badge":"7","realm_access":{"roles":["officer"]}}`, `{"scope":["system/Patient.rs",1]}`, `{"azp":{"a":1}}`,
		`{"sid":null,"badge":"7"}`, `{"smart":{"patient":"Patient/ada"},"amr":"pwd otp"}`, `{"realm_access":[{"roles":1}]}`, `{"extensions":{"hl7-b2b":{}}}`,
	} {
		f.Add(claims)
	}
	registered := w.clients[4]
	f.Fuzz(func(t *testing.T, claims string) {
		over := map[string]any{}
		if json.Unmarshal([]byte(claims), &over) != nil {
			return
		}
		// These say whether the token is believed at all.
		for _, name := range []string{"iss", "aud", "exp", "iat", "nbf", "jti"} {
			delete(over, name)
		}
		p, err := v.Verify(t.Context(), w.outside(over))
		if err != nil {
			if r := (*auth.Refusal)(nil); !errors.As(err, &r) {
				t.Fatal(err)
			}
			return
		}
		if p.Client != registered.ID || p.Requester.Organization != registered.Organization || p.Authorization != "" || p.Session != "" || p.User.MFA {
			t.Fatalf("%s: %+v", claims, p)
		}
		level := []string{smart.ContextSystem}
		if p.User.Subject != "" {
			level = []string{smart.ContextUser, smart.ContextPatient}
		}
		if len(p.Scopes.In(level...)) != len(p.Scopes) {
			t.Fatalf("%s: levels are mixed: %s", claims, p.Scopes)
		}
		for _, r := range p.Requester.Roles {
			if !slices.Contains(registered.Roles, r) {
				t.Fatalf("%s: role %v", claims, r)
			}
		}
	})
}

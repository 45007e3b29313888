package registration_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/registration"
	"github.com/handoff-health/handoff/gateway/smart"
)

// narrow is a registration with nothing to find.
func narrow(t testing.TB) auth.Client {
	return auth.Client{
		ID: "svc", Organization: "Organization/clinic", OrganizationKind: auth.Health, Purposes: []string{"s|TREAT"},
		Scopes: smart.ParseGranted("system/Patient.rs system/Consent.cu"), JWKS: []byte(keySet(t)),
	}
}

func TestLint(t *testing.T) {
	at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	shared := keySet(t)
	weak := func() string {
		// A modulus of 2048 bits; nobody knows its factors, and nobody has to.
		return `{"keys":[{"kty":"RSA","kid":"old","e":"AQAB","n":"` + strings.Repeat("w", 342) + `"}]}`
	}()
	person := func(c *auth.Client) {
		c.Grants, c.Scopes = []string{auth.GrantAuthorizationCode, auth.GrantRefreshToken}, smart.ParseGranted("user/Patient.rs")
		c.Providers, c.Life = []string{"clinic-idp"}, 10*time.Minute
	}
	for _, c := range []struct {
		name    string
		change  func(*auth.Client, *registration.World)
		code    string // "" nothing is found
		scope   string
		instead string
	}{
		{"nothing", func(*auth.Client, *registration.World) {}, "", "", ""},
		{"every type", func(c *auth.Client, _ *registration.World) { c.Scopes = smart.ParseGranted("system/*.rs") }, "wildcard-type", "system/*.rs", "system/Patient.rs"},
		{"every letter", func(c *auth.Client, _ *registration.World) { c.Scopes = smart.ParseGranted("system/*.cruds") }, "cruds", "system/*.cruds", "system/*.rs"},
		{"police with everything", func(c *auth.Client, _ *registration.World) {
			person(c)
			c.OrganizationKind, c.Scopes = auth.Police, smart.ParseGranted("user/*.*")
		}, "police-wildcard", "user/*.*", "user/Patient."},
		{"to write what cannot be written", func(c *auth.Client, _ *registration.World) { c.Scopes = smart.ParseGranted("system/Patient.crus") }, "write", "system/Patient.crus", "system/Patient.rs"},
		{"to delete", func(c *auth.Client, _ *registration.World) { c.Scopes = smart.ParseGranted("system/Consent.crud") }, "delete", "system/Consent.crud", "system/Consent.cru"},
		{"version 1 write", func(c *auth.Client, _ *registration.World) { c.Scopes = smart.ParseGranted("system/Patient.write") }, "write", "system/Patient.write", ""},
		{"a type that is not served", func(c *auth.Client, _ *registration.World) { c.Scopes = smart.ParseGranted("system/Claim.rs") }, "type-not-served", "system/Claim.rs", ""},
		{"a type of no system", func(c *auth.Client, w *registration.World) {
			w.Config = &config.Config{Systems: []config.System{{Key: "a", Types: []string{"Observation"}}}}
		}, "type-not-connected", "system/Patient.rs", ""},
		{"a type of a system that says nothing", func(c *auth.Client, w *registration.World) {
			w.Config = &config.Config{Systems: []config.System{{Key: "a", Types: []string{"Observation"}}, {Key: "b"}}}
		}, "", "", ""},
		{"every Observation", func(c *auth.Client, _ *registration.World) { c.Scopes = smart.ParseGranted("system/Observation.r") }, "granular", "system/Observation.r", "system/Observation.r?category="},
		{"a code that is none", func(c *auth.Client, _ *registration.World) {
			c.Scopes = smart.ParseGranted("system/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|labs")
		}, "criterion-never-matches", "", ""},
		{"a code that is one", func(c *auth.Client, _ *registration.World) {
			c.Scopes = smart.ParseGranted("system/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory&status=final")
		}, "", "", ""},
		{"a status that is none", func(c *auth.Client, _ *registration.World) {
			c.Scopes = smart.ParseGranted("system/Observation.rs?status=done")
		}, "criterion-never-matches", "", ""},
		{"two of one", func(c *auth.Client, _ *registration.World) {
			c.Scopes = smart.ParseGranted("system/Observation.rs?status=final&status=amended")
		}, "criterion-never-matches", "", "status=amended,final"},
		{"covered by another", func(c *auth.Client, _ *registration.World) {
			c.Scopes = smart.ParseGranted("system/Patient.r system/Patient.s system/Patient.rs")
		}, "redundant", "", "system/Patient.rs"},
		{"version 1 beside version 2", func(c *auth.Client, _ *registration.World) {
			c.Scopes = smart.ParseGranted("system/Patient.read system/Patient.rs")
		}, "redundant", "", "system/Patient.rs"},
		{"explaining without people", func(c *auth.Client, _ *registration.World) { c.Operations = []string{smart.ScopeExplainAccess} }, "operation-unusable", smart.ScopeExplainAccess, ""},
		{"explaining with people", func(c *auth.Client, _ *registration.World) {
			c.Operations, c.AssertsUsers, c.BelievesMFA = []string{smart.ScopeExplainAccess}, true, true
		}, "", "", ""},
		{"launching nothing", func(c *auth.Client, _ *registration.World) { c.Operations = []string{smart.ScopeRegisterLaunch} }, "operation-unusable", smart.ScopeRegisterLaunch, ""},
		{"a purpose of nobody", func(c *auth.Client, w *registration.World) {
			w.Purpose = func(_, _, code string) bool { return code != "TREAT" }
		}, "purpose-not-served", "", ""},
		{"a public app for months", func(c *auth.Client, _ *registration.World) {
			person(c)
			c.JWKS, c.Public, c.ContextScopes = nil, true, []string{smart.ScopeOffline}
		}, "public-offline", smart.ScopeOffline, smart.ScopeOnline},
		{"a car for months", func(c *auth.Client, w *registration.World) {
			person(c)
			c.ContextScopes, c.Providers = []string{smart.ScopeOffline}, []string{"cars"}
			w.Config = &config.Config{SignIn: config.SignIn{Providers: []config.IdentityProvider{{ID: "cars", Exempt: true}}}, Systems: []config.System{{Key: "b"}}}
		}, "shared-device-offline", smart.ScopeOffline, smart.ScopeOnline},
		{"an hour", func(c *auth.Client, _ *registration.World) { person(c); c.Life = 0 }, "long-lifetime", "", "lifetime"},
		{"a weak key", func(c *auth.Client, _ *registration.World) { c.JWKS = []byte(weak) }, "weak-key", "", "ES384"},
		{"a shared key", func(c *auth.Client, w *registration.World) {
			c.JWKS = []byte(shared)
			w.Others = append(w.Others, &auth.Client{ID: "other", JWKS: []byte(shared)})
		}, "shared-key", "", "a key for each"},
		{"a shared URL", func(c *auth.Client, w *registration.World) {
			c.JWKS, c.JWKSURL = nil, "https://x.example/jwks"
			w.Others = append(w.Others, &auth.Client{ID: "other", JWKSURL: "https://x.example/jwks"})
		}, "shared-key", "", ""},
		{"a shared secret", func(c *auth.Client, w *registration.World) {
			person(c)
			c.JWKS, c.SecretHashes = nil, []string{"sha256:aa"}
			w.Others = append(w.Others, &auth.Client{ID: "other", SecretHashes: []string{"sha256:aa"}})
		}, "shared-secret", "", ""},
		{"91 days", func(_ *auth.Client, w *registration.World) {
			w.Used = map[string]time.Time{"svc": at.AddDate(0, 0, -91)}
		}, "unused", "", "disable"},
		{"89 days", func(_ *auth.Client, w *registration.World) {
			w.Used = map[string]time.Time{"svc": at.AddDate(0, 0, -89)}
		}, "", "", ""},
		{"never", func(_ *auth.Client, w *registration.World) {
			w.Used, w.Created = map[string]time.Time{}, at.AddDate(0, 0, -91)
		}, "unused", "", "disable"},
		{"disabled", func(c *auth.Client, w *registration.World) {
			c.Disabled, w.Used = true, map[string]time.Time{"svc": at.AddDate(0, 0, -91)}
		}, "", "", ""},
	} {
		reg := narrow(t)
		w := registration.World{Served: []string{"Patient", "Observation", "Condition", "Consent", "Task"}, Now: at}
		c.change(&reg, &w)
		w.Others = append(w.Others, &reg)
		got := registration.Lint(&reg, w)
		if c.code == "" {
			if len(got) > 0 {
				t.Errorf("%s: %+v", c.name, got)
			}
			continue
		}
		i := slices.IndexFunc(got, func(f registration.Finding) bool { return f.Code == c.code })
		if i < 0 {
			t.Errorf("%s: no %s in %+v", c.name, c.code, got)
			continue
		}
		f := got[i]
		if f.Client != "svc" || f.Why == "" || c.scope != "" && f.Scope != c.scope || !strings.Contains(f.Instead, c.instead) {
			t.Errorf("%s: %+v", c.name, f)
		}
	}
}

// What the API warns of.
func TestAnswersWarn(t *testing.T) {
	n := newNode(t, "", nil)
	got := n.do("clinic", "POST", path, strings.Replace(service(t), "system/Patient.rs", "system/*.cruds", 1))
	if got.Code != 201 || !strings.Contains(got.Text, `"code":"cruds"`) || !strings.Contains(got.Text, `"instead"`) {
		t.Errorf("%d %s", got.Code, got.Text)
	}
}

func FuzzMetadata(f *testing.F) {
	n := newNode(f, "", nil)
	for _, s := range []string{app, `{"jwks":{"keys":[]}}`, `{"scope":1}`, `{"redirect_uris":["com.example:/x"]}`, `{"access_token_lifetime":1e400}`, "{\"client_name\":\"\xff\"}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		n := *n
		n.t = t
		got := n.do("clinic", "POST", path, body)
		switch got.Code {
		case 201:
			n.do("clinic", "DELETE", path+"/"+got.str("client_id"), "")
		case 400:
			if got.str("error") == "" || got.str("error_description") == "" {
				t.Errorf("%s", got.Text)
			}
		default:
			t.Errorf("%d %s", got.Code, got.Text)
		}
	})
}

package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

const minimal = `site:
  key: 0123456789abcdef0123456789abcdef
organizations:
  - {id: pd, name: Police, kind: police}
  - {id: clinic, name: Clinic, kind: health}
clients:
  - id: c1
    organization: pd
    roles: [law-enforcement-officer]
    purposes: [CRISIS]
    scopes: system/*.rs
    jwks: '{"keys":[]}'
systems:
  - {key: ehr, kind: fhir, slug: a, organization: clinic, base: "http://127.0.0.1:1/fhir"}
agreements:
  - {id: moa, from: pd, to: clinic, ends: 2030-01-01}
`

func TestMinimalFileGetsDefaults(t *testing.T) {
	c, err := Parse("x/handoff.yaml", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	if c.Server.Base != "http://127.0.0.1:8080/fhir" || c.Systems[0].Consents != "deny" || c.Clients[0].TreatingProvider != "never" {
		t.Errorf("defaults: %+v", c)
	}
	if !filepath.IsAbs(c.Path(c.Audit.Dir)) {
		t.Errorf("relative path %q is not resolved", c.Path(c.Audit.Dir))
	}
}

func TestFaultsNameTheirPlace(t *testing.T) {
	for _, c := range []struct {
		name, old, new string
		want           []string
	}{
		{"unknown key", "  key: 0123", "  kez: 0123", []string{"[2:3]", "unknown field", "kez"}},
		{"unknown block", "agreements:", "agrements:", []string{"unknown field", "agrements"}},
		{"wrong type", "roles: [law-enforcement-officer]", "roles: 7", []string{"[9:12]"}},
		{"broken yaml", "organizations:\n", "organizations: [\n", []string{"handoff.yaml", "["}},
		{"short key", "0123456789abcdef0123456789abcdef", "short", []string{"$.site.key", "at least 32"}},
		{"unknown organisation", "organization: pd", "organization: nobody", []string{"$.clients[0].organization", "nobody"}},
		{"slug that is a name", "slug: a", "slug: Clinic1", []string{"$.systems[0].slug"}},
		{"agreement without end", "ends: 2030-01-01", "ends: never", []string{"$.agreements[0].ends"}},
		{"plain http upstream", "http://127.0.0.1:1/fhir", "http://ehr.example/fhir", []string{"$.systems[0].base", "loopback"}},
		{"missing environment", "0123456789abcdef0123456789abcdef", "${env:HANDOFF_NO_SUCH}", []string{"[2:8]", "HANDOFF_NO_SUCH"}},
		{"missing file", "0123456789abcdef0123456789abcdef", "${file:no-such}", []string{"[2:8]", "no-such"}},
		{"no token lifetime over 5m", "site:", "issuer: {lifetime: 1h}\nsite:", []string{"$.issuer.lifetime"}},
		{"listening to the world", "site:", "server: {listen: \"0.0.0.0:80\"}\nsite:", []string{"$.server.listen", "TLS"}},
	} {
		text := strings.Replace(minimal, c.old, c.new, 1)
		if text == minimal {
			t.Fatalf("%s: nothing was replaced", c.name)
		}
		_, err := Parse("handoff.yaml", []byte(text))
		if err == nil {
			t.Errorf("%s: accepted", c.name)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q is missing in: %v", c.name, w, err)
			}
		}
	}
}

func TestSecretsComeFromOutsideAndStayHidden(t *testing.T) {
	dir := t.TempDir()
	secret := `a"b: {c}` + strings.Repeat("x", 40)
	if err := os.WriteFile(filepath.Join(dir, "site.key"), []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(minimal, "0123456789abcdef0123456789abcdef", "${file:site.key}", 1)
	c, err := Parse(filepath.Join(dir, "handoff.yaml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if c.Site.Key.Reveal() != secret {
		t.Errorf("got %q", c.Site.Key.Reveal())
	}
	out, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "xxxx") || !strings.Contains(string(out), "<hidden>") {
		t.Errorf("the secret shows:\n%s", out)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if c, err := Parse("x.yaml", raw); err == nil && len(c.Site.Key) < 32 {
			t.Fatal("a configuration without a site key was accepted")
		}
	})
}

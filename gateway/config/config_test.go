package config

import (
	"errors"
	"fmt"
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

func TestWhatFailsLaterIsAFaultNow(t *testing.T) {
	for _, c := range []struct {
		name, old, new string
		want           []string
	}{
		{"scope of an unknown type", "system/*.rs", "system/Nope.rs", []string{"[11:13] $.clients[0].scopes", "Nope"}},
		{"scope that is none", "system/*.rs", "everything", []string{"[11:13] $.clients[0].scopes"}},
		{"role with a typo", "[law-enforcement-officer]", "[law-enforcment-officer]", []string{"[9:13] $.clients[0].roles[0]", "dispatcher"}},
		{"second role with a typo", "[law-enforcement-officer]", "[dispatcher, Officer]", []string{"[9:25] $.clients[0].roles[1]"}},
		{"role of our system by URL", "[law-enforcement-officer]", `["https://handoff-health.github.io/fhir/CodeSystem/actor-role|boss"]`, []string{"$.clients[0].roles[0]"}},
		{"purpose with a typo", "[CRISIS]", "[CRISES]", []string{"[10:16] $.clients[0].purposes[0]"}},
		{"purpose of another system", "[CRISIS]", `["http://snomed.info/sct|CRISIS"]`, []string{"$.clients[0].purposes[0]"}},
		{"purpose of an agreement", "ends: 2030-01-01", "purposes: [TREET], ends: 2030-01-01", []string{"$.agreements[0].purposes[0]"}},
		{"agreement that ends first", "ends: 2030-01-01", "starts: 2031-01-01, ends: 2030-01-01", []string{"$.agreements[0].ends"}},
		{"scope of no operation", "system/*.rs", "https://handoff-health.github.io/fhir/scope/nope", []string{"[11:13] $.clients[0].scopes", "explain-access"}},
		{"users", "scopes: system/*.rs", "scopes: system/*.rs\n    users: some", []string{"[12:12] $.clients[0].users", "asserted"}},
		{"MFA", "scopes: system/*.rs", "scopes: system/*.rs\n    users: asserted\n    mfa: always", []string{"[13:10] $.clients[0].mfa", "never"}},
		{"practitioner", "kind: police}", "kind: police, practitioners: [{id: 'a b'}]}", []string{"$.organizations[0].practitioners[0].id"}},
		{"practitioner twice", "kind: police}", "kind: police, practitioners: [{id: a}, {id: a}]}", []string{"$.organizations[0].practitioners[1].id", "twice"}},
		{"identifier of two", "kind: police}", "kind: police, practitioners: [{id: a, identifiers: [{system: s, value: v}]}, {id: b, identifiers: [{system: s, value: v}]}]}", []string{"$.organizations[0].practitioners[1].identifiers[0]", "somebody else"}},
		{"units by a field in a FHIR system", "slug: a", "slug: a, part2Units: [{field: PV1-10, values: [DTX]}]", []string{"$.systems[0].part2Units[0].field", "is for feeds", "[14:"}},
		{"units without a place", "slug: a", "slug: a, part2Units: [{values: [DTX]}]", []string{"$.systems[0].part2Units[0].element", "no path of elements"}},
		{"units without values", "slug: a", "slug: a, part2Units: [{element: serviceProvider}]", []string{"$.systems[0].part2Units[0].values", "is missing"}},
		{"a unit among both", "slug: a", "slug: a, part2Units: [{element: author, values: [Organization/A], others: [organization/a]}]", []string{"$.systems[0].part2Units[0].others[0]", "among values"}},
		{"an empty unit", "slug: a", "slug: a, part2Units: [{element: author, values: ['']}]", []string{"$.systems[0].part2Units[0].values[0]", "is empty"}},
		{"units of a system that is Part 2 as a whole", "slug: a", "slug: a, part2: true, part2Units: [{element: author, values: [x]}]", []string{"$.systems[0].part2Units", "whole system"}},
		{"a misspelt key of a unit", "slug: a", "slug: a, part2Units: [{elements: author, values: [x]}]", []string{"unknown field", "elements"}},
		{"units of a feed by an element", "{key: ehr, kind: fhir, slug: a, organization: clinic, base: \"http://127.0.0.1:1/fhir\"}", "{key: adt, kind: feed, adapter: ehr/hl7v2, organization: clinic, part2Units: [{element: author, values: [x]}, {field: PV110, values: [x]}]}", []string{"part2Units[0].element", "part2Units[1].field", "no field of HL7 v2"}},
		{"units of a police agency", "{key: ehr, kind: fhir, slug: a, organization: clinic, base: \"http://127.0.0.1:1/fhir\"}", "{key: rms, kind: feed, adapter: rms/csv, organization: pd, part2Units: [{field: Unit, values: [x]}]}", []string{"$.systems[0].part2Units", "police"}},
		{"level", "site:", "telemetry: {level: loud}\nsite:", []string{"[1:20] $.telemetry.level", "loud"}},
		{"telemetry address", "site:", "telemetry: {listen: metrics}\nsite:", []string{"[1:21] $.telemetry.listen"}},
		{"negative timeout", "site:", "broker: {timeout: -2s}\nsite:", []string{"[1:19] $.broker.timeout"}},
		{"negative overall", "site:", "broker: {overall: -2s}\nsite:", []string{"[1:19] $.broker.overall"}},
		{"negative concurrency", "site:", "broker: {concurrency: -1}\nsite:", []string{"$.broker.concurrency"}},
		{"negative body", "site:", "server: {maxBody: -1}\nsite:", []string{"$.server.maxBody"}},
		{"negative timeout of a system", "slug: a", "slug: a, timeout: -1s", []string{"[14:46] $.systems[0].timeout"}},
		{"no duration", "site:", "broker: {timeout: soon}\nsite:", []string{"[1:19]", "duration"}},
		{"lifetime under a second", "site:", "issuer: {lifetime: 1ms}\nsite:", []string{"$.issuer.lifetime"}},
		{"port", "site:", "server: {listen: \"127.0.0.1:x\"}\nsite:", []string{"[1:18] $.server.listen", "port"}},
		{"port too large", "site:", "server: {listen: \"127.0.0.1:70000\"}\nsite:", []string{"$.server.listen", "port"}},
		{"a proxy that is nobody", "site:", "server: {trustedProxies: [proxy.example]}\nsite:", []string{"$.server.trustedProxies[0]", "neither an address nor a network"}},
		{"every proxy", "site:", "server: {trustedProxies: [10.0.0.1, 0.0.0.0/0]}\nsite:", []string{"$.server.trustedProxies[1]", "believes everybody"}},
		{"a network with a host", "site:", "server: {trustedProxies: [10.1.2.3/8]}\nsite:", []string{"$.server.trustedProxies[0]", "10.0.0.0/8"}},
		{"no host and no base", "site:", "server: {listen: \":8080\", plainHTTP: true}\nsite:", []string{"[1:10] $.server.base"}},
		{"base with a query", "site:", "server: {base: \"https://h/fhir?x\"}\nsite:", []string{"[1:16] $.server.base"}},
		{"state", "{id: clinic,", "{id: clinic, state: Texas,", []string{"[5:25] $.organizations[1].state", "Texas"}},
		{"network", "{id: clinic,", "{id: clinic, networks: [hie],", []string{"$.organizations[1].networks[0]", "hie"}},
		{"type", "slug: a", "slug: a, types: [Patient, Condision]", []string{"$.systems[0].types[1]", "Condision"}},
		{"token URL", "slug: a", "slug: a, auth: {tokenUrl: ftp://x/y}", []string{"$.systems[0].auth.tokenUrl"}},
		{"a tag on a list", "purposes: [CRISIS]", "purposes: !x", []string{"[10:15]", "tags"}},
		{"second document", "agreements:", "---\nagreements:", []string{"[16:1]", "second YAML document"}},
		{"privacy contact without a name", "{id: clinic,", "{id: clinic, privacyContact: {email: x@clinic.example},", []string{"$.organizations[1].privacyContact.name"}},
		{"webhook over plain HTTP", "{id: clinic,", "{id: clinic, privacyContact: {name: P, webhook: http://clinic.example/hook},", []string{"$.organizations[1].privacyContact.webhook", "https"}},
		{"mail address", "{id: clinic,", "{id: clinic, privacyContact: {name: P, email: nobody},", []string{"$.organizations[1].privacyContact.email"}},
		{"short webhook secret", "{id: clinic,", "{id: clinic, privacyContact: {name: P, webhook: https://c.example/h, webhookSecret: abc},", []string{"$.organizations[1].privacyContact.webhookSecret", "32"}},
		{"secret without webhook", "{id: clinic,", "{id: clinic, privacyContact: {name: P, webhookSecret: 0123456789abcdef0123456789abcdef},", []string{"$.organizations[1].privacyContact.webhookSecret"}},
		{"lifetime of an emergency", "site:", "emergency: {lifetime: 48h}\nsite:", []string{"[1:23] $.emergency.lifetime", "24h"}},
		{"review at once", "site:", "emergency: {reviewWithin: 1s}\nsite:", []string{"$.emergency.reviewWithin"}},
		{"negative longest", "site:", "legalBases: {longest: -1h}\nsite:", []string{"$.legalBases.longest"}},
		{"longest of a type", "site:", "legalBases: {longestOf: {warrant: 0s}}\nsite:", []string{"$.legalBases.longestOf", "warrant"}},
		{"document too large for a body", "site:", "legalBases: {maxDocument: 900000}\nsite:", []string{"$.legalBases.maxDocument"}},
		{"acceptance of nothing", "ends: 2030-01-01", "ends: 2030-01-01, accepts: [{roles: [dispatcher], within: 1h}]", []string{"$.agreements[0].accepts[0].type"}},
		{"acceptance twice for one role", "ends: 2030-01-01", "ends: 2030-01-01, accepts: [{type: warrant, roles: [dispatcher], within: 1h}, {type: warrant, roles: [dispatcher], types: [Flag], within: 1h}]", []string{"$.agreements[0].accepts[1]"}},
		{"acceptance for nobody", "ends: 2030-01-01", "ends: 2030-01-01, accepts: [{type: warrant, within: 1h}]", []string{"$.agreements[0].accepts[0].roles"}},
		{"acceptance for an unknown role", "ends: 2030-01-01", "ends: 2030-01-01, accepts: [{type: warrant, roles: [boss], within: 1h}]", []string{"$.agreements[0].accepts[0].roles[0]", "dispatcher"}},
		{"acceptance of an unknown type", "ends: 2030-01-01", "ends: 2030-01-01, accepts: [{type: warrant, roles: [dispatcher], types: [Plan], within: 1h}]", []string{"$.agreements[0].accepts[0].types[0]"}},
		{"acceptance without end", "ends: 2030-01-01", "ends: 2030-01-01, accepts: [{type: warrant, roles: [dispatcher]}]", []string{"$.agreements[0].accepts[0].within"}},
		{"custody for too long", "ends: 2030-01-01", "ends: 2030-01-01, accepts: [{type: hipaa-512k5-custody, roles: [custody-officer], within: 100h}]", []string{"$.agreements[0].accepts[0].within", "72h"}},
		{"time zone", "organizations:", "  timeZone: Chicago\norganizations:", []string{"[3:13] $.site.timeZone"}},
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
	for text, want := range map[string]string{"": "empty", "# nothing\n": "empty", "---\n": "empty", "~": "empty", "- a\n": "not a mapping", "text": "not a mapping"} {
		if _, err := Parse("handoff.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestCodesOfOtherSystemsPass(t *testing.T) {
	text := strings.NewReplacer("[law-enforcement-officer]", `["http://nucc.org/provider-taxonomy|101Y00000X", "http://example.org/pmhc/CodeSystem/actor-role|dispatcher"]`,
		"[CRISIS]", `[LAWENF, ETREAT, "http://terminology.hl7.org/CodeSystem/v3-ActReason|TREAT"]`).Replace(minimal)
	if _, err := Parse("handoff.yaml", []byte(text)); err != nil {
		t.Error(err)
	}
}

func TestAllFaultsAreTold(t *testing.T) {
	text := strings.NewReplacer("slug: a", "slug: 9", "[CRISIS]", "[CRISES]", "organization: pd", "organization: dp").Replace(minimal)
	_, err := Parse("handoff.yaml", []byte(text))
	var e *Error
	if !errors.As(err, &e) || len(e.Faults) != 3 || !strings.Contains(err.Error(), "3 faults") {
		t.Errorf("got %v", err)
	}
}

func TestChecksLookAtWhatTheFileNames(t *testing.T) {
	text := strings.Replace(minimal, "slug: a", "slug: a, auth: {clientId: c, keyFile: no.jwk}", 1) +
		"server: {tlsCert: no.pem, tlsKey: no.pem}\n"
	text = strings.Replace(text, "agreements:", "  - {key: rms, kind: feed, organization: pd, adapter: rms/nope}\n  - {key: adt, kind: feed, organization: pd, adapter: ehr/hl7v2, profile: no.yaml}\n"+
		"  - {key: csv, kind: feed, organization: pd, adapter: rms/csv}\nagreements:", 1)
	if _, err := Parse("handoff.yaml", []byte(text)); err != nil {
		t.Fatalf("without checks: %v", err)
	}
	checks := Checks{
		Adapters: []string{"ehr/hl7v2", "rms/csv"}, Files: true,
		Client: func(_ *Config, cl Client) []ClientFault {
			return []ClientFault{{Field: "jwks", Reason: "is not a usable JSON Web Key Set of public keys", Err: fmt.Errorf("%d bytes are no key", len(cl.JWKS))}}
		},
		PrivateKey: func(path string) error { _, err := os.Stat(path); return err },
		Profile:    func(adapter, path string) error { return fmt.Errorf("%s does not map %q", adapter, path) },
	}
	file := filepath.Join(t.TempDir(), "handoff.yaml")
	_, err := ParseWith(file, []byte(text), checks)
	for _, want := range []string{
		"[12:11] $.clients[0].jwks: is not a usable JSON Web Key Set of public keys: 11 bytes are no key",
		"[14:66] $.systems[0].auth.keyFile: the private key cannot be used", "$.server.tlsCert", "$.server.tlsKey",
		`$.systems[1].adapter: "rms/nope" is no adapter; known are ehr/hl7v2, rms/csv`,
		"$.systems[2].profile: cannot be read", `$.systems[3].profile: the feed cannot be mapped: rms/csv does not map "…"`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	// Who runs without the feeds that cannot be mapped is told of all else.
	checks.FeedsLater = true
	_, err = ParseWith(file, []byte(text), checks)
	if err == nil || strings.Contains(err.Error(), ".profile") || !strings.Contains(err.Error(), "$.systems[1].adapter") {
		t.Errorf("with feeds left for later: %v", err)
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
	if at := c.SiteKeyAt(); at != filepath.Join(dir, "handoff.yaml")+":2:8" {
		t.Errorf("it stands at %s", at)
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

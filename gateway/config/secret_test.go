package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const outsideKey = "ba036cd6f1c24e5b9a7d00112233445566778899aabbccddeeff001122334455"

// settingsWith is the minimal file with the key written as given.
func settingsWith(key string) string {
	return strings.Replace(minimal, "0123456789abcdef0123456789abcdef", key, 1)
}

// inFolder is a configuration file's path beside a site.key.
func inFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "site.key"), []byte(outsideKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HANDOFF_TEST_SECRET", outsideKey)
	return filepath.Join(dir, "handoff.yaml")
}

func TestPlaceholdersMayStandInQuotes(t *testing.T) {
	path := inFolder(t)
	for _, key := range []string{
		`${file:site.key}`, `"${file:site.key}"`, `'${file:site.key}'`, "${env:HANDOFF_TEST_SECRET}", `"${env:HANDOFF_TEST_SECRET}" # ${env:HANDOFF_NOT_READ}`,
		"|-\n    ${file:site.key}", `"ba036cd6f1c24e5b9a7d00112233445566778899aabbccddeeff001122334455"`,
	} {
		c, err := Parse(path, []byte(settingsWith(key)))
		if err != nil {
			t.Errorf("%s: %v", key, err)
			continue
		}
		if c.Site.Key.Reveal() != outsideKey {
			t.Errorf("%s: read %d bytes", key, len(c.Site.Key))
		}
	}
	t.Setenv("HANDOFF_TEST_TIMEOUT", "3s")
	t.Setenv("HANDOFF_TEST_MAX", "2048")
	c, err := Parse(path, []byte(minimal+"broker: {timeout: ${env:HANDOFF_TEST_TIMEOUT}}\nserver: {maxBody: ${env:HANDOFF_TEST_MAX}, base: \"http://${env:HANDOFF_TEST_TIMEOUT}.example/fhir\"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Broker.Timeout.Seconds() != 3 || c.Server.MaxBody != 2048 || c.Server.Base != "http://3s.example/fhir" {
		t.Errorf("filled in: %v, %v, %v", c.Broker.Timeout, c.Server.MaxBody, c.Server.Base)
	}
}

func TestNoErrorShowsWhatWasFilledInOrIsSecret(t *testing.T) {
	path := inFolder(t)
	broken := map[string]func(string) string{
		"unknown key after it": func(s string) string { return strings.Replace(s, "organizations:", "  kez: 1\norganizations:", 1) },
		"duplicate key":        func(s string) string { return strings.Replace(s, "organizations:", "  key: 1\norganizations:", 1) },
		"duplicate secret":     func(s string) string { return s + "site:\n  key: " + outsideKey + "\n" },
		"wrong type after it":  func(s string) string { return strings.Replace(s, "roles: [law-enforcement-officer]", "roles: 7", 1) },
		"syntax after it":      func(s string) string { return strings.Replace(s, "organizations:\n", "organizations: [\n", 1) },
		"IPv6 without quotes":  func(s string) string { return "server:\n  listen: [::1]:21801\n" + s },
		"a map under it":       func(s string) string { return strings.Replace(s, "organizations:", "    more: 1\norganizations:", 1) },
		"a tab":                func(s string) string { return strings.Replace(s, "organizations:", "\t\norganizations:", 1) },
		"open quote":           func(s string) string { return strings.Replace(s, "organizations:", "  name: \"x\norganizations:", 1) },
		"misspelt":             func(s string) string { return strings.Replace(s, "  key:", "  kee:", 1) },
		"as a name":            func(s string) string { return strings.Replace(s, "  key: ", "  ? ", 1) },
		"as a list":            func(s string) string { return strings.Replace(s, "  key: ", "  - ", 1) },
		"two of them":          func(s string) string { return strings.Replace(s, "  key: ", "  key: "+outsideKey+" : ", 1) },
		"in a flow map":        func(s string) string { return strings.Replace(s, "  key: ", "  key: {a: b, ", 1) },
		"a bad tag":            func(s string) string { return strings.Replace(s, "  key: ", "  key: !!int ", 1) },
		"bool tag":             func(s string) string { return strings.Replace(s, "  key: ", "  key: !!bool ", 1) },
		"binary tag":           func(s string) string { return strings.Replace(s, "  key: ", "  key: !!float ", 1) },
		"an alias":             func(s string) string { return strings.Replace(s, "  key: ", "  key: *", 1) },
		"an anchor":            func(s string) string { return strings.Replace(s, "  key: ", "  key: &", 1) },
		"second document":      func(s string) string { return s + "---\n" + s },
		"fault elsewhere":      func(s string) string { return strings.Replace(s, "slug: a", "slug: 9", 1) },
	}
	for name, breaks := range broken {
		for _, key := range []string{"${file:site.key}", `"${file:site.key}"`, `'${env:HANDOFF_TEST_SECRET}'`, outsideKey, `"` + outsideKey + `"`} {
			_, err := Parse(path, []byte(breaks(settingsWith(key))))
			if err == nil {
				if name != "as a name" && name != "a tab" && name != "an anchor" && !strings.HasSuffix(name, " tag") {
					t.Errorf("%s with %s: accepted", name, key)
				}
				continue
			}
			if text := fmt.Sprintf("%v %+v %q", err, err, err); strings.Contains(text, outsideKey[:8]) || strings.ContainsRune(text, tokenStart) {
				t.Errorf("%s with %s: shows it: %v", name, key, err)
			}
		}
	}
}

// Every setting that takes a text, filled with something secret that does not
// fit there.
func TestNoFaultShowsAValueFromOutside(t *testing.T) {
	path := inFolder(t)
	const all = `server: {listen: X, base: X, tlsCert: X, tlsKey: X, maxBody: X}
site: {key: 0123456789abcdef0123456789abcdef, timeZone: X}
issuer: {keyFile: X, lifetime: X}
organizations: [{id: X, kind: X, networks: [X]}, {id: pd, kind: police}]
clients: [{id: c, organization: X, roles: [X], purposes: [X], scopes: X, jwks: X, treatingProvider: X, recordsConsentFor: [X]}, {id: d, organization: pd, roles: [dispatcher], purposes: [CRISIS], scopes: "system/X.rs user/X.rs", jwksUrl: X}]
systems: [{key: X, kind: fhir, organization: X, slug: X, base: X, consents: X, types: [X], timeout: X, auth: {clientId: X, keyFile: X, tokenUrl: X}}, {key: f, kind: feed, organization: pd, adapter: X, profile: X}, {key: g, kind: X, organization: pd}]
agreements: [{id: a, from: X, to: X, purposes: [X], starts: X, ends: X}]
telemetry: {listen: X, level: X}
`
	refuse := func(s string) error { return fmt.Errorf("cannot take %s", s) }
	told := func(_ *Config, cl Client) []ClientFault {
		return []ClientFault{{Field: "jwks", Reason: "is no key set", Err: refuse(cl.JWKS)}, {Field: "jwksUrl", Value: cl.JWKSURL, Reason: "is no URL"}}
	}
	with := Checks{Adapters: []string{"rms/csv"}, Client: told, PrivateKey: refuse, Files: true}
	for _, numbers := range []bool{true, false} {
		text := all
		if !numbers { // these end the reading
			text = strings.NewReplacer(", maxBody: X", "", ", lifetime: X", "", ", timeout: X", "").Replace(text)
		}
		_, err := ParseWith(path, []byte(strings.ReplaceAll(text, "X", "${env:HANDOFF_TEST_SECRET}")), with)
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("got %v", err)
		}
		if !numbers && len(e.Faults) < 28 {
			t.Errorf("%d faults:\n%v", len(e.Faults), err)
		}
		if strings.Contains(err.Error(), outsideKey[:8]) {
			t.Errorf("shows it:\n%v", err)
		}
		for _, f := range e.Faults {
			if f.Line == 0 || f.Column == 0 {
				t.Errorf("without a place: %v", f)
			}
		}
	}
}

func TestSecretsHideFromEveryFormat(t *testing.T) {
	s := Secret(outsideKey)
	js, err := json.Marshal(struct{ S Secret }{s})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%q %+v %#v %s %v", s, Site{Key: s}, s, s, &Config{Site: Site{Key: s}}), string(js)} {
		if strings.Contains(text, outsideKey[:8]) {
			t.Errorf("shows: %s", text)
		}
	}
}

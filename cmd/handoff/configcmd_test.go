package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/gateway/auth"
)

// checkConfig runs `config check` on a text and returns what it prints.
func checkConfig(t *testing.T, dir, text string) string {
	t.Helper()
	path := filepath.Join(dir, "handoff.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, log bytes.Buffer
	root := newRootCommand()
	root.SetArgs([]string{"config", "check", path})
	root.SetOut(&out)
	root.SetErr(&log)
	if code := run(t.Context(), root, &log); (code == 0) != strings.HasSuffix(out.String(), ": ok\n") {
		t.Errorf("exit status %d with %q", code, out.String())
	}
	return out.String() + log.String()
}

func TestConfigCheckFindsWhatServeWouldFailAt(t *testing.T) {
	dir := t.TempDir()
	key, err := auth.GenerateKey(auth.ES384)
	if err != nil {
		t.Fatal(err)
	}
	jwks, err := auth.PublicKeys(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Write(filepath.Join(dir, "up.jwk")); err != nil {
		t.Fatal(err)
	}
	const secret = "ba036cd6f1c24e5b9a7d00112233445566778899aabbccddeeff001122334455"
	for name, content := range map[string]string{"site.key": secret + "\n", "c.jwks": string(jwks), "empty.jwks": `{"keys":[]}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const good = `site: {key: "${file:site.key}"}
organizations:
  - {id: pd, kind: police}
clients:
  - {id: c, organization: pd, roles: [dispatcher], purposes: [LAWENF], scopes: system/*.rs, jwks: ${file:c.jwks}}
systems:
  - {key: rms, kind: feed, organization: pd, adapter: rms/csv}
  - {key: ehr, kind: fhir, slug: a, organization: pd, base: "https://ehr.example/fhir", auth: {clientId: x, keyFile: up.jwk}}
`
	if got := checkConfig(t, dir, good); !strings.Contains(got, ": ok\nwarning: client c, system/*.rs: ") {
		t.Fatal(got)
	}
	for _, c := range []struct{ old, new, want string }{
		{"c.jwks", "empty.jwks", `[5:99] $.clients[0].jwks: is not a usable JSON Web Key Set of public keys: key set: it is empty`},
		{"up.jwk", "down.jwk", "[8:118] $.systems[1].auth.keyFile: the private key cannot be used"},
		{"up.jwk", "c.jwks", "[8:118] $.systems[1].auth.keyFile: the private key cannot be used"},
		{"rms/csv", "rms/nope", `[7:55] $.systems[0].adapter: "rms/nope" is no adapter; known are ehr/hl7v2, rms/csv`},
		{"adapter: rms/csv", "adapter: rms/csv, profile: no.yaml", "$.systems[0].profile: cannot be read"},
		{"adapter: rms/csv", "adapter: rms/csv, profile: site.key", "$.systems[0].profile: the feed cannot be mapped"},
		{"organizations:", "store: {mongo: {uri: \"${file:site.key}\"}}\norganizations:", "[2:22] $.store.mongo.uri: does not start with mongodb://"},
		{"organizations:", "store: {mongo: {uri: \"mongodb://u:" + secret + "@h:x/y\"}}\norganizations:", "[2:22] $.store.mongo.uri: names a port that is none"},
		{"organizations:", "store: {mongo: {uri: \"mongodb://h/a\", database: b}}\norganizations:", "$.store.mongo.database: is not the database that the URI names"},
		{"organizations:", "store: {mongo: {uri: \"mongodb://u:" + secret + "@h/y?readPreference=secondary\"}}\norganizations:", "[2:22] $.store.mongo.uri: asks for another readPreference"},
		{"organizations:", "store: {mongo: {uri: \"mongodb://u:" + secret + "@h/y?tsl=true\"}}\norganizations:", "[2:22] $.store.mongo.uri: has an unknown option"},
		{"organizations:", "store: {mongo: {uri: \"mongodb://h/admin\"}}\norganizations:", "$.store.mongo.uri: names the database admin"},
		{"organizations:", "store: {mongo: {uri: \"mongodb://h\"}, sqlite: {}}\norganizations:", "$.store: names two stores"},
		{"kind: police", "kind: police, color: blue", `unknown field "color"`},
	} {
		text := strings.Replace(good, c.old, c.new, 1)
		if got := checkConfig(t, dir, text); !strings.Contains(got, c.want) || strings.Contains(got, secret[:8]) {
			t.Errorf("%s for %s: got %s", c.new, c.old, got)
		}
	}
}

func TestConfigPrintNamesTheDatabaseAndHidesTheURI(t *testing.T) {
	for _, c := range []struct{ store, want string }{
		{`{mongo: {uri: "mongodb://u:s3cr3t@h"}}`, "uri: <hidden>\n    database: handoff\n"},
		{`{mongo: {uri: "mongodb://u:s3cr3t@h/county?tls=true"}}`, "uri: <hidden>\n    database: county\n"},
		{`{mongo: {uri: "mongodb+srv://u:s3cr3t@h", database: state}}`, "uri: <hidden>\n    database: state\n"},
		{`{sqlite: {path: a.db}}`, "sqlite:\n    path: a.db\n"},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "handoff.yaml")
		text := "store: " + c.store + "\nsite: {key: 0123456789abcdef0123456789abcdef}\norganizations:\n  - {id: pd, kind: police}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, errs, code := runLine("", "config", "print", file)
		if code != 0 || !strings.Contains(out, c.want) || strings.Contains(out+errs, "s3cr3t") {
			t.Errorf("%s: exit %d %s\n%.400s", c.store, code, errs, out)
		}
	}
}

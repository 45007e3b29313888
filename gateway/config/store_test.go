package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func TestOneStoreIsChosen(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "store.uri"), []byte("mongodb://u:s3cr3t@h/county\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HANDOFF_TEST_URI", "mongodb+srv://u:s3cr3t@h/?tls=true")
	for _, c := range []struct{ store, address, database, printed string }{
		{"", filepath.Join(dir, "handoff.db"), "", "store:\n  sqlite:\n    path: handoff.db\n"},
		{"store: {sqlite: {}}\n", filepath.Join(dir, "handoff.db"), "", "store:\n  sqlite:\n    path: handoff.db\n"},
		{"store: {sqlite: {path: /var/lib/h.db}}\n", "/var/lib/h.db", "", "path: /var/lib/h.db\n"},
		{"store: {mongo: {uri: \"mongodb://h\"}}\n", "mongodb://h", "", "store:\n  mongo:\n    uri: <hidden>\n    database: \"\"\nsite:"},
		{"store: {mongo: {uri: \"${file:store.uri}\"}}\n", "mongodb://u:s3cr3t@h/county", "", "uri: <hidden>"},
		{"store:\n  mongo:\n    uri: ${env:HANDOFF_TEST_URI}\n    database: county\n", "mongodb+srv://u:s3cr3t@h/?tls=true", "county", "database: county\n"},
	} {
		config, err := Parse(filepath.Join(dir, "handoff.yaml"), []byte(c.store+minimal))
		if err != nil {
			t.Errorf("%q: %v", c.store, err)
			continue
		}
		if address, database := config.StoreAddress(); address != c.address || database != c.database {
			t.Errorf("%q: %s in %q", c.store, address, database)
		}
		out, err := yaml.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(out), c.printed) || strings.Contains(string(out), "s3cr3t") {
			t.Errorf("%q is printed as\n%.300s", c.store, out)
		}
	}
}

func TestStoresThatAreNone(t *testing.T) {
	with := Checks{StoreAddress: func(uri, database string) error {
		switch {
		case strings.Contains(uri, "bad"):
			return errors.New("names no host")
		case database == "other":
			return errors.New("is not the database that the URI names")
		}
		return nil
	}}
	for _, c := range []struct{ store, want string }{
		{"store:\n", "[1:7] $.store: names no store"},
		{"store: {}\n", "[1:8] $.store: names no store"},
		{"store: {sqlite: {path: a.db}, mongo: {uri: \"mongodb://h\"}}\n", "[1:9] $.store: names two stores"},
		{"store:\n  mongo: {uri: \"mongodb://h\"}\n  sqlite:\n", "[2:3] $.store: names two stores"},
		{"store:\n  mongo:\n", "[2:9] $.store.mongo.uri: is missing"},
		{"store:\n  mongo: {database: x}\n", "[2:11] $.store.mongo.uri: is missing"},
		{"store:\n  mongo: {uri: \"\"}\n", "[2:16] $.store.mongo.uri: is missing"},
		{"store:\n  mongo: {uri: handoff.db}\n", "[2:16] $.store.mongo.uri: does not start with mongodb://"},
		{"store:\n  mongo:\n    uri: https://u:s3cr3t@h\n", "[3:10] $.store.mongo.uri: does not start with mongodb://"},
		{"store:\n  mongo:\n    uri: mongodb://u:s3cr3t@bad\n", "[3:10] $.store.mongo.uri: names no host"},
		{"store:\n  mongo:\n    uri: mongodb://u:s3cr3t@h\n    database: other\n", "[4:15] $.store.mongo.database: is not the database"},
		{"store:\n  mongo: {url: \"mongodb://h\"}\n", `[2:11] unknown field "url"`},
		{"store:\n  mongo: mongodb://u:s3cr3t@h\n", "[2:10]"},
		{"store:\n  mongodb: {uri: \"mongodb://h\"}\n", `[2:3] unknown field "mongodb"`},
		{"store:\n  sqlite: {path: \"mongodb://u:s3cr3t@h\"}\n", "[2:18] $.store.sqlite.path: is a URI"},
		{"store:\n  mongo: {uri: \"${env:HANDOFF_TEST_NO_SUCH}\"}\n", "[2:16] environment variable HANDOFF_TEST_NO_SUCH is not set"},
	} {
		_, err := ParseWith("handoff.yaml", []byte(c.store+minimal), with)
		if err == nil {
			t.Errorf("%q: accepted", c.store)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%q: %v, want %s", c.store, err, c.want)
		}
	}
}

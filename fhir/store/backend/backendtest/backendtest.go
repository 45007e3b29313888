// Package backendtest gives tests a store: an empty one of their own, of the kind
// that the environment names, gone when the test ends. By default that is an
// embedded one. With
//
//	HANDOFF_TEST_STORE=mongo HANDOFF_TEST_MONGO_URI=mongodb://host:port
//
// it is a database of its own at that deployment. Tests of packages above the
// store use it; a test about one kind of store opens that kind itself.
package backendtest

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store/backend"
)

// The environment of tests.
const (
	EnvStore = "HANDOFF_TEST_STORE"     // sqlite (default) or mongo
	EnvMongo = "HANDOFF_TEST_MONGO_URI" // where the databases of tests are made
)

// poolSize bounds the connections of one store of a test, because many tests run
// at once.
const poolSize = "8"

// OnMongo says whether Open and Address give MongoDB stores.
func OnMongo(t testing.TB) bool {
	t.Helper()
	switch kind := os.Getenv(EnvStore); kind {
	case "", "sqlite":
		return false
	case "mongo":
		return true
	default:
		t.Fatalf("%s=%q: it is sqlite or mongo", EnvStore, kind)
		return false
	}
}

// Open gives a new store, which is closed and removed at the end of the test.
func Open(t testing.TB, o backend.Options) backend.Backend {
	t.Helper()
	return At(t, Address(t), o)
}

// Address gives the address of a store that is not there yet, for tests that open
// it more than once, here or in another process. It is removed at the end of the
// test.
func Address(t testing.TB) string {
	t.Helper()
	if OnMongo(t) {
		return MongoAddress(t)
	}
	return filepath.Join(t.TempDir(), "handoff.db")
}

// MongoAddress is Address for a test about MongoDB: without a server to run on the
// test is skipped, except where HANDOFF_TEST_STORE asks for one.
func MongoAddress(t testing.TB) string {
	t.Helper()
	uri := os.Getenv(EnvMongo)
	if uri == "" && OnMongo(t) {
		t.Fatalf("%s=mongo needs %s", EnvStore, EnvMongo)
	}
	if uri == "" {
		t.Skipf("NOT RUN: %s is not set, so there is no MongoDB to run on", EnvMongo)
	}
	uri, err := backend.WithOption(uri, "maxPoolSize", poolSize)
	if err != nil {
		t.Fatalf("%s: the URI %v", EnvMongo, err)
	}
	// Random, because several runs may share the server.
	address, err := backend.InDatabase(uri, "handoff_test_"+strings.ToLower(rand.Text()[:16]))
	if err != nil {
		t.Fatalf("%s: the URI %v", EnvMongo, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := backend.Remove(ctx, address, backend.Options{}); err != nil {
			t.Errorf("remove the test's database: %v", err)
		}
	})
	return address
}

// At opens the store at an address, or makes it, and closes it at the end of the
// test.
func At(t testing.TB, address string, o backend.Options) backend.Backend {
	t.Helper()
	db, err := backend.Open(context.Background(), address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return db
}

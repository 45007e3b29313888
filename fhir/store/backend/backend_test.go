package backend_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
)

// TestAStoreIsMadeLookedAtAndRemoved goes once around, on the kind of store that
// the environment names.
func TestAStoreIsMadeLookedAtAndRemoved(t *testing.T) {
	ctx, address := t.Context(), backendtest.Address(t)
	if _, err := backend.Open(ctx, address, backend.Options{Existing: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("looked at a store that is not there: %v", err)
	}
	if vacant, err := backend.Vacant(ctx, address, backend.Options{}); err != nil || !vacant {
		t.Fatalf("looking made something: vacant %v, %v", vacant, err)
	}
	db, err := backend.Open(ctx, address, backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.PutIfAbsent(ctx, "k", []byte("v"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if vacant, err := backend.Vacant(ctx, address, backend.Options{}); err != nil || vacant {
		t.Fatalf("vacant %v, %v", vacant, err)
	}
	if db, err = backend.Open(ctx, address, backend.Options{Existing: true}); err != nil {
		t.Fatal(err)
	}
	if f, err := db.Get(ctx, "k"); err != nil || string(f.Value) != "v" {
		t.Errorf("%q, %v", f.Value, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // what is not there is removed too
		if err := backend.Remove(ctx, address, backend.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if vacant, err := backend.Vacant(ctx, address, backend.Options{}); err != nil || !vacant {
		t.Errorf("after it was removed: vacant %v, %v", vacant, err)
	}
}

func TestRemoveLeavesOtherFilesAlone(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "a.db.bak")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "a.db")
	db, err := backend.Open(t.Context(), "sqlite:"+path, backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := backend.Remove(t.Context(), path, backend.Options{}); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 1 || left[0] != other {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestNoErrorOrNameShowsAPassword(t *testing.T) {
	const secret = "s3cr3t"
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for _, address := range []string{
		"mongodb://u:" + secret + "@127.0.0.1:1/x?serverSelectionTimeoutMS=50", "mongo://u:" + secret + "@127.0.0.1:1/x?serverSelectionTimeoutMS=50",
		"mongodb://u:" + secret + "@x@h/x", "mongodb://u:" + secret + "/x@h/x", "mongodb://u:" + secret + "@h/admin",
		"u:" + secret + "@127.0.0.1:1/x", "sqlite:mongodb://u:" + secret + "@h/x", "u:" + secret + "@h://x", "mongodb://u:" + secret + "@h:port/x", "mongodb+srv://u:" + secret + "@h:1/x", "http://u:" + secret + "@h/x",
		"mongodb//u:" + secret + "@h/x", "mongodb;//u:" + secret + "@h/x", " Mongodb+srv//u:" + secret + "@h/x", "mongodb:/u:" + secret + "@h/x", "mongo@u//" + secret,
		"mongodb://u:" + secret + "@127.0.0.1:1/x?maxPoolSize=few", "mongodb://u:" + secret + "@127.0.0.1:1/x?authMechanism=NONE",
		"mongodb://u:" + secret + "@127.0.0.1:1/x?tls=true&tlsInsecure=maybe", "mongodb://u:" + secret + "@127.0.0.1:1/x?replicaSet=a&directConnection=true&loadBalanced=true",
	} {
		db, err := backend.Open(ctx, address, backend.Options{})
		if err == nil {
			t.Errorf("%s was opened", address)
			_ = db.Close()
			continue
		}
		if db != nil {
			t.Errorf("%s: a store with an error", address)
		}
		name := ""
		if backend.IsMongo(address) {
			name = backend.Name(address, "")
		}
		if text := err.Error() + name; strings.Contains(text, secret) || strings.Contains(text, "\n") {
			t.Errorf("%s: %s", address, text)
		}
	}
}

func TestKindsOfAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"handoff.db": "", "sqlite:/x/y": "", "a:b": "", "sqlite:a:b@c": "", "/a:b@c/x": "", "a@b:c": "", "mongo.db": "", "sqlite:mongo@x/y": "", "mongodb//u@h/x": "starts with mongodb://", "mongodb://h/x": "", "mongo://h/x": "", "mongodb+srv://h/x": "",
		"mongodb:127.0.0.1": "starts with mongodb://", "mongodb:/h:27017/x": "starts with mongodb://", "mongodb//h/x": "starts with mongodb://", " MongoDB;//h": "starts with mongodb://", "mongodb+srv:h": "starts with mongodb://",
		"mongo/x": "", "mongodb": "", "sqlite:mongodb:x": "", "./mongodb:x": "",
		"": "names no file", "sqlite:": "names no file", ":memory:": "a store of tests", "sqlite::memory:": "a store of tests", "./:memory:": "",
		"postgres://h/x": `"postgres" is no kind of store`, "mongodb://": "names no host",
		"mongodb://h/x?maxPoolSize=few": "maxPoolSize", "mongodb://h/x?tsl=true": "unknown option", "mongodb://h/x?readPreference=secondary": "leave it out",
		"mongodb+srv://h/x?tsl=true": "unknown option", "mongodb://h/x?tls=true&tlsCAFile=/no/such.pem": "no such file",
	} {
		err := backend.Check(address, "")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
	if err := backend.Check("mongodb://h/x", "y"); err == nil {
		t.Error("two databases were taken")
	}
	if got := backend.Name("mongo://u:p@a,b:2/?tls=true", "county"); got != "mongodb://a,b:2/county" {
		t.Error(got)
	}
	if got := backend.Name("/var/lib/handoff.db", ""); got != "/var/lib/handoff.db" {
		t.Error(got)
	}
}

package mongo

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store/storetest"
)

// serverURI is the server that the tests use.
func serverURI(t testing.TB) string {
	t.Helper()
	uri := os.Getenv("HANDOFF_TEST_MONGO_URI")
	if uri == "" {
		t.Skip("HANDOFF_TEST_MONGO_URI is not set: THE MONGODB STORE WAS NOT TRIED ON A SERVER")
	}
	return uri
}

// freshURI names a database of the server that nobody else uses and that is dropped
// after the test, with a small pool.
func freshURI(t testing.TB) string {
	t.Helper()
	name := "handoff_test_" + strings.ToLower(rand.Text()[:12])
	uri, err := url.Parse(serverURI(t))
	if err != nil {
		t.Fatal("HANDOFF_TEST_MONGO_URI is no URI")
	}
	uri.Path = "/" + name
	q := uri.Query()
	q.Set("maxPoolSize", "8")
	if uri.User != nil && !q.Has("authSource") {
		q.Set("authSource", "admin")
	}
	uri.RawQuery = q.Encode()
	t.Cleanup(func() {
		if err := drop(uri.String(), name); err != nil {
			t.Errorf("drop %s: %v", name, err)
		}
	})
	return uri.String()
}

// drop removes a database. What a server still does there for somebody who was cut off
// may be in the way at first.
func drop(uri, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	client, err := driver.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return err
	}
	defer func() { _ = client.Disconnect(ctx) }() // the drop is what counts
	for {
		if err = client.Database(name).Drop(ctx); err == nil || ctx.Err() != nil || !isPassing(err) {
			return err
		}
		time.Sleep(longPause)
	}
}

// fresh opens an empty store.
func fresh(t testing.TB) *DB {
	t.Helper()
	return openAt(t, freshURI(t), Options{SweepEvery: -1})
}

func openAt(t testing.TB, uri string, o Options) *DB {
	t.Helper()
	db, err := Open(context.Background(), uri, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

func openBackend(ctx context.Context, uri string, now func() time.Time) (*storetest.Backend, error) {
	db, err := Open(ctx, uri, Options{Now: now, Grace: -1})
	if err != nil {
		return nil, err
	}
	return &storetest.Backend{Store: db, Facts: db, Log: db, SearchFor: func(d time.Duration) { db.searching = d }}, nil
}

func TestMain(m *testing.M) { storetest.Main(m, openBackend) }

func TestSuite(t *testing.T) {
	serverURI(t)
	storetest.Run(t, storetest.Target{Address: func(t *testing.T) string { return freshURI(t) }, Open: openBackend})
}

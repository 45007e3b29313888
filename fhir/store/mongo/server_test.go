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
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		client, err := driver.Connect(options.Client().ApplyURI(uri.String()))
		if err == nil {
			err = client.Database(name).Drop(ctx)
			_ = client.Disconnect(ctx) // the drop is what counts
		}
		if err != nil {
			t.Errorf("drop %s: %v", name, err)
		}
	})
	return uri.String()
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
	return &storetest.Backend{Store: db, Facts: db, Log: db}, nil
}

func TestMain(m *testing.M) { storetest.Main(m, openBackend) }

func TestSuite(t *testing.T) {
	serverURI(t)
	storetest.Run(t, storetest.Target{Address: func(t *testing.T) string { return freshURI(t) }, Open: openBackend})
}

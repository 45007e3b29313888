package mongo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store/storetest"
)

// Connections are cut in mid-write, in the middle of requests and of answers.
func TestCutConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("connections are not cut in short mode")
	}
	straight := freshURI(t)
	to := primaryOf(t, straight)
	for _, tt := range []struct {
		name        string
		least, most int // bytes
		acks        int
	}{
		{"a connection carries a command or two", 1000, 4000, 150},
		{"a connection carries some commands", 2000, 100000, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			straight := freshURI(t)
			c := storetest.NewCutter(t, to, tt.least, tt.most)
			storetest.Disturbance{Open: openBackend, Through: through(t, straight, c.Address), Straight: straight, Acks: tt.acks}.Run(t)
			t.Logf("%d connections were cut in a request, %d in an answer", c.Requests.Load(), c.Answers.Load())
			if c.Requests.Load() < 20 || c.Answers.Load() < 20 {
				t.Error("that is too few to say anything")
			}
		})
	}
}

// primaryOf asks which member takes writes. A deployment with TLS is not for this
// test: the proxy's address is in no certificate.
func primaryOf(t *testing.T, uri string) string {
	t.Helper()
	opts := options.Client().ApplyURI(uri)
	if opts.TLSConfig != nil {
		t.Skip("SKIPPED: the deployment wants TLS, WHICH THE PROXY THAT CUTS CONNECTIONS CANNOT STAND IN; name one without")
	}
	client, err := driver.Connect(opts)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Disconnect(context.Background()) }()
	var hello struct {
		Primary string `bson:"primary"`
	}
	if err := client.Database("admin").RunCommand(t.Context(), bson.D{{Key: "hello", Value: 1}}).Decode(&hello); err != nil {
		t.Fatal(err)
	}
	if hello.Primary != "" {
		return hello.Primary
	}
	return opts.Hosts[0] // a standalone
}

// through is the URI by way of another address.
func through(t *testing.T, uri, address string) string {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	if u.Scheme == "mongodb+srv" {
		u.Scheme = "mongodb"
	}
	u.Host = address
	q := u.Query()
	q.Set("directConnection", "true")
	q.Del("replicaSet")
	u.RawQuery = q.Encode()
	return u.String()
}

// The server is killed in the middle of acknowledged writes, each half of it and
// both, and comes back. It needs a server of its own, made by the scripts at
// $HANDOFF_TEST_MONGO_SCRIPTS under the $DOCDB_… of this process.
func TestServerKilled(t *testing.T) {
	scripts := os.Getenv("HANDOFF_TEST_MONGO_SCRIPTS")
	if scripts == "" {
		t.Skip("HANDOFF_TEST_MONGO_SCRIPTS is not set: THE SERVER WAS NOT KILLED; give the path of .ci/mongo, and DOCDB_DIR, DOCDB_PORT and DOCDB_PGPORT of a server of the test's own")
	}
	if testing.Short() {
		t.Skip("the server is not killed in short mode")
	}
	if os.Getenv("DOCDB_DIR") == "" {
		t.Fatal("DOCDB_DIR is not set: the test kills no server that others may use")
	}
	script := func(ctx context.Context, name string, args ...string) (string, error) {
		var log strings.Builder
		cmd := exec.CommandContext(ctx, filepath.Join(scripts, name), args...)
		cmd.Stderr = &log
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("%s %v: %w\n%s", name, args, err, log.String())
		}
		return strings.TrimSpace(string(out)), nil
	}
	uri, err := script(t.Context(), "start.sh")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HANDOFF_TEST_MONGO_URI", uri)
	uri = freshURI(t)
	storetest.Disturbance{
		Open: openBackend, Through: uri, Straight: uri, Breaks: 6, Acks: 1200,
		Break: func(ctx context.Context, n int) error {
			if _, err := script(ctx, "stop.sh", "--crash", []string{"front", "back", "both"}[n%3]); err != nil {
				return err
			}
			time.Sleep(rand.N(2 * time.Second))
			_, err := script(ctx, "start.sh")
			return err
		},
	}.Run(t)
}

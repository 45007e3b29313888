package mongo

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

const secret = "hunter2-XYZZY"

// every gives an error and all behind it.
func every(err error) []error {
	if err == nil {
		return nil
	}
	out := []error{err}
	switch e := err.(type) { //nolint:errorlint // the chain itself is walked
	case interface{ Unwrap() error }:
		out = append(out, every(e.Unwrap())...)
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			out = append(out, every(inner)...)
		}
	}
	return out
}

// refused opens what cannot be opened and gives the error, which must repeat no
// password anywhere.
func refused(t *testing.T, uri string) error {
	t.Helper()
	var log bytes.Buffer
	db, err := Open(t.Context(), uri, Options{SweepEvery: -1, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err == nil {
		_ = db.Close()
		t.Fatal("it opens")
	}
	for _, e := range every(err) {
		if strings.Contains(strings.ToLower(e.Error()), "xyzzy") {
			t.Errorf("%T repeats the password: %v", e, e)
		}
	}
	if strings.Contains(strings.ToLower(log.String()), "xyzzy") {
		t.Errorf("the log repeats the password: %s", log.String())
	}
	return err
}

// refusedSaying is refused for a URI with soon, once more with later if the error does not
// say what it should: a machine that stood still has not heard it in time.
func refusedSaying(t *testing.T, uri string, says ...string) error {
	t.Helper()
	err := refused(t, uri)
	for _, s := range says {
		if !strings.Contains(err.Error(), s) && strings.Contains(uri, soon) {
			t.Logf("asked again, because it does not say %q: %v", s, err)
			return refused(t, strings.Replace(uri, soon, later, 1))
		}
	}
	return err
}

func TestWrongURIsAreToldWithoutTheirPassword(t *testing.T) {
	for _, tt := range []struct{ uri, says string }{
		{"postgres://u:" + secret + "@h/db", "does not start with mongodb://"},
		{"mongodb://u:" + secret, "port"},
		{"mongodb://u:" + secret + "@", "user or password"},
		{"mongodb://u:" + secret + "@x@h/db", "percent-encoded"},
		{"mongodb://u:a%zz" + secret + "@h/db", "%25"},
		{"mongodb://u:" + secret + "/x@h/db", "%2F"},
		{"mongodb://u:" + secret + "@h:port/db", "port"},
		{"mongodb://u:" + secret + "@h:0/db", "port"},
		{"mongodb://u:" + secret + "@h/a.b", "character"},
		{"mongodb://u:" + secret + "@h/admin", "the server's own"},
		{"mongodb://u:" + secret + "@h/db?maxPoolSize=many", "maxpoolsize"},
		{"mongodb://u:" + secret + "@h/db?tsl=true", `unknown option "tsl"`},
		{"mongodb://u:" + secret + "@h/db?tls=true&tls=false", "must be equivalent"},
		{"mongodb://u:" + secret + "@h/db?maxPoolSize=1&maxPoolSize=2", "more than once"},
		{"mongodb://u:" + secret + "@h/db?w=1", "w=majority"},
		{"mongodb://u:" + secret + "@h/db?journal=false", "w=majority"},
		{"mongodb://u:" + secret + "@h/db?readConcernLevel=local", "majority"},
		{"mongodb://u:" + secret + "@h/db?readPreference=secondaryPreferred", "primary"},
		{"mongodb://u:" + secret + "@h/db?timeoutMS=0", "for ever"},
		{"mongodb://u:" + secret + "@h/db?timeoutMS=20", "below 1000"},
		{"mongodb://u:" + secret + "@h/db?readPreferenceTags=a:b", "readpreferencetags\", which chooses among secondaries"},
		{"mongodb://u:" + secret + "@h/db?maxStalenessSeconds=100", "maxstalenessseconds"},
		{"mongodb+srv://u:" + secret + "@cluster.invalid/db", "names a deployment whose members cannot be looked up: _mongodb._tcp.cluster.invalid"},
		{"mongodb+srv://u:" + secret + "@cluster.invalid/db?srvMaxHosts=2&srvServiceName=county", "cannot be looked up: _county._tcp.cluster.invalid"},
		{"mongodb+srv://u:" + secret + "@cluster.invalid/db?srvMaxHosts=2&tsl=true", `unknown option "tsl"`},
		{"mongodb://h/db?srvMaxHosts=2", "non-SRV"},
		{"mongodb://u:" + secret + "@h/db?tlsCAFile=/nowhere&tls=false", "asks for no TLS, and for tlscafile"},
		{"mongodb://h/db?x=1;tlsCertificateKeyFilePassword=%zz" + secret, "has an option, a user or a password that is not right"},
		{"mongodb://h/db?tlsCertificateKeyFile%50assword=%zz" + secret, "has an option, a user or a password that is not right"},
		{"mongodb://u@h/db?authMechanism=GSSAPI", "Kerberos"},
		{"mongodb://u:" + secret + "@a,b/db?directConnection=true", "multiple hosts"},
		{"mongodb://h/db?tlsCertificateKeyFile=/nowhere&tlsCertificateKeyFilePassword=" + secret, "/nowhere"},
		{"mongodb://h/db?authMechanismProperties=" + secret, "authMechanism property"},
		{"mongodb://u:" + secret + "@h/db?authMechanism=MONGODB-AWS&authMechanismProperties=A:" + secret, ""},
		{"mongodb://u:" + secret + "@h/db?authMechanism=NONSENSE", ""},
	} {
		t.Run(strings.ReplaceAll(tt.uri, secret, "…"), func(t *testing.T) {
			err := refused(t, tt.uri)
			t.Log(err)
			if !strings.HasPrefix(err.Error(), "the MongoDB URI ") || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(tt.says)) {
				t.Errorf("%q does not say %q", err, tt.says)
			}
		})
	}
}

// replica is the hello of a member of the replica set rs0.
func replica(more ...bson.E) bson.D {
	return standalone(append(more, bson.E{Key: "setName", Value: "rs0"}, bson.E{Key: "hosts", Value: bson.A{"b.invalid:27017"}}, bson.E{Key: "primary", Value: "b.invalid:27017"})...)
}

func is(key string) bson.E { return bson.E{Key: key, Value: true} }

// soon ends a search for a server that does not come, and leaves a busy machine some time
// to hear what is wrong with the one that is there, later much; ample never ends it.
const (
	soon  = "&serverSelectionTimeoutMS=1500&connectTimeoutMS=1000"
	later = "&serverSelectionTimeoutMS=20000&connectTimeoutMS=15000"
	ample = "&serverSelectionTimeoutMS=30000&connectTimeoutMS=30000"
)

func TestMembersThatCannotServeAreTold(t *testing.T) {
	for _, tt := range []struct {
		name    string
		hello   bson.D
		options string
		says    string
	}{
		{"a secondary", replica(is("secondary")), "directConnection=true", "it is a secondary of the replica set rs0 and takes no writes; its primary is b.invalid:27017"},
		{"a secondary whose primary cannot be reached", replica(is("secondary")), "replicaSet=rs0", "it is a secondary of the replica set rs0"},
		{"an arbiter", replica(is("arbiterOnly")), "directConnection=true", "it is an arbiter of the replica set rs0, which holds no data"},
		{"another replica set", replica(is("isWritablePrimary")), "replicaSet=other", "it belongs to the replica set rs0, the URI asks for replicaSet=other"},
		{"another replica set, directly", replica(is("isWritablePrimary")), "directConnection=true&replicaSet=other", "it belongs to the replica set rs0, the URI asks for replicaSet=other"},
		{"no replica set", standalone(is("isWritablePrimary")), "replicaSet=rs0", "it belongs to no replica set, the URI asks for replicaSet=rs0"},
		{"not initiated", standalone(is("isreplicaset")), "directConnection=true", "has not been initiated"},
		{"no balancer", standalone(is("isWritablePrimary")), "loadBalanced=true", "the server does not support this mode"},
		{"recovering", replica(), "directConnection=true", "it takes no writes now"},
		{"read-only", standalone(is("isWritablePrimary"), is("readOnly")), "directConnection=true", "it is read-only"},
		{"MongoDB 4.4", bson.D{is("isWritablePrimary"), is("helloOk"), {Key: "maxWireVersion", Value: 9}, {Key: "minWireVersion", Value: 0}}, "directConnection=true", "its wire version is 9, it is older than MongoDB 5.0"},
		{"MongoDB 3.4", bson.D{is("isWritablePrimary"), is("helloOk"), {Key: "maxWireVersion", Value: 5}, {Key: "minWireVersion", Value: 0}}, "directConnection=true", "older than MongoDB 5.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // each waits for as long
			s := &wireServer{hello: tt.hello}
			address := s.start(t, nil)
			err := refusedSaying(t, "mongodb://"+address+"/db?"+tt.options+soon, tt.says)
			t.Log(err)
			if !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), address) {
				t.Errorf("%q does not say %q of %s", err, tt.says, address)
			}
			if heard := s.commands(); len(heard) > 0 {
				t.Errorf("it was sent %v", heard)
			}
		})
	}
}

func TestAnUnreachableServerIsTold(t *testing.T) {
	const closed = "127.0.0.1:1"
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	for _, tt := range []struct {
		name, hosts string
		says        []string
	}{
		{"nobody listens", closed, []string{closed + ": connection refused"}},
		{"nobody answers", silent.Addr().String(), []string{silent.Addr().String() + ": no answer"}},
		{"two members", closed + "," + silent.Addr().String(), []string{closed + ": connection refused", silent.Addr().String() + ": no answer"}},
		{"an unknown name", "db.invalid:27017", []string{"db.invalid:27017: its name is not known"}},
		{"a socket that is not there", "%2Fnowhere%2Fmongodb-27017.sock", []string{"/nowhere/mongodb-27017.sock: ", "no such file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // each waits for as long
			begun := time.Now()
			err := refusedSaying(t, "mongodb://u:"+secret+"@"+tt.hosts+"/db?authSource=admin"+soon, tt.says...)
			t.Log(err)
			for _, says := range append(tt.says, "was found within", "database db") {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%q does not say %q", err, says)
				}
			}
			if took := time.Since(begun); took > time.Minute {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// certificate makes a certificate for 127.0.0.1 that signs itself, and a file of it.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, path
}

func TestTLSThatDoesNotFitIsTold(t *testing.T) {
	cert, ca := certificate(t)
	speaks := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	mutual := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert}
	for _, tt := range []struct {
		name    string
		server  *tls.Config
		options string
		says    string
	}{
		{"wanted, not spoken", nil, "&tls=true", "it does not speak TLS, which the URI asks for"},
		{"spoken, not wanted", speaks, "", "it speaks TLS, which the URI does not ask for"},
		{"not trusted", speaks, "&tls=true", "its certificate is not trusted: it is signed by an authority that is not known here (tlsCAFile)"},
		{"a client certificate is asked for", mutual, "&tls=true&tlsCAFile=" + ca, "it refuses the TLS connection: tls: certificate required"},
		{"trusted", speaks, "&tls=true&tlsCAFile=" + ca, "error 59 (CommandNotFound)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // each waits for as long
			s := &wireServer{hello: standalone(is("isWritablePrimary"))}
			address := s.start(t, tt.server)
			err := refusedSaying(t, "mongodb://"+address+"/db?directConnection=true"+soon+tt.options, tt.says)
			t.Log(err)
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%q does not say %q", err, tt.says)
			}
		})
	}
}

// plain lets anybody in.
func plain(command string, _ bson.D) any {
	if command == "saslStart" || command == "saslContinue" {
		return bson.D{{Key: "ok", Value: 1}, {Key: "conversationId", Value: 1}, {Key: "done", Value: true}, {Key: "payload", Value: []byte{}}}
	}
	return nil
}

func TestMissingRightsAreTold(t *testing.T) {
	empty := bson.D{{Key: "ok", Value: 1}, {Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: "db.x"}, {Key: "firstBatch", Value: bson.A{}}}}}
	for _, tt := range []struct {
		name   string
		user   string // with "@"
		answer func(command string, m bson.D) any
		says   string
		not    string
	}{
		{"a wrong password", "alice:" + secret + "@", func(string, bson.D) any {
			return failed(18, "AuthenticationFailed", "Authentication failed.")
		}, `authentication failed: the server does not know user "alice" of $external, or the password is another`, ""},
		{"no right to read", "alice:" + secret + "@", func(command string, m bson.D) any {
			if command == "find" {
				return failed(13, "Unauthorized", `not authorized on db to execute command { find: "handoff", filter: { _id: "layout" }, $db: "db" }`)
			}
			return plain(command, m)
		}, `user "alice" of $external lacks the right to find on the database db; the role readWrite on db is what the store needs`, "_id"},
		{"no right to insert", "alice:" + secret + "@", func(command string, m bson.D) any {
			switch command {
			case "find", "listCollections":
				return empty
			case "insert":
				return failed(13, "Unauthorized", `not authorized on db to execute command { insert: "handoff", documents: [ { _id: "private" } ] }`)
			}
			return plain(command, m)
		}, "lacks the right to insert on the database db", "private"},
		{"a hosted deployment", "alice:" + secret + "@", func(command string, m bson.D) any {
			if command == "find" {
				return failed(8000, "AtlasError", `user is not allowed to do action [find] on [db.handoff]`)
			}
			return plain(command, m)
		}, "lacks the right to find on the database db", ""},
		{"no user", "", func(string, bson.D) any {
			return failed(13, "Unauthorized", "Command find requires authentication")
		}, "the server asks for a user and a password, and the URI has none", ""},
		{"a full disk", "", func(command string, _ bson.D) any {
			switch command {
			case "find", "listCollections":
				return empty
			}
			return failed(14031, "OutOfDiskSpace", "available disk space of 1 bytes is less than required")
		}, "no space left", ""},
		{"an authentication that is not offered", "alice:" + secret + "@", func(string, bson.D) any {
			return failed(334, "MechanismUnavailable", "Unsupported mechanism 'PLAIN' on authentication database '$external'")
		}, "the server does not offer the authMechanism PLAIN", ""},
		{"a query that is refused with what it asks for", "", func(string, bson.D) any {
			return failed(2, "BadValue", "error processing query: ns=db.head batchSize=258Tree: $or\n ix $eq \"Patient|family|private \"quote\"\"\nSort: {}\n planner returned error")
		}, "error 2 (BadValue): error processing query: ns=db.head batchSize=258Tree: $or ix $eq … Sort: … planner returned error", "private"},
		{"an index that is gone", "", func(string, bson.D) any {
			return failed(2, "BadValue", "error processing query: Tree: ix $eq \"private\"\n planner returned error :: caused by :: hint provided does not correspond to an existing index")
		}, "an index that the store needs is not there; 'handoff store check --repair' makes it", "private"},
		{"a name in other letters", "", func(command string, _ bson.D) any {
			if command != "insert" {
				return empty
			}
			return bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 0}, {Key: "writeErrors", Value: bson.A{bson.D{{Key: "index", Value: 0}, {Key: "code", Value: 13297}, {Key: "errmsg", Value: "db already exists with different case"}}}}}
		}, "whose name differs in capitals alone", ""},
		{"blocked writes", "", func(command string, _ bson.D) any {
			if command != "insert" {
				return empty
			}
			return failed(371, "UserWritesBlocked", "User writes blocked")
		}, "has blocked writes", ""},
		{"something that no one has thought of", "", func(string, bson.D) any {
			return failed(4711, "Strange", "the moon is full")
		}, "error 4711 (Strange): the moon is full", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &wireServer{hello: standalone(is("isWritablePrimary")), answer: tt.answer}
			uri := "mongodb://" + tt.user + s.start(t, nil) + "/db?directConnection=true" + ample
			if tt.user != "" {
				uri += "&authMechanism=PLAIN&authSource=$external"
			}
			err := refused(t, uri)
			t.Log(err)
			if !strings.Contains(err.Error(), tt.says) || tt.not != "" && strings.Contains(err.Error(), tt.not) {
				t.Errorf("%q does not say %q", err, tt.says)
			}
			if away := errors.Is(err, store.ErrAway); away != (tt.name == "blocked writes") {
				t.Errorf("ErrAway: %v", away)
			}
			if full := errors.Is(err, store.ErrFull); full != (tt.name == "a full disk") {
				t.Errorf("ErrFull: %v", full)
			}
		})
	}
}

func TestOptionsOfTheURICount(t *testing.T) {
	a, err := ParseAddress("mongodb://h/db?w=majority&readPreference=primary&retryWrites=true&maxPoolSize=7&appName=mine&serverSelectionTimeoutMS=1234&socketTimeoutMS=5")
	if err != nil {
		t.Fatal(err)
	}
	o, err := clientOptions(a)
	if err != nil {
		t.Fatal(err)
	}
	if *o.MaxPoolSize != 7 || *o.AppName != "mine" || *o.ServerSelectionTimeout != 1234*time.Millisecond {
		t.Errorf("%+v", o)
	}
	a.options = ""
	if o, err = clientOptions(a); err != nil {
		t.Fatal(err)
	}
	if *o.MaxPoolSize != poolSize || *o.AppName != appName || *o.ServerSelectionTimeout != selectTimeout || *o.Timeout != callTimeout ||
		o.WriteConcern.W != "majority" || o.ReadConcern.Level != "majority" {
		t.Errorf("%+v", o)
	}
}

func TestFaultsKeepWhatIsBehindThem(t *testing.T) {
	db, err := dial("mongodb://127.0.0.1:1/db", Options{}, thisLayout)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() // it was never connected
	if err := db.explain(context.Canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := db.explain(store.ErrExists); err != store.ErrExists { //nolint:errorlint // must be the same
		t.Errorf("an error of ours became %v", err)
	}
	twice := db.explainAs("outer", db.explainAs("inner", context.DeadlineExceeded))
	if strings.Count(twice.Error(), "MongoDB at") != 1 || !strings.Contains(twice.Error(), "inner") {
		t.Errorf("got %v", twice)
	}
	if !errors.Is(twice, store.ErrAway) || errors.Is(db.explain(context.Canceled), store.ErrAway) {
		t.Error("what is away cannot be told from what the caller gave up")
	}
	if !slices.ContainsFunc(every(twice), func(e error) bool { return e == context.DeadlineExceeded }) { //nolint:errorlint // the chain is walked
		t.Error("the cause is lost")
	}
}

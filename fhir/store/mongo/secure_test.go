//go:build unix

package mongo

import (
	"net/url"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/mongo/replset"
)

// password holds what has to be escaped in a URI.
const password = "p@ss:w/o?r%d " + secret

// A mongod that asks for TLS and for users lets in who proves to be one, by password or
// certificate, with the rights that the documentation names and no others; who is not
// let in is told why.
func TestUsersCertificatesAndRights(t *testing.T) {
	t.Parallel()
	s := startSet(t, replset.Config{Members: 1, Secure: true})
	withRole(t, s)
	secrets := s.Secrets()
	for _, u := range []struct{ name, password, role, database string }{
		{"gateway", password, "readWrite", "county"},
		{"runner", password, "runner", "admin"},
		{"reader", password, "read", "county"},
		{"stranger", password, "readWrite", "elsewhere"},
		{secrets.Subject, "", "readWrite", "county"},
	} {
		if err := s.AddUser(t.Context(), u.name, u.password, u.role, u.database); err != nil {
			t.Fatal(err)
		}
	}
	_, otherCA := certificate(t)
	as := func(user, password string) string {
		return strings.Replace(s.URI(), "://", "://"+url.UserPassword(user, password).String()+"@", 1)
	}
	plain, _, _ := strings.Cut(s.URI(), "/?")
	x509 := "&authMechanism=MONGODB-X509&tlsCertificateKeyFile=" + url.QueryEscape(secrets.Client)
	for _, tt := range []struct {
		name, uri, more string
		says            string // "": it serves
	}{
		{"no user", s.URI(), "", "the server asks for a user and a password, and the URI has none"},
		{"a wrong password", as("gateway", "x"+secret), "&authSource=admin", `authentication failed: the server does not know user "gateway" of admin, or the password is another`},
		{"a user of another database", as("gateway", password), "", `does not know user "gateway" of county`},
		{"only rights to read", as("reader", password), "&authSource=admin", `user "reader" of admin lacks the right to`},
		{"rights on another database", as("stranger", password), "&authSource=admin", `user "stranger" of admin lacks the right to`},
		{"the rights to run, before there are collections", as("runner", password), "&authSource=admin", `user "runner" of admin lacks the right to create`},
		{"SCRAM-SHA-256 by default", as("gateway", password), "&authSource=admin", ""},
		{"the rights to run, afterwards", as("runner", password), "&authSource=admin", ""},
		{"SCRAM-SHA-256", as("gateway", password), "&authSource=admin&authMechanism=SCRAM-SHA-256", ""},
		{"SCRAM-SHA-1", as("gateway", password), "&authSource=admin&authMechanism=SCRAM-SHA-1", ""},
		{"a certificate", s.URI(), x509, ""},
		{"a certificate that is not shown", s.URI(), "&authMechanism=MONGODB-X509", "or was shown no certificate (tlsCertificateKeyFile)"},
		{"no TLS", plain + "/?replicaSet=rs0", soon, "it speaks TLS, which the URI does not ask for (tls=true)"},
		{"another authority", plain + "/?replicaSet=rs0&tls=true&tlsCAFile=" + url.QueryEscape(otherCA), soon, "its certificate is not trusted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.says == "" {
				tryEverything(t, openAt(t, county(t, tt.uri, tt.more), Options{SweepEvery: -1}))
				return
			}
			err := refusedSaying(t, county(t, tt.uri, tt.more), tt.says)
			t.Log(err)
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%q does not say %q", err, tt.says)
			}
		})
	}
}

// withRole makes the role of docs/store.md that may not make collections and indexes.
func withRole(t *testing.T, s *replset.Set) {
	t.Helper()
	_, err := s.Run(t.Context(), 0, bson.D{{Key: "createRole", Value: "runner"}, {Key: "roles", Value: bson.A{}}, {Key: "privileges", Value: bson.A{
		bson.M{"resource": bson.M{"db": "county", "collection": ""}, "actions": bson.A{"find", "insert", "update", "remove", "listCollections", "listIndexes"}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
}

// tryEverything does each kind of thing that a gateway has a store do.
func tryEverything(t *testing.T, db *DB) {
	t.Helper()
	key := func(id string) store.Key { return store.Key{Type: "Patient", ID: id} }
	write := func(id string) store.Write {
		return store.Write{Record: store.Record{Key: key(id), Raw: []byte("{}"), Index: []string{"family|a"}}, Expect: store.AnyVersion, Claims: []string{id}}
	}
	plan := store.Plan{Type: "Patient", Where: store.Expr{Op: store.Equal, Param: "family", Value: "a"}, Limit: 5}
	_, err := db.Write(t.Context(), write("a"))
	step := func(what string, e error) {
		if e != nil {
			t.Errorf("%s: %v", what, e)
		}
	}
	step("write", err)
	_, err = db.Apply(t.Context(), []store.Write{write("b"), write("c")})
	step("apply", err)
	_, err = db.Search(t.Context(), plan)
	step("search", err)
	_, err = db.Count(t.Context(), plan)
	step("count", err)
	_, err = db.Epoch(t.Context())
	step("epoch", err)
	_, err = db.Append(t.Context(), "s", []byte("x"))
	step("append", err)
	_, err = db.Append(t.Context(), "s", []byte("x"))
	step("append", err)
	step("expunge", db.Expunge(t.Context(), key("c")))
	step("delete", db.Delete(t.Context(), "none"))
	_, err = db.Sweep(t.Context())
	step("sweep", err)
	step("ping", db.Ping(t.Context()))
	what, err := db.Deployment(t.Context())
	step("deployment", err)
	t.Log(what)
}

// Members of mongod that cannot serve say so as the paper ones of the other tests do,
// and one that is no member of a set serves.
func TestMembersOfMongodThatCannotServe(t *testing.T) {
	t.Parallel()
	set := startSet(t, replset.Config{Members: 2})
	second := 1 - primary(t, set, -1)
	alone := startSet(t, replset.Config{Members: 1, Standalone: true})
	fresh := startSet(t, replset.Config{Members: 1, Fresh: true})
	tryEverything(t, openAt(t, county(t, alone.URI(), ""), Options{SweepEvery: -1}))
	tryEverything(t, openAt(t, county(t, set.URI(), ""), Options{SweepEvery: -1}))
	for _, tt := range []struct{ name, uri, more, says string }{
		{"a secondary", set.Direct(second), "", "it is a secondary of the replica set rs0 and takes no writes; its primary is "},
		{"one that is not initiated", fresh.URI(), "", "it belongs to a replica set that has not been initiated (rs.initiate)"},
		{"another set", strings.Replace(set.URI(), "rs0", "other", 1), soon, "it belongs to the replica set rs0, the URI asks for replicaSet=other"},
		{"no set", strings.Replace(alone.URI(), "directConnection=true", "replicaSet=rs0", 1), soon, "it belongs to no replica set, the URI asks for replicaSet=rs0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := refusedSaying(t, county(t, tt.uri, tt.more), tt.says)
			t.Log(err)
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%q does not say %q", err, tt.says)
			}
		})
	}
}

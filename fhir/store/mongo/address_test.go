package mongo

import (
	"strings"
	"testing"
)

func TestAddressesAreTakenApartAndPutTogether(t *testing.T) {
	for _, c := range []struct{ uri, database, name, want string }{
		{"mongodb://h", "", "mongodb://h/handoff", "mongodb://h/handoff"},
		{"mongodb://h:27018/", "county", "mongodb://h:27018/county", "mongodb://h:27018/county"},
		{"mongodb://a:1,b:2,[::1]:3/x?replicaSet=rs0", "", "mongodb://a:1,b:2,[::1]:3/x", "mongodb://a:1,b:2,[::1]:3/x?replicaSet=rs0"},
		{"mongodb://a/x?tls=true", "x", "mongodb://a/x", "mongodb://a/x?tls=true"},
		{"mongodb+srv://cluster.example/?w=majority", "", "mongodb+srv://cluster.example/handoff", "mongodb+srv://cluster.example/handoff?w=majority"},
		// Users stay where they were looked for, although a database is named now.
		{"mongodb://u:p%40w@h", "", "mongodb://h/handoff", "mongodb://u:p%40w@h/handoff?authSource=admin"},
		{"mongodb://u:p@h/?authsource=users&tls=true", "", "mongodb://h/handoff", "mongodb://u:p@h/handoff?authsource=users&tls=true"},
		{"mongodb://u:p@h/county", "", "mongodb://h/county", "mongodb://u:p@h/county"},
		{"mongodb://u@h/?authMechanism=MONGODB-X509", "", "mongodb://h/handoff", "mongodb://u@h/handoff?authMechanism=MONGODB-X509"},
		{"mongodb://h/?appName=a/b", "", "mongodb://h/handoff", "mongodb://h/handoff?appName=a/b"},
		// A driver takes ";" for "&", and reads names that are percent-encoded.
		{"mongodb://u:p@h/?tls=true;authSource=users", "", "mongodb://h/handoff", "mongodb://u:p@h/handoff?tls=true;authSource=users"},
		{"mongodb://u:p@h/?auth%53ource=users", "", "mongodb://h/handoff", "mongodb://u:p@h/handoff?auth%53ource=users"},
	} {
		a, err := ParseAddress(c.uri)
		if err == nil {
			a, err = a.In(c.database)
		}
		if err != nil {
			t.Errorf("%s: %v", c.uri, err)
			continue
		}
		if a.String() != c.name || a.URI() != c.want {
			t.Errorf("%s in %q: %s and %s, want %s and %s", c.uri, c.database, a, a.URI(), c.name, c.want)
		}
	}
}

func TestAnotherDatabaseKeepsTheUsers(t *testing.T) {
	a, err := ParseAddress("mongodb://u:p@h/county?tls=true")
	if err != nil {
		t.Fatal(err)
	}
	if a, err = a.Move("handoff_demo"); err != nil {
		t.Fatal(err)
	}
	if want := "mongodb://u:p@h/handoff_demo?tls=true&authSource=county"; a.URI() != want {
		t.Errorf("%s, want %s", a.URI(), want)
	}
	if got := a.With("TLS", "false").URI(); got != a.URI() {
		t.Errorf("an option that is set was set again: %s", got)
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	const secret = "s3cr3t"
	for _, c := range []struct{ uri, want string }{
		{"", "start with mongodb://"},
		{"handoff.db", "start with mongodb://"},
		{"http://h/x", "start with mongodb://"},
		{"mongodb:/h", "start with mongodb://"},
		{"mongodb://", "no host"},
		{"mongodb:///x", "no host"},
		{"mongodb://a,,b/x", "no host"},
		{"mongodb://:27017/x", "no host"},
		{"mongodb://h:70000", "port"},
		{"mongodb://h:0", "port"},
		{"mongodb://h:/x", "port"},
		{"mongodb://[::1]27017/x", "host:port"},
		{"mongodb://u:" + secret + "/x@h/db", "%2F"},
		{"mongodb://u:" + secret + "?x@h/db", "%3F"},
		{"mongodb://u:123?" + secret + "@h/db", "%3F"},
		{"mongodb://" + secret + "/u@h/db", "%40"},
		{"mongodb://u:" + secret + "@x@h/db", "percent-encoded"},
		{"mongodb://u:" + secret + ":x@h/db", "percent-encoded"},
		{"mongodb://u:" + secret + "%zz@h/db", "%25"},
		{"mongodb://:" + secret + "@h/db", "percent-encoded"},
		{"mongodb://u:" + secret + "@", "percent-encoded"},
		{"mongodb://h/a/b", "more than a database"},
		{"mongodb://h/a%2", "percent-encoding"},
		{"mongodb://h/a.b", "character"},
		{"mongodb://h/a%20b", "character"},
		{"mongodb://h/" + strings.Repeat("a", 64), "63 bytes"},
		{"mongodb://u:" + secret + "@h/admin", "authSource=admin"},
		{"mongodb://u:" + secret + "@h/Admin", "the server's own"},
		{"mongodb://h/%C0%80", "no text"},
		{"mongodb://h/a%0Ab", "control characters"},
		{"mongodb+srv://a,b", "exactly one host"},
		{"mongodb+srv://a:27017", "exactly one host"},
		{"mongodb+srv:///x", "exactly one host"},
	} {
		_, err := ParseAddress(c.uri)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.uri, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: shows the password: %v", c.uri, err)
		}
	}
	a, err := ParseAddress("mongodb://h/one")
	if err != nil {
		t.Fatal(err)
	}
	for database, want := range map[string]string{"two": "not the database that the URI names", "admin": "not the database"} {
		if _, err := a.In(database); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", database, err)
		}
	}
	for _, database := range []string{"local", "a$b", "a\x00", ""} {
		if _, err := a.Move(database); err == nil {
			t.Errorf("moved to %q", database)
		}
	}
}

// Whatever is read is written as something that is read as the same.
func FuzzParseAddress(f *testing.F) {
	for _, uri := range []string{"mongodb://u:p@a:1,b:2/x?tls=true", "mongodb+srv://h", "mongodb://[::1]:1/%61?a=b&c", "mongodb://u:p%2F@h/?authMechanism=PLAIN"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		a, err := ParseAddress(uri)
		if err != nil {
			return
		}
		if a.Hosts == "" || strings.Contains(a.String(), "@") {
			t.Fatalf("%q: %s", uri, a)
		}
		if a, err = a.In(""); err != nil {
			return
		}
		b, err := ParseAddress(a.URI())
		if err != nil || a != b {
			t.Fatalf("%q: %+v became %+v, %v", uri, a, b, err)
		}
	})
}

func TestAnAddressWithoutAPortIsTriedAtTheUsualOne(t *testing.T) {
	for in, want := range map[string]string{"h": "h:27017", "h:1": "h:1", "[::1]": "[::1]:27017", "[::1]:2": "[::1]:2", "/run/mongodb-27017.sock": "/run/mongodb-27017.sock"} {
		if got := withPort(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

package mongo

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// DefaultDatabase is where a store is whose address names no database.
const DefaultDatabase = "handoff"

// An Address is a connection string taken apart, without looking up a name or
// asking a server.
type Address struct {
	Scheme   string // mongodb or mongodb+srv
	Hosts    string // host:port, with commas between
	Database string // "" if none is named
	user     string // "user:password@", or ""
	options  string // "a=b&c=d", or ""
}

// ParseAddress reads a connection string. Its errors quote nothing of it: what
// stands where may be part of a password.
func ParseAddress(uri string) (Address, error) {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok || scheme != "mongodb" && scheme != "mongodb+srv" {
		return Address{}, errors.New("does not start with mongodb:// or mongodb+srv://")
	}
	a := Address{Scheme: scheme}
	rest, a.options, _ = strings.Cut(rest, "?")
	rest, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		a.user, rest = rest[:at+1], rest[at+1:]
		if err := checkUser(rest, a.user[:at]); err != nil {
			return Address{}, err
		}
	}
	if strings.ContainsAny(path, "@/") || strings.Contains(a.options, "@") {
		return Address{}, errors.New(`has more than a database and options after the host; in a user or password "/" is written %2F, "?" %3F and "@" %40`)
	}
	a.Hosts = rest
	if err := a.checkHosts(); err != nil {
		return Address{}, err
	}
	database, err := url.PathUnescape(path)
	if err != nil {
		return Address{}, errors.New("names a database with a % that is no percent-encoding")
	}
	a.Database = database
	if database != "" {
		if err := checkDatabase(database); err != nil {
			return Address{}, err
		}
	}
	return a, nil
}

func checkUser(host, user string) error {
	name, password, _ := strings.Cut(user, ":")
	if host == "" || name == "" || strings.ContainsAny(name+password, ":@[]") {
		return errors.New(`has a user or password that is not percent-encoded; "@" is written %40, ":" %3A, "/" %2F`)
	}
	for _, part := range []string{name, password} {
		if _, err := url.PathUnescape(part); err != nil {
			return errors.New(`has a user or password with a "%" that is no percent-encoding; "%" itself is written %25`)
		}
	}
	return nil
}

func (a *Address) checkHosts() error {
	hosts := strings.Split(a.Hosts, ",")
	if a.Scheme == "mongodb+srv" {
		if len(hosts) > 1 || a.Hosts == "" || strings.ContainsAny(a.Hosts, ":[]") {
			return errors.New("needs exactly one host without a port after mongodb+srv://")
		}
		return nil
	}
	for _, h := range hosts {
		var (
			host, port string
			ported     bool
		)
		if end := strings.LastIndexByte(h, ']'); strings.HasPrefix(h, "[") && end > 0 { // IPv6
			host, port = h[:end+1], h[end+1:]
			ported = port != ""
			if ported && port[0] != ':' {
				return errors.New("names a host that is no host:port")
			}
			port = strings.TrimPrefix(port, ":")
		} else {
			host, port, ported = strings.Cut(h, ":")
		}
		if host == "" {
			return errors.New("names no host")
		}
		if n, err := strconv.ParseUint(port, 10, 16); ported && (err != nil || n == 0) {
			return errors.New(`names a port that is none from 1 to 65535; in a user or password "/" is written %2F and "@" %40`)
		}
	}
	return nil
}

// checkDatabase refuses names that no server takes, and those of the server's own
// databases.
func checkDatabase(name string) error {
	switch {
	case name == "":
		return errors.New("names no database")
	case slices.ContainsFunc([]string{"admin", "local", "config"}, func(own string) bool { return strings.EqualFold(name, own) }):
		return fmt.Errorf("names the database %s, which is the server's own; name another, and where users are kept by authSource=%s", name, name)
	case len(name) > 63:
		return errors.New("names a database of more than 63 bytes")
	case !utf8.ValidString(name), strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("names a database with bytes that are no text, or control characters")
	case strings.ContainsAny(name, "/\\. \"$*<>:|?"):
		return errors.New(`names a database with a character that cannot be in a name: / \ . " $ * < > : | ? or a space`)
	}
	return nil
}

// In gives the address with its database, or with another if it names none. That
// two are named that differ is an error.
func (a Address) In(database string) (Address, error) {
	switch {
	case database == "" && a.Database == "":
		return a.Move(DefaultDatabase)
	case a.Database == "":
		return a.Move(database)
	case database != "" && database != a.Database:
		return Address{}, errors.New("is not the database that the URI names; where users are kept is named by its option authSource")
	}
	return a, nil
}

// Move gives the address with another database, and users where they were: a
// driver looks for them in the database that is named, and in admin if none is.
func (a Address) Move(database string) (Address, error) {
	if err := checkDatabase(database); err != nil {
		return Address{}, err
	}
	users := a.Database
	if users == "" {
		users = "admin"
	}
	mechanism := a.option("authMechanism")
	if a.user != "" && (mechanism == "" || strings.HasPrefix(mechanism, "SCRAM-") || mechanism == "PLAIN" && a.Database != "") {
		a = a.With("authSource", users)
	}
	a.Database = database
	return a, nil
}

// Check says why the store would refuse the address's options. It reads the files
// that they name, and asks no server; what the name of a mongodb+srv address stands
// for is left to Open.
func (a Address) Check() error {
	if a.Scheme == "mongodb+srv" {
		if strings.EqualFold(a.option("directConnection"), "true") {
			return errors.New("asks for directConnection, which takes one member and not a name that stands for all")
		}
		return a.checkOptions()
	}
	_, err := clientOptions(a)
	return err
}

// URI gives the connection string, password and all.
func (a Address) URI() string {
	uri := a.Scheme + "://" + a.user + a.Hosts + "/" + url.PathEscape(a.Database)
	if a.options != "" {
		uri += "?" + a.options
	}
	return uri
}

// With gives the address with a further option, unless it has one of that name.
func (a Address) With(name, value string) Address {
	if a.option(name) != "" {
		return a
	}
	if a.options != "" {
		a.options += "&"
	}
	a.options += name + "=" + url.QueryEscape(value)
	return a
}

// written are the options as they are written. A driver takes ";" for "&".
func (a Address) written() []string {
	return strings.FieldsFunc(a.options, func(r rune) bool { return r == '&' || r == ';' })
}

// pairs are the written options by their names in lower case, values as they are. A
// driver reads names that are percent-encoded.
func (a Address) pairs() (out [][2]string) {
	for _, o := range a.written() {
		name, value, _ := strings.Cut(o, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		out = append(out, [2]string{strings.ToLower(name), value})
	}
	return out
}

// option is the value of an option as it is written.
func (a Address) option(name string) string {
	for _, p := range a.pairs() {
		if p[0] == strings.ToLower(name) {
			return p[1]
		}
	}
	return ""
}

// without gives the address without some options, named in lower case.
func (a Address) without(names ...string) Address {
	parts := a.written()
	pairs, kept := a.pairs(), parts[:0]
	for i, o := range parts {
		if !slices.Contains(names, pairs[i][0]) {
			kept = append(kept, o)
		}
	}
	a.options = strings.Join(kept, "&")
	return a
}

// String gives the address for people and logs: without user, password and options.
func (a Address) String() string { return a.Scheme + "://" + a.Hosts + "/" + a.Database }

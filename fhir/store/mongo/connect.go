package mongo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"

	"github.com/handoff-health/handoff/fhir/store"
)

// What a connection does unless the URI says otherwise.
const (
	appName       = "handoff"
	dialTimeout   = 5 * time.Second
	selectTimeout = 10 * time.Second // how long a member that can serve is looked for
	callTimeout   = 15 * time.Second // one command, all in all
	leastTimeout  = time.Second      // what the URI may set it to
	pingTimeout   = 3 * time.Second
	idleTimeout   = 5 * time.Minute
	poolSize      = 64
)

// connect makes a client. It reaches no server yet.
func (db *DB) connect(uri string, o Options) error {
	address, err := ParseAddress(uri)
	if err == nil {
		address, err = address.In(o.Database)
	}
	if err != nil {
		return fmt.Errorf("the MongoDB URI %w", err)
	}
	opts, err := clientOptions(address)
	if err != nil {
		return fmt.Errorf("the MongoDB URI %w", err)
	}
	client, err := driver.Connect(opts)
	if err != nil {
		return fmt.Errorf("the MongoDB URI %w", address.tell(err))
	}
	db.client, db.name, db.dial = client, address.Database, opts
	db.base, db.addresses = client.Database(db.name), strings.Join(opts.Hosts, ", ")
	return nil
}

// clientOptions turns an address into options of the driver. Reads and writes are
// majority, from the primary: a URI that wants it otherwise is refused, because the
// store would not be right then.
func clientOptions(a Address) (*options.ClientOptions, error) {
	if err := a.checkOptions(); err != nil {
		return nil, err
	}
	opts := options.Client().
		SetAppName(appName).
		SetConnectTimeout(dialTimeout).
		SetServerSelectionTimeout(selectTimeout).
		SetTimeout(callTimeout).
		SetMaxConnIdleTime(idleTimeout).
		SetMaxPoolSize(poolSize).
		ApplyURI(a.URI())
	if err := opts.Validate(); err != nil {
		return nil, a.tell(err)
	}
	w, r, p := opts.WriteConcern, opts.ReadConcern, opts.ReadPreference
	switch {
	case w != nil && w.W != nil && w.W != writeconcern.WCMajority, w != nil && w.Journal != nil && !*w.Journal:
		return nil, errors.New("asks for a write concern by w or journal; the store writes with w=majority: leave it out")
	case r != nil && r.Level != "" && r.Level != readconcern.Majority().Level:
		return nil, errors.New("asks for another readConcernLevel than majority, by which the store reads: leave it out")
	case p != nil && p.Mode() != readpref.PrimaryMode:
		return nil, errors.New("asks for another readPreference than primary, from which the store reads: leave it out")
	case opts.Timeout != nil && *opts.Timeout == 0:
		return nil, errors.New("asks for timeoutMS=0, with which a call could wait for ever")
	case opts.Timeout != nil && *opts.Timeout < leastTimeout:
		return nil, fmt.Errorf("asks for timeoutMS below %d, in which a majority may not have confirmed a write", leastTimeout.Milliseconds())
	}
	return opts.
		SetReadConcern(readconcern.Majority()).
		SetWriteConcern(writeconcern.Majority()).
		SetReadPreference(readpref.Primary()), nil
}

// legacyOptions are known to other drivers and change nothing here.
var legacyOptions = []string{"sockettimeoutms", "waitqueuetimeoutms", "waitqueuemultiple", "wtimeout", "wtimeoutms", "uuidrepresentation", "gssapiservicename"}

// secondaryOptions say more of a readPreference that the store refuses.
var secondaryOptions = []string{"maxstalenessseconds", "readpreferencetags"}

// checkOptions refuses options that the driver would pass over in silence: one that
// is misspelt may have asked for TLS.
func (a Address) checkOptions() error {
	if a.Scheme == "mongodb+srv" { // as the other, whose parsing looks no name up
		a = a.without("srvmaxhosts", "srvservicename")
		a.Scheme = "mongodb"
	}
	if strings.EqualFold(a.option("authMechanism"), "GSSAPI") {
		return errors.New("asks for authMechanism=GSSAPI, which needs a Kerberos library that is not built in")
	}
	if err := a.checkTLS(); err != nil {
		return err
	}
	cs, err := connstring.Parse(a.URI())
	if err != nil {
		return a.tell(err)
	}
	for name := range cs.Options {
		if slices.Contains(secondaryOptions, name) {
			return a.withoutSecrets(fmt.Sprintf("has the option %q, which chooses among secondaries; the store reads from the primary: leave it out", name))
		}
	}
	for name := range cs.UnknownOptions {
		if !slices.Contains(legacyOptions, name) {
			return a.withoutSecrets(fmt.Sprintf("has an unknown option %q", name))
		}
	}
	for name, values := range cs.Options {
		if len(values) > 1 && name != "readpreferencetags" && name != "compressors" {
			return a.withoutSecrets(fmt.Sprintf("has the option %q more than once", name))
		}
	}
	return nil
}

// checkTLS refuses options that ask for TLS and for none: the driver goes by the last.
func (a Address) checkTLS() error {
	off := a.option("tls") == "false" || a.option("ssl") == "false"
	for _, p := range a.pairs() {
		if off && p[1] != "" && strings.HasSuffix(p[0], "file") && (strings.HasPrefix(p[0], "tls") || strings.HasPrefix(p[0], "ssl")) {
			return fmt.Errorf("asks for no TLS, and for %s: leave out one of them", p[0])
		}
	}
	return nil
}

var errOptions = errors.New("has an option, a user or a password that is not right; it is not repeated here, because it may hold a secret")

// tell gives what the driver says of an address, unless it repeats anything that may
// be secret.
func (a Address) tell(err error) error {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return a.withoutSecrets(fmt.Sprintf("names a deployment whose members cannot be looked up: %s: %s", dns.Name, dns.Err))
	}
	text := err.Error()
	for _, prefix := range []string{"error parsing uri: ", "error validating uri: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return a.withoutSecrets("is not right: " + text)
}

func (a Address) withoutSecrets(text string) error {
	for _, s := range a.secrets() {
		if s != "" && strings.Contains(strings.ToLower(text), strings.ToLower(s)) {
			return errOptions
		}
	}
	return errors.New(text)
}

// secrets are the parts of an address that no message may repeat, as they are written
// and as they are meant.
func (a Address) secrets() (out []string) {
	add := func(s string) {
		out = append(out, s)
		if plain, err := url.PathUnescape(s); err == nil {
			out = append(out, plain)
		}
	}
	_, password, _ := strings.Cut(strings.TrimSuffix(a.user, "@"), ":")
	add(password)
	for _, p := range a.pairs() {
		if name, value := p[0], p[1]; strings.Contains(name, "password") || name == "authmechanismproperties" {
			add(value)
			for pair := range strings.SplitSeq(value, ",") {
				_, v, _ := strings.Cut(pair, ":")
				add(v)
			}
		}
	}
	return out
}

// coll gives a collection.
func (db *DB) coll(c collection) *driver.Collection { return db.base.Collection(c.name) }

// Ping implements store.Store: the database can be read, at a member that a majority
// takes for the primary, and has this program's layout.
func (db *DB) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	var doc layoutDoc
	err := db.latest(meta).FindOne(ctx, bson.D{{Key: "_id", Value: layoutID}}).Decode(&doc)
	if isMissing(err) {
		return fmt.Errorf("%s: %w: it says no more that it is a store: was it dropped?", db.where(), store.ErrDamaged)
	}
	if err != nil {
		return db.explain(err)
	}
	return db.checkLayout(doc)
}

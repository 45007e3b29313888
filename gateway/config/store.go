package config

import (
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Store is where resources, links, queues and all that has to be remembered are
// kept: one of the two. Without either it is the embedded one.
type Store struct {
	SQLite SQLite `yaml:"sqlite,omitempty"`
	Mongo  Mongo  `yaml:"mongo,omitempty"`
}

// SQLite is the embedded store, for one machine.
type SQLite struct {
	Path string `yaml:"path"` // database file; default handoff.db
}

// Mongo is a MongoDB database that several gateways share. docs/store.md says what
// user and rights it needs.
type Mongo struct {
	// URI is the connection string with its options: mongodb://…, mongodb+srv://….
	// It holds a password: ${env:…} or ${file:…}.
	URI      Secret `yaml:"uri"`
	Database string `yaml:"database"` // default the one that uri names, then handoff
}

const defaultStorePath = "handoff.db"

// StoreAddress is where the store is: the URI of a MongoDB deployment with a
// database ("": as the URI says), or the path of a file and "".
func (c *Config) StoreAddress() (address, database string) {
	if uri := c.Store.Mongo.URI.Reveal(); uri != "" {
		return uri, c.Store.Mongo.Database
	}
	return c.Path(c.Store.SQLite.Path), ""
}

// storeDefaults names the embedded store's file, unless the store is another.
func (c *Config) storeDefaults(mongo bool) {
	if !mongo {
		set(&c.Store.SQLite.Path, defaultStorePath)
	}
}

// names says whether a file has a setting, be it an empty one.
func names(body ast.Node, at string) bool {
	p, err := yaml.PathString(at)
	if err != nil {
		return false
	}
	n, err := p.FilterNode(body)
	return err == nil && n != nil
}

// checkStore wants one store and no doubt about which: a gateway that starts on
// another store than was meant forgets every revocation.
func (k *checker) checkStore() {
	embedded, shared := names(k.body, "$.store.sqlite"), names(k.body, "$.store.mongo")
	if names(k.body, "$.store") && !embedded && !shared {
		k.fault("$.store", "names no store; it is sqlite or mongo")
		return
	}
	if embedded && shared {
		k.fault("$.store", "names two stores; a gateway has one, sqlite or mongo")
		return
	}
	if embedded && strings.Contains(k.Store.SQLite.Path, "://") {
		k.fault("$.store.sqlite.path", "is a URI and not the path of a file; store.mongo.uri is for that of a MongoDB deployment")
	}
	if shared {
		k.checkMongo()
	}
}

func (k *checker) checkMongo() {
	const at = "$.store.mongo.uri"
	uri := k.Store.Mongo.URI.Reveal()
	switch {
	case uri == "":
		k.fault(at, "is missing")
	case !isMongo(uri):
		k.fault(at, "does not start with mongodb:// or mongodb+srv://")
	case k.with.StoreAddress != nil:
		if err := k.with.StoreAddress(uri, ""); err != nil {
			k.fault(at, err.Error())
		} else if err := k.with.StoreAddress(uri, k.Store.Mongo.Database); err != nil {
			k.fault("$.store.mongo.database", err.Error())
		}
	}
}

func isMongo(uri string) bool {
	scheme, _, ok := strings.Cut(uri, "://")
	return ok && (scheme == "mongodb" || scheme == "mongodb+srv" || scheme == "mongo")
}

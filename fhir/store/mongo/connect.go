package mongo

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

// What a connection does unless the URI says otherwise.
const (
	defaultDatabase = "handoff"
	appName         = "handoff"
	dialTimeout     = 5 * time.Second
	selectTimeout   = 10 * time.Second // how long a member that can serve is looked for
	callTimeout     = 15 * time.Second // one command, all in all
	idleTimeout     = 5 * time.Minute
	defaultPool     = 64
)

// connect makes a client. It reaches no server yet.
func (db *DB) connect(uri string, o Options) error {
	opts := options.Client().
		SetAppName(appName).
		SetConnectTimeout(dialTimeout).
		SetServerSelectionTimeout(selectTimeout).
		SetTimeout(callTimeout).
		SetMaxConnIdleTime(idleTimeout).
		SetMaxPoolSize(defaultPool).
		ApplyURI(uri).
		SetReadConcern(readconcern.Majority()).
		SetWriteConcern(writeconcern.Majority()).
		SetReadPreference(readpref.Primary())
	if err := opts.Validate(); err != nil {
		return fmt.Errorf("MongoDB URI: %s", err)
	}
	client, err := driver.Connect(opts)
	if err != nil {
		return fmt.Errorf("MongoDB URI: %s", err)
	}
	db.client, db.addresses = client, strings.Join(opts.Hosts, ", ")
	db.name = databaseOf(uri)
	if db.name == "" {
		db.name = o.Database
	}
	if db.name == "" {
		db.name = defaultDatabase
	}
	db.base = client.Database(db.name)
	return nil
}

// databaseOf gives the database that a URI names, "" for none.
func databaseOf(uri string) string {
	_, rest, _ := strings.Cut(uri, "://")
	_, rest, _ = strings.Cut(rest, "/")
	rest, _, _ = strings.Cut(rest, "?")
	name, err := url.PathUnescape(rest)
	if err != nil {
		return ""
	}
	return name
}

// coll gives a collection.
func (db *DB) coll(c collection) *driver.Collection { return db.base.Collection(c.name) }

// Ping implements store.Store.
func (db *DB) Ping(ctx context.Context) error {
	return db.explain(db.client.Ping(ctx, readpref.Primary()))
}

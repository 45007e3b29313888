package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"time"

	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/gateway/config"
)

// storeClock, if set, is the clock of the store in place of its own. A test sets it
// off this machine's, so that it shows what does not go by the store's.
var storeClock func() time.Time

// makeStore opens the store that a configuration names, or makes it. The log, which
// may be nil, is told of what is odd about it.
func makeStore(ctx context.Context, c *config.Config, log *slog.Logger) (backend.Backend, error) {
	address, database := c.StoreAddress()
	return backend.Open(ctx, address, backend.Options{Database: database, Logger: log, Now: storeClock})
}

// openStore opens the store that a configuration names, if it is there: looking
// back must not make an empty one.
func openStore(ctx context.Context, c *config.Config) (backend.Backend, error) {
	address, database := c.StoreAddress()
	return backend.Open(ctx, address, backend.Options{Database: database, Existing: true, Now: storeClock})
}

// nameDatabase fills in which database a MongoDB store is in.
func nameDatabase(c *config.Config) (err error) {
	address, database := c.StoreAddress()
	if backend.IsMongo(address) {
		c.Store.Mongo.Database, err = backend.Database(address, database)
	}
	return err
}

// noStore says of an error of openStore that there is none yet.
func noStore(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// storeName names the store of a configuration for people and logs, without secrets.
func storeName(c *config.Config) string { return backend.Name(c.StoreAddress()) }

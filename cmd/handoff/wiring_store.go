package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"

	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/gateway/config"
)

// makeStore opens the store that a configuration names, or makes it. The log, which
// may be nil, is told of what is odd about it.
func makeStore(ctx context.Context, c *config.Config, log *slog.Logger) (backend.Backend, error) {
	address, database := c.StoreAddress()
	return backend.Open(ctx, address, backend.Options{Database: database, Logger: log})
}

// openStore opens the store that a configuration names, if it is there: looking
// back must not make an empty one.
func openStore(ctx context.Context, c *config.Config) (backend.Backend, error) {
	address, database := c.StoreAddress()
	return backend.Open(ctx, address, backend.Options{Database: database, Existing: true})
}

// noStore says of an error of openStore that there is none yet.
func noStore(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// storeName names the store of a configuration for people and logs, without secrets.
func storeName(c *config.Config) string { return backend.Name(c.StoreAddress()) }

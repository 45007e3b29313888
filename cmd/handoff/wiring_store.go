package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/presence"
	"github.com/handoff-health/handoff/fhir/store/transfer"
	"github.com/handoff-health/handoff/gateway/config"
)

// storeClock, if set, is the clock of the store in place of its own. A test sets it
// off this machine's, so that it shows what does not go by the store's.
var storeClock func() time.Time

// makeStore opens the store that a configuration names, or makes it, and tells whoever
// asks that the command what uses it (presence). The log, which may be nil, is told of
// what is odd about it. An unfinished copy is refused.
func makeStore(ctx context.Context, c *config.Config, what string, log *slog.Logger) (backend.Backend, error) {
	address, database := c.StoreAddress()
	db, err := whole(ctx, address, backend.Options{Database: database, Logger: log, Now: storeClock})
	if err != nil {
		return nil, err
	}
	lease, err := presence.Announce(ctx, db, db.Now, what)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &usedStore{db, lease}, nil
}

// A usedStore is a store that this process has announced to use.
type usedStore struct {
	backend.Backend
	lease *presence.Lease
}

// Close takes the announcement back. One that stays ends by itself.
func (s *usedStore) Close() error {
	_ = s.lease.End()
	return s.Backend.Close()
}

// openStore opens the store that a configuration names, if it is there: looking
// back must not make an empty one. An unfinished copy is refused.
func openStore(ctx context.Context, c *config.Config) (backend.Backend, error) {
	address, database := c.StoreAddress()
	return whole(ctx, address, backend.Options{Database: database, Existing: true, Now: storeClock})
}

// whole opens a store that is no unfinished copy.
func whole(ctx context.Context, address string, o backend.Options) (backend.Backend, error) {
	db, err := backend.Open(ctx, address, o)
	if err != nil {
		return nil, err
	}
	if err := transfer.Ready(ctx, db); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", backend.Name(address, o.Database), err), db.Close())
	}
	return db, nil
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

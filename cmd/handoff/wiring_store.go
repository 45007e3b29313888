package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/presence"
	"github.com/handoff-health/handoff/fhir/store/transfer"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/peers"
)

// storeClock, if set, is the clock of the store in place of its own. A test sets it
// off this machine's, so that it shows what does not go by the store's.
var storeClock func() time.Time

// storeOpened, if set, is told of each store that is opened for a configuration. A test
// looks at what was announced in it.
var storeOpened func(backend.Backend, storeUse)

// slowOpen is after how long whoever opens a store is told that it takes long.
var slowOpen = 2 * time.Second

// openSlowly opens a store at an address, and says so if it takes long: a deployment
// that is away is waited for.
func openSlowly(ctx context.Context, address string, o backend.Options) (backend.Backend, error) {
	began := time.Now()
	slow := time.AfterFunc(slowOpen, func() {
		o.Logger.Warn("the store is not open yet; still waiting for it", "store", backend.Name(address, o.Database), "since", time.Since(began).Round(time.Second))
	})
	defer slow.Stop()
	return backend.Open(ctx, address, o)
}

// storeFor opens the store of a configuration for a command, as storeUses says of it.
// What takes long is told on the command's stderr.
func storeFor(cmd *cobra.Command, c *config.Config) (backend.Backend, error) {
	return openStore(cmd.Context(), c, useOf(cmd), newLogger(cmd.ErrOrStderr(), "info"))
}

// openStore is the one place where the store of a configuration is opened. It refuses
// an unfinished copy, and a site key that is not the store's where that counts; tells
// whoever asks that a command that writes uses the store (presence); and gives the
// others a store that cannot be written to. The log is told of what is odd about the
// store, and of what takes long.
func openStore(ctx context.Context, c *config.Config, u storeUse, log *slog.Logger) (_ backend.Backend, err error) {
	if !u.opens {
		return nil, fmt.Errorf("'handoff %s' has no decision on how it uses a store; this is a fault of handoff", u.command)
	}
	address, database := c.StoreAddress()
	o := backend.Options{Database: database, Existing: !u.makes, Logger: log, Now: storeClock}
	if !u.writes {
		o.SweepEvery = -1 // a sweep writes
	}
	db, err := openSlowly(ctx, address, o)
	if err != nil {
		return nil, err
	}
	used := &usedStore{Backend: db}
	defer func() {
		if err != nil {
			err = errors.Join(err, used.Close())
		}
	}()
	if err := transfer.Ready(ctx, db); err != nil {
		return nil, fmt.Errorf("%s: %w", storeName(c), err)
	}
	if err := checkSite(ctx, c, db, u, false); err != nil {
		return nil, err
	}
	if !u.writes {
		return told(readStore{used}, u), nil
	}
	if used.lease, err = announce(ctx, db, u); err != nil {
		return nil, fmt.Errorf("%s: %w", storeName(c), err)
	}
	if err := used.aloneIf(ctx, u.alone); err != nil {
		return nil, fmt.Errorf("%s: %w", storeName(c), err)
	}
	// Only now, so that who is refused leaves nothing behind.
	if err := checkSite(ctx, c, db, u, u.key == keyWritten); err != nil {
		return nil, err
	}
	return told(used, u), nil
}

// announce makes a command known that writes to a store, unless a copy is being made of
// it or to it, which the command would spoil: it looks before it says a word, which is a
// write, and again after, when whoever looks sees it.
func announce(ctx context.Context, db backend.Backend, u storeUse) (*presence.Lease, error) {
	hs, err := presence.Present(ctx, db)
	if err != nil {
		return nil, err
	}
	if err := copied(hs); err != nil {
		return nil, err
	}
	lease, err := presence.Announce(ctx, db, db.Now, u.command)
	if err != nil {
		return nil, err
	}
	if hs, err = lease.Others(ctx); err == nil {
		err = copied(hs)
	}
	if err != nil {
		_ = lease.End() // one that stays ends by itself
		return nil, err
	}
	return lease, nil
}

// errCopied is of a store that nobody may write to at the moment.
var errCopied = errors.New("the store is being copied")

func copied(hs []presence.Holder) error {
	if hs = presence.Alone(hs); len(hs) == 0 {
		return nil
	}
	return fmt.Errorf("%w by %s: wait until that is done, or stop it and start it again with --live; if it was killed on another machine it counts for a minute more",
		errCopied, presence.Names(hs))
}

func told(db backend.Backend, u storeUse) backend.Backend {
	if storeOpened != nil {
		storeOpened(db, u)
	}
	return db
}

// checkSite refuses a configuration whose site key is not the store's. With keep it
// becomes the key of a store that has none yet.
func checkSite(ctx context.Context, c *config.Config, facts backend.Backend, u storeUse, keep bool) error {
	if u.anyKey || u.key == keyUnused && !u.writes {
		return nil
	}
	err := peers.CheckSite(ctx, facts, []byte(c.Site.Key.Reveal()), keep)
	if errors.Is(err, peers.ErrKeys) {
		return fmt.Errorf("site.key at %s, for the store %s: %w", c.SiteKeyAt(), storeName(c), err)
	}
	return err
}

// A usedStore is a store that this process has announced to use, if it has a lease.
type usedStore struct {
	backend.Backend
	lease *presence.Lease
}

// Close takes the announcement back. One that stays ends by itself.
func (s *usedStore) Close() error {
	_ = s.lease.End()
	return s.Backend.Close()
}

// aloneIf refuses a store that others use.
func (s *usedStore) aloneIf(ctx context.Context, alone bool) error {
	if !alone {
		return nil
	}
	others, err := s.lease.Others(ctx)
	if err == nil && len(others) > 0 {
		err = fmt.Errorf("the store is used by %s: stop it first; a process that was killed counts for a minute more", presence.Names(others))
	}
	return err
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

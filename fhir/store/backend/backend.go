// Package backend opens a store by its address: a file of the embedded SQLite
// store, or the URI of a MongoDB deployment. It is the one place that knows which
// kinds there are; cmd and tests call it, and everything else takes the interfaces
// of package store.
package backend

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/mongo"
	"github.com/handoff-health/handoff/fhir/store/sqlite"
)

// A Backend is one open store with all that it can do. Close closes all of it.
type Backend interface {
	store.Store
	store.Facts
	store.Log
	store.Sweeper
	store.Epocher
	store.Gatherer
	store.Timekeeper
}

// Memory as an address gives an embedded store for tests, which Close removes.
const Memory = sqlite.Memory

// Options of a store. The zero value is usable.
type Options struct {
	Now        func() time.Time // clock of LastUpdated and expiry; nil: the store's
	SweepEvery time.Duration    // 0: a minute; negative: never
	Database   string           // of MongoDB, if the URI names none
}

// IsMongo says whether an address is that of a MongoDB deployment.
func IsMongo(address string) bool {
	scheme, _, ok := strings.Cut(address, "://")
	return ok && (scheme == "mongodb" || scheme == "mongodb+srv" || scheme == "mongo")
}

// Open opens the store at an address: a path, "sqlite:PATH", or
// "mongodb://…/DATABASE" ("mongodb+srv", "mongo" too). Its error never repeats a
// password.
func Open(ctx context.Context, address string, o Options) (Backend, error) {
	if IsMongo(address) {
		return mongo.Open(ctx, mongoURI(address), mongo.Options{Now: o.Now, SweepEvery: o.SweepEvery, Database: o.Database})
	}
	if scheme, _, ok := strings.Cut(address, "://"); ok {
		return nil, fmt.Errorf("open the store: %q is no kind of store; give a path, or mongodb://", scheme)
	}
	return sqlite.Open(ctx, strings.TrimPrefix(address, "sqlite:"), sqlite.Options{Now: o.Now, SweepEvery: o.SweepEvery})
}

func mongoURI(address string) string {
	if rest, ok := strings.CutPrefix(address, "mongo://"); ok {
		return "mongodb://" + rest
	}
	return address
}

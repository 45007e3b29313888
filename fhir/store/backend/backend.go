// Package backend opens a store by its address: a file of the embedded SQLite
// store, or the URI of a MongoDB deployment. It is the one place that knows which
// kinds there are; cmd and tests call it, and everything else takes the interfaces
// of package store.
package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
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
	store.Transferer
	store.Checker
}

// Memory as an address gives an embedded store for tests, which Close removes.
const Memory = sqlite.Memory

// Options of a store. The zero value is usable.
type Options struct {
	Now        func() time.Time // clock of LastUpdated and expiry; nil: the store's
	SweepEvery time.Duration    // 0: a minute; negative: never
	Database   string           // of MongoDB, if the URI names none; "handoff" if neither does
	// Existing makes a store that is not there an error (fs.ErrNotExist): who only
	// looks leaves no empty one behind.
	Existing bool
	// AsIs opens a store to look at it: nothing of its layout is put right. It must be
	// there.
	AsIs   bool
	Logger *slog.Logger // optional
}

// IsMongo says whether an address is that of a MongoDB deployment.
func IsMongo(address string) bool {
	scheme, _, ok := strings.Cut(address, "://")
	return ok && (scheme == "mongodb" || scheme == "mongodb+srv" || scheme == "mongo")
}

// Open opens the store at an address, or makes it: a path, "sqlite:PATH", or
// "mongodb://…/DATABASE" ("mongodb+srv", "mongo" too). Its error never repeats a
// password.
func Open(ctx context.Context, address string, o Options) (Backend, error) {
	if IsMongo(address) {
		uri, err := uriOf(address, o.Database)
		if err != nil {
			return nil, err
		}
		db, err := mongo.Open(ctx, uri, o.mongo())
		if err != nil {
			return nil, err // not a nil *mongo.DB as a Backend that is none
		}
		return db, nil
	}
	path, err := pathOf(address)
	if err != nil {
		return nil, err
	}
	if o.Existing || o.AsIs {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("open the store: %w", err)
		}
	}
	db, err := sqlite.Open(ctx, path, sqlite.Options{Now: o.Now, SweepEvery: o.SweepEvery})
	if err != nil {
		return nil, err
	}
	return db, nil
}

func (o Options) mongo() mongo.Options {
	return mongo.Options{Now: o.Now, SweepEvery: o.SweepEvery, Existing: o.Existing, AsIs: o.AsIs, Logger: o.Logger}
}

// pathOf is the file that an address names. What looks like an address of a server is
// none, and is not repeated, as it may hold a password.
func pathOf(address string) (string, error) {
	path, named := strings.CutPrefix(address, "sqlite:")
	if scheme, _, ok := strings.Cut(path, "://"); ok {
		if named || strings.ContainsAny(scheme, ":@") {
			return "", errors.New("open the store: what has :// in it is no path; give a path, or mongodb://")
		}
		return "", fmt.Errorf("open the store: %q is no kind of store; give a path, or mongodb://", scheme)
	}
	if !named && strings.Contains(path, "@") && strings.HasPrefix(strings.ToLower(strings.TrimSpace(path)), "mongo") {
		return "", errors.New("open the store: the URI of a MongoDB deployment starts with mongodb:// or mongodb+srv://; a path with @ is written sqlite:PATH")
	}
	if user, rest, ok := strings.Cut(path, ":"); ok && !named && !strings.Contains(user, "/") && strings.Contains(rest, "@") {
		return "", errors.New("open the store: a user and a password belong after mongodb://; a path with : and @ is written sqlite:PATH")
	}
	if !named && misspelt.MatchString(path) {
		return "", errors.New("open the store: the URI of a MongoDB deployment starts with mongodb:// or mongodb+srv://; a path that begins so is written sqlite:PATH")
	}
	return path, nil
}

// misspelt is what begins as the URI of a MongoDB deployment does, and is none.
var misspelt = regexp.MustCompile(`(?i)^\s*mongo(db)?(\+srv)?([:;]|//)`)

// mongoURI is the connection string that an address means.
func mongoURI(address string) string {
	if rest, ok := strings.CutPrefix(address, "mongo://"); ok {
		return "mongodb://" + rest
	}
	return address
}

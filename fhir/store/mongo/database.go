package mongo

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// Vacant says whether a database has no collection: nobody's data are met or mixed
// with by whoever makes a store there.
func Vacant(ctx context.Context, uri string, o Options) (bool, error) {
	var names []string
	err := withDatabase(ctx, uri, o, func(db *DB) (err error) {
		names, err = db.base.ListCollectionNames(ctx, bson.D{})
		return err
	})
	return len(names) == 0, err
}

// Drop removes a database with all that is in it, and says nothing if there is none.
// A database of something else stays as it is. It is for databases of tests and of
// the demo.
func Drop(ctx context.Context, uri string, o Options) error {
	return withDatabase(ctx, uri, o, func(db *DB) error {
		doc, err := db.claimDatabase(ctx, false)
		if err == nil {
			err = db.checkLayout(doc)
		}
		if err != nil && !errors.Is(err, store.ErrNewer) {
			return err
		}
		return db.retry(ctx, "drop the database", db.drop)
	})
}

// drop drops the database, or each of its collections where the user may do no more
// (the role readWrite): a database without collections is none.
func (db *DB) drop(ctx context.Context) error {
	err := db.base.Drop(ctx)
	if !hasCode(err, codeUnauthorized) {
		return err
	}
	names, err := db.base.ListCollectionNames(ctx, bson.D{})
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, "system.") {
			continue
		}
		if err := db.base.Collection(name).Drop(ctx); err != nil {
			return err
		}
	}
	return nil
}

// withDatabase connects to a database as it is: nothing is made in it before do.
func withDatabase(ctx context.Context, uri string, o Options, do func(*DB) error) error {
	db, err := dial(uri, o, thisLayout)
	if err != nil {
		return err
	}
	if db.now == nil {
		db.now = time.Now
	}
	if err = db.checkServer(ctx); err == nil {
		err = db.explain(do(db))
	}
	if closed := db.Close(); err == nil {
		err = closed
	}
	return err
}

package mongo

import (
	"context"
	"log/slog"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Vacant says whether a database has no collection: nobody's data are met or mixed
// with by whoever makes a store there.
func Vacant(ctx context.Context, uri string, o Options) (bool, error) {
	var names []string
	err := withDatabase(uri, o, func(db *DB) (err error) {
		names, err = db.base.ListCollectionNames(ctx, bson.D{})
		return err
	})
	return len(names) == 0, err
}

// Drop removes a database with all that is in it, and says nothing if there is
// none. It is for databases of tests and of the demo.
func Drop(ctx context.Context, uri string, o Options) error {
	return withDatabase(uri, o, func(db *DB) error { return db.base.Drop(ctx) })
}

// withDatabase connects to a database as it is: nothing is made in it.
func withDatabase(uri string, o Options, do func(*DB) error) error {
	db := &DB{now: time.Now, log: slog.New(slog.DiscardHandler)}
	db.life, db.end = context.WithCancel(context.Background())
	if err := db.connect(uri, o); err != nil {
		return err
	}
	err := db.explain(do(db))
	if closed := db.Close(); err == nil {
		err = closed
	}
	return err
}

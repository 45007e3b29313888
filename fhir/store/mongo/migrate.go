package mongo

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// layoutApp marks a database as a Handoff store.
const layoutApp = "handoff store"

// A layoutDoc says what the database is. It is the first document made in it, and who
// holds the lease in it migrates.
type layoutDoc struct {
	ID     string `bson:"_id"` // layoutID
	App    string `bson:"app"` // layoutApp
	Layout int    `bson:"layout"`
	// Target is the layout that a migration under way leads to: a program that does
	// not know that must not use the database.
	Target int    `bson:"target"`
	Cursor string `bson:"cursor"`        // how far the migration from Layout has come
	Holder string `bson:"holder"`        // of the lease; "" nobody
	Beat   int64  `bson:"beat"`          // rises while the holder lives
	Who    string `bson:"who,omitempty"` // the holder, or the last one, for people
}

const layoutID = "layout"

// A migration takes the database from one layout to the next. It may be ended at any
// moment and begun again, here or in another process, from the cursor that it saved
// last ("" at first): what it does must bear being done again.
type migration func(ctx context.Context, db *DB, cursor string, save func(cursor string) error) error

// A blueprint is what Open brings a database to.
type blueprint struct {
	migrations []migration // [n] takes from layout n to n+1. A landed one never changes
	indexes    []index     // of the newest layout
	lease      leaseTimes
}

// thisLayout is what this program works with.
var thisLayout = blueprint{migrations: []migration{makeCounters}, indexes: indexes, lease: leaseTimes{beat: leaseBeat, patience: leasePatience, poll: leasePoll}}

// makeCounters is the first migration: a store begins with its counters. Indexes are
// made at each start.
func makeCounters(ctx context.Context, db *DB, _ string, _ func(string) error) error {
	for _, c := range []counter{epochs, factVersions} {
		err := db.retry(ctx, "make the counter "+c.name, func(ctx context.Context) error {
			_, err := db.coll(numbers).InsertOne(ctx, numberDoc{ID: c.name})
			if isDuplicate(err) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// layout reads what the database is; isMissing if it is nothing yet.
func (db *DB) layout(ctx context.Context) (doc layoutDoc, err error) {
	err = db.coll(meta).FindOne(ctx, bson.D{{Key: "_id", Value: layoutID}}).Decode(&doc)
	return doc, err
}

// checkLayout says whether this program can use the database, or bring it to its
// layout.
func (db *DB) checkLayout(doc layoutDoc) error {
	newest := len(db.wanted.migrations)
	switch layout := max(doc.Layout, doc.Target); {
	case doc.App != layoutApp:
		return fmt.Errorf("%s: it is a database of something else: its collection %s does not say %q; name another database", db.where(), meta.name, layoutApp)
	case layout > newest:
		return fmt.Errorf("%s: %w: its layout is %d, this program knows up to %d", db.where(), store.ErrNewer, layout, newest)
	}
	return nil
}

// migrate brings the database to this program's layout, or says why it cannot. A
// database of something else is not touched.
func (db *DB) migrate(ctx context.Context, o Options) error {
	doc, err := db.claimDatabase(ctx, o.Existing || o.AsIs)
	if err != nil {
		return err
	}
	if err := db.checkLayout(doc); err != nil {
		return err
	}
	if o.AsIs {
		if newest := len(db.wanted.migrations); doc.Layout < newest {
			return fmt.Errorf("%s: its layout is %d, not %d: a gateway that starts on it brings it there", db.where(), doc.Layout, newest)
		}
		return nil
	}
	missing, err := db.missingIndexes(ctx, db.wanted.indexes)
	if err != nil {
		return err
	}
	if doc.Layout == len(db.wanted.migrations) && len(missing) == 0 {
		return nil
	}
	return db.underLease(ctx, db.bringUp)
}

// A noStoreError says that a database holds no store. It unwraps to fs.ErrNotExist.
type noStoreError struct{ where string }

func (e *noStoreError) Error() string { return e.where + ": there is no store yet" }

func (e *noStoreError) Unwrap() error { return fs.ErrNotExist }

// claimDatabase reads the layout, and marks an empty database as a store's.
func (db *DB) claimDatabase(ctx context.Context, existing bool) (doc layoutDoc, err error) {
	err = db.read(ctx, "read the layout", func(ctx context.Context) error {
		doc, err = db.layout(ctx)
		return err
	})
	if !isMissing(err) {
		return doc, err
	}
	if err := db.checkEmpty(ctx); err != nil {
		return doc, err
	}
	if existing {
		return doc, &noStoreError{db.where()}
	}
	doc = layoutDoc{ID: layoutID, App: layoutApp}
	err = db.retry(ctx, "begin a store", func(ctx context.Context) error {
		if _, err := db.coll(meta).InsertOne(ctx, doc); err != nil && !isDuplicate(err) {
			return err
		}
		doc, err = db.layout(ctx) // another process may have been faster
		return err
	})
	return doc, err
}

// checkEmpty refuses a database that holds collections but no layout, unless another
// process has made it a store meanwhile.
func (db *DB) checkEmpty(ctx context.Context) error {
	var names []string
	err := db.read(ctx, "list the collections", func(ctx context.Context) (err error) {
		names, err = db.base.ListCollectionNames(ctx, bson.D{})
		return err
	})
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, "system.") })
	if len(names) == 0 {
		return nil
	}
	if len(names) == 1 && names[0] == meta.name {
		return db.checkMeta(ctx)
	}
	err = db.read(ctx, "read the layout", func(ctx context.Context) error {
		_, err := db.layout(ctx)
		return err
	})
	if !isMissing(err) {
		return err
	}
	slices.Sort(names)
	return fmt.Errorf("%s: it is a database of something else, with the collections %s; name another database", db.where(), shorten(strings.Join(names, ", ")))
}

// checkMeta refuses a database whose one collection has the name of one of ours by
// chance: it holds what no store has in it.
func (db *DB) checkMeta(ctx context.Context) error {
	err := db.read(ctx, "look for a store", func(ctx context.Context) error {
		return db.coll(meta).FindOne(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$ne", Value: layoutID}}}}).Err()
	})
	switch {
	case err == nil:
		return fmt.Errorf("%s: it is a database of something else: its collection %s is none of a store's; name another database", db.where(), meta.name)
	case isMissing(err):
		return nil
	}
	return err
}

// bringUp does the migrations that are left, then makes the indexes.
func (db *DB) bringUp(ctx context.Context, l *lease) error {
	for {
		doc, err := l.read(ctx)
		if err != nil {
			return err
		}
		if err := db.checkLayout(doc); err != nil {
			return err
		}
		n := doc.Layout
		if n == len(db.wanted.migrations) {
			break
		}
		if err := l.set(ctx, bson.D{{Key: "target", Value: n + 1}}); err != nil {
			return err
		}
		save := func(cursor string) error { return l.set(ctx, bson.D{{Key: "cursor", Value: cursor}}) }
		what := fmt.Sprintf("bring layout %d to %d", n, n+1)
		err = db.telling(what, func() error { return db.wanted.migrations[n](ctx, db, doc.Cursor, save) })
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if err := l.set(ctx, bson.D{{Key: "layout", Value: n + 1}, {Key: "cursor", Value: ""}}); err != nil {
			return err
		}
	}
	missing, err := db.missingIndexes(ctx, db.wanted.indexes)
	if err != nil {
		return err
	}
	return db.makeIndexes(ctx, missing)
}

package mongo

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// An index of the layout.
type index struct {
	of     collection
	name   string
	keys   bson.D
	unique bool
	sparse bool
}

// indexes of the newest layout. Each has its name, so that another definition under
// it is noticed.
var indexes = []index{
	{of: heads, name: "entry", keys: bson.D{{Key: "ix", Value: 1}}},
	{of: heads, name: "newest", keys: bson.D{{Key: "t", Value: 1}, {Key: "d", Value: 1}, {Key: "u", Value: -1}, {Key: "i", Value: 1}}},
	{of: heads, name: "intent", keys: bson.D{{Key: "xt", Value: 1}}, sparse: true},
	{of: heads, name: "gone", keys: bson.D{{Key: "g", Value: 1}}, sparse: true},
	{of: versions, name: "key", keys: bson.D{{Key: "k", Value: 1}, {Key: "v", Value: -1}}},
	{of: versions, name: "written", keys: bson.D{{Key: "at", Value: 1}}},
	{of: units, name: "journal", keys: bson.D{{Key: "ts", Value: 1}, {Key: "c", Value: 1}}},
	{of: units, name: "age", keys: bson.D{{Key: "o", Value: 1}, {Key: "at", Value: 1}}},
	{of: claims, name: "holder", keys: bson.D{{Key: "k", Value: 1}}},
	{of: facts, name: "expiry", keys: bson.D{{Key: "e", Value: 1}}},
	{of: logs, name: "stream", keys: bson.D{{Key: "s", Value: 1}, {Key: "e", Value: 1}}},
	{of: logs, name: "chunked", keys: bson.D{{Key: "cn", Value: 1}}, sparse: true},
	{of: positions, name: "stream", keys: bson.D{{Key: "s", Value: 1}}},
	{of: chunks, name: "written", keys: bson.D{{Key: "at", Value: 1}}},
}

// byID is the index that every collection has.
const byID = "_id_"

// named gives the name under which an index of the layout stands: a query that starts
// from it must give that. Keys do not do: more than one index may have them.
func (db *DB) named(of collection, name string) string {
	if other, ok := db.names.Load(of.name + "." + name); ok {
		return other.(string)
	}
	return name
}

// serves says whether one of the indexes found does what ours is for, and remembers its
// name if none has ours.
func (db *DB) serves(fs []foundIndex, ix index) bool {
	of, ours := ix.of.name+"."+ix.name, func(f foundIndex) bool { return ix.is(f) && f.Name == ix.name }
	i := slices.IndexFunc(fs, ix.is)
	if i < 0 || slices.ContainsFunc(fs, ours) {
		db.names.Delete(of)
		return i >= 0
	}
	db.names.Store(of, fs[i].Name)
	return true
}

func (ix index) model() driver.IndexModel {
	o := options.Index().SetName(ix.name)
	if ix.unique {
		o.SetUnique(true)
	}
	if ix.sparse {
		o.SetSparse(true)
	}
	return driver.IndexModel{Keys: ix.keys, Options: o}
}

// A foundIndex is an index as a server describes it.
type foundIndex struct {
	Name      string   `bson:"name"`
	Keys      bson.D   `bson:"key"`
	Unique    bool     `bson:"unique"`
	Sparse    bool     `bson:"sparse"`
	Hidden    bool     `bson:"hidden"`
	Expires   any      `bson:"expireAfterSeconds"`
	Partial   bson.Raw `bson:"partialFilterExpression"`
	Collation bson.Raw `bson:"collation"`
}

// is says whether an index does what another is for, whatever its name.
func (ix index) is(f foundIndex) bool {
	return describe(f.Keys) == describe(ix.keys) && f.Unique == ix.unique && f.Sparse == ix.sparse &&
		!f.Hidden && f.Expires == nil && f.Partial == nil && f.Collation == nil
}

// describe writes keys alike, whatever type of number a server keeps directions in.
func describe(keys bson.D) string {
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = fmt.Sprintf("%s: %v", k.Key, k.Value)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// missingIndexes gives those of want that the database lacks. One that has the name
// of ours and is something else is an error: nobody but its owner knows whether it may
// go.
func (db *DB) missingIndexes(ctx context.Context, want []index) ([]index, error) {
	found := map[string][]foundIndex{}
	var missing []index
	for _, ix := range want {
		if _, ok := found[ix.of.name]; !ok {
			fs, err := db.indexesOf(ctx, ix.of)
			if err != nil {
				return nil, err
			}
			if err := db.checkForeign(ix.of, fs); err != nil {
				return nil, err
			}
			found[ix.of.name] = fs
		}
		fs := found[ix.of.name]
		if db.serves(fs, ix) {
			continue
		}
		if i := slices.IndexFunc(fs, func(f foundIndex) bool { return f.Name == ix.name }); i >= 0 {
			return nil, db.otherIndex(ix, fs[i])
		}
		missing = append(missing, ix)
	}
	return missing, nil
}

// checkForeign refuses an index that allows a value only once: none of the layout does,
// and a document that is refused by one looks like one that is there already.
func (db *DB) checkForeign(c collection, fs []foundIndex) error {
	for _, f := range fs {
		if db.refuses(c, f) {
			return fmt.Errorf("%s: the index %q of the collection %s, %s, is none of the store's, and refuses what the store has to write: drop it", db.where(), f.Name, c.name, f)
		}
	}
	return nil
}

// refuses says of an index that it allows a value only once and is none of the layout's.
func (db *DB) refuses(c collection, f foundIndex) bool {
	return f.Unique && f.Name != byID && !slices.ContainsFunc(db.wanted.indexes, func(ix index) bool { return ix.of == c && (ix.name == f.Name || ix.is(f)) })
}

// otherIndex is of an index that has the name of one of ours and is something else.
func (db *DB) otherIndex(ix index, f foundIndex) error {
	return fmt.Errorf("%s: the index %q of the collection %s is %s, the store needs %s under that name; drop it if nobody else uses it, the store then makes its own",
		db.where(), ix.name, ix.of.name, f, ix)
}

// inTheWay names the index for whose sake a server refuses to make one of ours; nil if
// it is gone. The server's own words are not repeated.
func (db *DB) inTheWay(ctx context.Context, ix index) error {
	fs, err := db.indexesOf(ctx, ix.of)
	if err != nil {
		return err
	}
	for _, f := range fs {
		if f.Name != ix.name && describe(f.Keys) == describe(ix.keys) {
			return fmt.Errorf("%s: the index %q of the collection %s, %s, is in the way of the store's own, %q, %s; drop it if nobody else uses it", db.where(), f.Name, ix.of.name, f, ix.name, ix)
		}
	}
	return nil
}

// String is what an index is, but for its name.
func (ix index) String() string {
	return foundIndex{Keys: ix.keys, Unique: ix.unique, Sparse: ix.sparse}.String()
}

// String is what an index is, but for its name.
func (f foundIndex) String() string {
	out := describe(f.Keys)
	for _, o := range []struct {
		is   bool
		name string
	}{
		{f.Unique, "unique"}, {f.Sparse, "sparse"}, {f.Hidden, "hidden"}, {f.Expires != nil, "expireAfterSeconds"},
		{f.Partial != nil, "partialFilterExpression"}, {f.Collation != nil, "collation"},
	} {
		if o.is {
			out += " " + o.name
		}
	}
	return out
}

// indexesOf lists the indexes of a collection; of one that is not there, none.
func (db *DB) indexesOf(ctx context.Context, c collection) (out []foundIndex, err error) {
	err = db.read(ctx, "list the indexes of "+c.name, func(ctx context.Context) error {
		out = nil
		cursor, err := db.coll(c).Indexes().List(ctx)
		if hasCode(err, codeNamespaceNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return cursor.All(ctx, &out)
	})
	return out, err
}

// indexing is how long a server may build one index.
const indexing = time.Hour

// makeIndexes makes indexes one by one: the server waits until each is built.
func (db *DB) makeIndexes(ctx context.Context, missing []index) error {
	for _, ix := range missing {
		what := fmt.Sprintf("make the index %q of %s", ix.name, ix.of.name)
		err := db.telling(what, func() error {
			return db.retry(ctx, what, func(ctx context.Context) error {
				ctx, cancel := context.WithTimeout(ctx, indexing)
				defer cancel()
				_, err := db.coll(ix.of).Indexes().CreateOne(ctx, ix.model())
				return err
			})
		})
		if hasCode(err, codeIndexOptions, codeIndexKeys) {
			err = cmp.Or(db.inTheWay(ctx, ix), err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

package mongo

import (
	"context"

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
	{of: versions, name: "key", keys: bson.D{{Key: "k", Value: 1}, {Key: "v", Value: -1}}},
	{of: versions, name: "written", keys: bson.D{{Key: "at", Value: 1}}},
	{of: units, name: "journal", keys: bson.D{{Key: "ts", Value: 1}, {Key: "c", Value: 1}}},
	{of: units, name: "open", keys: bson.D{{Key: "o", Value: 1}}, sparse: true},
	{of: claims, name: "holder", keys: bson.D{{Key: "k", Value: 1}}},
	{of: facts, name: "expiry", keys: bson.D{{Key: "e", Value: 1}}},
	{of: logs, name: "stream", keys: bson.D{{Key: "s", Value: 1}, {Key: "e", Value: 1}}},
	{of: logs, name: "chunked", keys: bson.D{{Key: "cn", Value: 1}}, sparse: true},
	{of: positions, name: "stream", keys: bson.D{{Key: "s", Value: 1}}},
	{of: chunks, name: "written", keys: bson.D{{Key: "at", Value: 1}}},
}

// migrate brings the database to this program's layout.
func (db *DB) migrate(ctx context.Context) error {
	for _, ix := range indexes {
		o := options.Index().SetName(ix.name)
		if ix.unique {
			o.SetUnique(true)
		}
		if ix.sparse {
			o.SetSparse(true)
		}
		if _, err := db.coll(ix.of).Indexes().CreateOne(ctx, driver.IndexModel{Keys: ix.keys, Options: o}); err != nil {
			return db.explain(err)
		}
	}
	for _, c := range []counter{epochs, factVersions} {
		if _, err := db.coll(numbers).InsertOne(ctx, numberDoc{ID: c.name}); err != nil && !isDuplicate(err) {
			return db.explain(err)
		}
	}
	return nil
}

package mongo

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Deployment says what answers at the other end, for reports and messages: "MongoDB
// 8.0.4, replica set rs0", or the name of a compatible server that says which it is.
func (db *DB) Deployment(ctx context.Context) (string, error) {
	var built struct {
		Version  string `bson:"version"`
		FerretDB *struct {
			Version string `bson:"version"`
		} `bson:"ferretdb"`
	}
	if err := db.client.Database("admin").RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&built); err != nil {
		return "", db.explain(err)
	}
	if built.FerretDB != nil {
		return fmt.Sprintf("FerretDB %s, a server compatible with MongoDB %s on the wire and not mongod", built.FerretDB.Version, built.Version), nil
	}
	h, err := db.sayHello(ctx)
	if err != nil {
		return "", db.explain(err)
	}
	switch {
	case h.SetName != "":
		return fmt.Sprintf("MongoDB %s, replica set %s", built.Version, h.SetName), nil
	case h.replicated():
		return fmt.Sprintf("MongoDB %s, sharded cluster", built.Version), nil
	default:
		return fmt.Sprintf("MongoDB %s, standalone", built.Version), nil
	}
}

package mongo

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store"
)

// countedAtMost bounds how many foreign documents of a collection are counted.
const countedAtMost = 1000

// checkNames looks for documents that no walk in order of id meets: their id is no text,
// or an empty one. Nothing here writes such.
func (c *checker) checkNames(ctx context.Context) error {
	for _, of := range []collection{heads, versions, units, claims, facts, logs, positions, numbers, chunks} {
		var found []bson.Raw
		err := c.retry(ctx, "read "+of.name, func(ctx context.Context) error {
			found = nil
			cur, err := c.coll(of).Find(ctx, bson.M{"_id": bson.M{"$not": bson.M{"$gt": ""}}},
				options.Find().SetProjection(bson.M{"_id": 1}).SetLimit(countedAtMost))
			if err != nil {
				return err
			}
			return cur.All(ctx, &found)
		})
		if err != nil {
			return err
		}
		if n := len(found); n > 0 {
			more := ""
			if n == countedAtMost {
				more = "at least "
			}
			c.report(store.Finding{
				Kind: store.FoundDamaged, What: "the collection " + of.name,
				Detail: fmt.Sprintf("%s%d documents have an id that is no name, one of type %s", more, n, found[0].Lookup("_id").Type),
			})
		}
	}
	return nil
}

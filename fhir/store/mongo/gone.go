package mongo

import (
	"context"
	"errors"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// goneKept is how long a head stands that says that there is nothing: the resource was
// expunged, or the unit that was to make it came to nothing. For so long the server may
// do what it was asked before, though it was asked again since or nobody waits any
// more: an insert of a head finds the key taken, and a version or a claim that comes
// late is removed with the head. Readers do not see it, who writes replaces it.
const goneKept = orphanAge

// sweepIntents ends what has stood on heads for long: intents that the server has put
// when their writer had gone. Those of units that are open the sweep of units ends.
func (db *DB) sweepIntents(ctx context.Context) error {
	var found []struct {
		ID     string `bson:"_id"`
		Intent struct {
			Unit    string `bson:"tx"`
			Updated string `bson:"u"`
		} `bson:"x"`
	}
	if err := db.findAll(ctx, heads, bson.M{"xt": bson.M{"$gt": ""}}, bson.M{"x.tx": 1, "x.u": 1}, &found); err != nil {
		return err
	}
	var errs []error
	until := db.now().Add(-orphanAge)
	for _, f := range found {
		if at, err := parseInstant(f.Intent.Updated); err != nil || !at.After(until) {
			errs = append(errs, db.endIntent(ctx, f.ID, f.Intent.Unit))
		}
	}
	return errors.Join(errs...)
}

func (db *DB) endIntent(ctx context.Context, key, unit string) error {
	if err := db.abortUnit(ctx, unit, key); err != nil {
		return err
	}
	h, err := db.headOf(ctx, key)
	if err != nil || h == nil || h.Intent == nil || h.Intent.Unit != unit {
		return err
	}
	return db.settle(ctx, h)
}

// sweepExpunges finishes expunges whose process has died.
func (db *DB) sweepExpunges(ctx context.Context) error {
	var hs []*headDoc
	begun := bson.M{"$gt": int64(0), "$lte": db.now().Add(-unitStale).UnixNano()}
	if err := db.findAll(ctx, heads, bson.M{"g": begun, "e": true}, nil, &hs); err != nil {
		return err
	}
	for _, h := range hs {
		if err := db.finishExpunge(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

// sweepGone removes heads of nothing after goneKept, and before that what the server
// has done late for their resources.
func (db *DB) sweepGone(ctx context.Context) error {
	none := bson.M{"$exists": false}
	until := db.now().Add(-goneKept).UnixNano()
	for {
		var hs []*headDoc
		err := db.retry(ctx, "look for heads of nothing", func(ctx context.Context) error {
			hs = nil
			cur, err := db.coll(heads).Find(ctx, bson.M{"g": bson.M{"$gt": int64(0), "$lte": until}, "x": none, "e": none},
				options.Find().SetSort(bson.M{"g": 1}).SetLimit(sweepBatch).SetProjection(bson.M{"t": 1, "i": 1, "g": 1, "v": 1, "n": 1}))
			if err != nil {
				return err
			}
			return cur.All(ctx, &hs)
		})
		if err != nil || len(hs) == 0 {
			return err
		}
		if err := db.forget(ctx, hs); err != nil || len(hs) < sweepBatch {
			return err
		}
	}
}

// forget removes heads of nothing, and versions and claims that came when they stood.
// What is written for a resource that is to be made anew is younger than its head.
func (db *DB) forget(ctx context.Context, hs []*headDoc) error {
	slices.SortFunc(hs, func(a, b *headDoc) int { return strings.Compare(a.ID, b.ID) })
	since := make(map[string]int64, len(hs))
	keys := make([]string, len(hs))
	models := make([]driver.WriteModel, len(hs))
	none := bson.M{"$exists": false}
	for i, h := range hs {
		keys[i], since[h.ID] = h.ID, h.Gone
		models[i] = driver.NewDeleteOneModel().SetFilter(bson.M{"_id": h.ID, "g": h.Gone, "x": none, "e": none})
	}
	var late []suspect
	if err := db.findAll(ctx, versions, bson.M{"k": bson.M{"$in": keys}}, suspectFields, &late); err != nil {
		return err
	}
	kept, err := db.keptBeside(ctx, hs, late)
	if err != nil {
		return err
	}
	late = slices.DeleteFunc(late, func(s suspect) bool { return s.At > since[s.Key] || kept[s.Key] })
	if err := db.dropOrphans(ctx, late); err != nil {
		return err
	}
	if err := db.sweepClaims(ctx, keys); err != nil {
		return err
	}
	_, err = db.persist(ctx, "forget heads of nothing", func(ctx context.Context) error {
		_, err := db.coll(heads).BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
		return err
	})
	return err
}

// keptBeside gives those of some heads of nothing, by id, that stand where a resource has
// lost its own: a unit that came to nothing has made them since. What an expunge has left
// keeps nothing.
func (db *DB) keptBeside(ctx context.Context, hs []*headDoc, late []suspect) (map[string]bool, error) {
	var keys []string
	for _, h := range hs {
		if h.headless() && slices.ContainsFunc(late, func(s suspect) bool { return s.Key == h.ID }) {
			keys = append(keys, h.ID)
		}
	}
	return db.kept(ctx, keys)
}

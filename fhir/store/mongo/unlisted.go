package mongo

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store"
)

// idsAtOnce is of how many versions the names are read together.
const idsAtOnce = 1000

// Unlisted implements store.Transferer. It reads the names of all versions, which an
// index holds, and looks for their heads. What writers that died have left was not
// acknowledged, and may be left out.
func (db *DB) Unlisted(ctx context.Context) error {
	for after, more := "", true; more; {
		var refs []versionRef
		err := db.retry(ctx, "list versions", func(ctx context.Context) error {
			refs = nil
			cursor, err := db.coll(versions).Find(ctx, bson.M{"_id": bson.M{"$gt": after}},
				options.Find().SetSort(bson.M{"_id": 1}).SetLimit(idsAtOnce).SetProjection(bson.M{"_id": 1}))
			if err != nil {
				return err
			}
			return cursor.All(ctx, &refs)
		})
		if err == nil {
			err = db.unlisted(ctx, keysIn(refs))
		}
		if err != nil {
			return err
		}
		if more = len(refs) == idsAtOnce; more {
			after = refs[len(refs)-1].ID
		}
	}
	return nil
}

// keysIn gives the resources that versions are of, by their names.
func keysIn(refs []versionRef) []string {
	var keys []string
	for _, r := range refs {
		if parts := strings.Split(r.ID, "/"); len(parts) == 4 {
			keys = append(keys, parts[0]+"/"+parts[1])
		}
	}
	return slices.Compact(keys)
}

// unlisted refuses versions of some resources that have no head.
func (db *DB) unlisted(ctx context.Context, keys []string) error {
	without, err := db.withoutHead(ctx, keys)
	if err != nil || len(without) == 0 {
		return err
	}
	marks, err := db.marksOf(ctx, without)
	if err != nil {
		return err
	}
	// Whose version was read before its head came to be has one now.
	if without, err = db.withoutHead(ctx, without); err != nil {
		return err
	}
	for _, key := range without {
		r := remainsOf(key, marks[key])
		if r.lost || r.unsaid && !db.writing(marks[key]) {
			name, _ := decode(key)
			return fmt.Errorf("%s: %w: %s has versions and no head; 'handoff store check' lists all of it, and with --repair mends what can be", db.where(), store.ErrDamaged, name)
		}
	}
	return nil
}

// writing says of versions by an earlier program, which do not tell, that their writer may
// be at work.
func (db *DB) writing(marks map[string]*versionMark) bool {
	young := db.now().Add(-orphanAge).UnixNano()
	for _, m := range marks {
		if m.At > young {
			return true
		}
	}
	return false
}

// withoutHead gives those of some resources whose head is not there, or says nothing.
func (db *DB) withoutHead(ctx context.Context, keys []string) ([]string, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	var hs []*headDoc
	if err := db.findAll(ctx, heads, bson.M{"_id": bson.M{"$in": keys}}, bson.M{"t": 1, "i": 1, "v": 1, "n": 1, "e": 1, "x.tx": 1}, &hs); err != nil {
		return nil, err
	}
	tells := make(map[string]bool, len(hs))
	for _, h := range hs {
		tells[h.ID] = !h.headless() || h.Intent != nil
	}
	return slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return tells[key] }), nil
}

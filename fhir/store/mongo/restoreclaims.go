package mongo

import (
	"context"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// claims takes the claims of all heads, whoever holds them.
func (r *restoring) claims(ctx context.Context) error {
	var docs []claimDoc
	names := map[string]string{} // id to claim
	for _, key := range r.order {
		h := r.heads[key]
		for _, c := range except(h.next.Claims, h.was.Claims) {
			docs = append(docs, claimDoc{ID: claimID(c), Key: key, Unit: restoredUnit})
			names[claimID(c)] = c
		}
	}
	if len(docs) == 0 {
		return nil
	}
	var taken []int
	_, err := r.db.persist(ctx, "take claims", func(ctx context.Context) (err error) {
		taken, err = r.db.insertMany(ctx, claims, docs)
		return err
	})
	if err != nil {
		return err
	}
	for _, i := range taken {
		if err := r.claim(ctx, docs[i], names[docs[i].ID]); err != nil {
			return err
		}
	}
	return nil
}

// claim takes a claim that has a document already, if that is still as it was read. The
// head of who held it lists it no more before it goes over: until then it counts for him,
// and afterwards his mark says that he is another.
func (r *restoring) claim(ctx context.Context, doc claimDoc, claim string) error {
	var found []claimDoc
	if err := r.db.findAll(ctx, claims, bson.M{"_id": doc.ID}, nil, &found); err != nil {
		return err
	}
	somebody := fmt.Errorf("restore %s: %w: somebody else takes a claim of it", doc.Key, store.ErrConflict)
	if len(found) == 0 { // it was given up this moment
		return somebody
	}
	was := found[0]
	if was == doc {
		return nil
	}
	if was.Key != doc.Key {
		if mine := r.heads[was.Key]; mine != nil && slices.Contains(mine.next.Claims, claim) {
			return fmt.Errorf("restore %s: %w: %s makes a claim of it too", doc.Key, store.ErrConflict, was.Key)
		}
		given, err := r.giveUp(ctx, was.Key, claim)
		if err != nil {
			return err
		}
		if !given {
			return somebody
		}
	}
	won, err := r.db.swapClaim(ctx, &was, &doc)
	if err == nil && !won {
		// Or a try whose answer was lost has won.
		found = nil
		if err = r.db.findAll(ctx, claims, bson.M{"_id": doc.ID}, nil, &found); err == nil && !slices.Contains(found, doc) {
			err = somebody
		}
	}
	return err
}

// giveUp has a head list a claim no more, if nobody writes to it meanwhile.
func (r *restoring) giveUp(ctx context.Context, key, claim string) (done bool, err error) {
	h, err := r.db.headOf(ctx, key)
	if err != nil || h == nil || !slices.Contains(h.State.Claims, claim) {
		return err == nil, err
	}
	_, err = r.db.persist(ctx, "give a claim up", func(ctx context.Context) error {
		res, err := r.db.coll(heads).UpdateOne(ctx, h.State.at(key), bson.M{"$pull": bson.M{"cl": claim}})
		done = err == nil && res.MatchedCount == 1
		return err
	})
	return done, err
}

// release removes the claims that restored resources no longer make.
func (r *restoring) release(ctx context.Context) error {
	for _, key := range r.order {
		h := r.heads[key]
		gone := claimIDs(except(h.was.Claims, h.next.Claims))
		if !h.complete || len(gone) == 0 {
			continue
		}
		_, err := r.db.persist(ctx, "give up claims", func(ctx context.Context) error {
			_, err := r.db.coll(claims).DeleteMany(ctx, bson.M{"_id": bson.M{"$in": gone}, "k": key, "tx": restoredUnit})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Forget implements store.Transferer.
func (db *DB) Forget(ctx context.Context, keys []store.Key) error {
	var ids []string
	for _, k := range keys {
		ids = append(ids, keyOf(k))
	}
	hs, err := db.settled(ctx, slices.Compact(slices.Sorted(slices.Values(ids))))
	if err != nil {
		return err
	}
	ids = slices.DeleteFunc(ids, func(key string) bool { return hs[key] != nil && hs[key].State.Version > 0 })
	if len(ids) == 0 {
		return nil
	}
	var refs []versionRef
	if err := db.findAll(ctx, versions, bson.M{"k": bson.M{"$in": ids}}, bson.M{"c": 1}, &refs); err != nil {
		return err
	}
	if err := db.dropVersions(ctx, refs); err != nil {
		return err
	}
	_, err = db.persist(ctx, "give up claims", func(ctx context.Context) error {
		_, err := db.coll(claims).DeleteMany(ctx, bson.M{"k": bson.M{"$in": ids}, "tx": restoredUnit})
		return err
	})
	return err
}

package mongo

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// Expunge implements store.Store. The head is replaced by one that says so, from
// which moment on the resource is not there; while that stands nobody writes a
// version that counts, so that all there are can go. Then the head says that there is
// nothing, for goneKept. Who finds an expunge that was interrupted finishes it, the
// sweep at the latest.
func (db *DB) Expunge(ctx context.Context, k store.Key) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	begun, key := time.Now(), keyOf(k)
	for {
		h, err := db.headOf(ctx, key)
		if err != nil {
			return err
		}
		if h == nil || !h.Expunging {
			if h, err = db.beginExpunge(ctx, k); err != nil {
				return err
			}
		}
		if h != nil {
			if err := db.finishExpunge(ctx, h); err != nil {
				return err
			}
			return db.announce(ctx)
		}
		if time.Since(begun) > contestFor {
			return fmt.Errorf("%w: expunge of %s given up after %v: %w", store.ErrConflict, k, contestFor, errLost)
		}
	}
}

// beginExpunge returns the head that it has put, nil if another writer was faster.
func (db *DB) beginExpunge(ctx context.Context, k store.Key) (*headDoc, error) {
	key := keyOf(k)
	hs, err := db.settled(ctx, []string{key})
	if err != nil {
		return nil, err
	}
	was := hs[key]
	if was == nil || was.Gone > 0 {
		return nil, fmt.Errorf("%s: %w", k, store.ErrNotFound)
	}
	h := newHead(k, nothing())
	h.State.Nonce, h.Expunging, h.Gone = newNonce(), true, db.now().UnixNano()
	won := false
	repeated, err := db.persist(ctx, "expunge a head", func(ctx context.Context) error {
		res, err := db.coll(heads).ReplaceOne(ctx, was.State.at(key), h)
		won = err == nil && res.MatchedCount == 1
		return err
	})
	if err != nil {
		return nil, unknown(err)
	}
	if !won && repeated {
		now, err := db.headOf(ctx, key)
		if err != nil {
			return nil, unknown(err)
		}
		// Gone: another has finished it, or expunged the resource himself.
		won = now == nil || now.State.Nonce == h.State.Nonce
	}
	if !won {
		return nil, nil
	}
	return h, db.step("expunging")
}

// finishExpunge removes all that an expunged head had, then has the head say that it is
// done. What is removed was listed before that: what a writer makes afterwards stays.
func (db *DB) finishExpunge(ctx context.Context, h *headDoc) error {
	if err := db.expungeVersions(ctx, h); err != nil {
		return err
	}
	if err := db.step("versions expunged"); err != nil {
		return err
	}
	if err := db.expungeClaims(ctx, h); err != nil {
		return err
	}
	if err := db.step("claims expunged"); err != nil {
		return err
	}
	_, err := db.persist(ctx, "end an expunge", func(ctx context.Context) error {
		_, err := db.coll(heads).UpdateOne(ctx, bson.M{"_id": h.ID, "n": h.State.Nonce, "e": true},
			bson.M{"$set": bson.M{"g": db.now().UnixNano()}, "$unset": bson.M{"e": ""}})
		return err
	})
	return err
}

// stands says whether an expunge is still under way.
func (db *DB) stands(ctx context.Context, h *headDoc) (bool, error) {
	now, err := db.headOf(ctx, h.ID)
	return err == nil && now != nil && now.Expunging && now.State.Nonce == h.State.Nonce, err
}

func (db *DB) expungeVersions(ctx context.Context, h *headDoc) error {
	var refs []versionRef
	if err := db.findAll(ctx, versions, allVersions(h.ID), bson.M{"c": 1}, &refs); err != nil || len(refs) == 0 {
		return err
	}
	if ok, err := db.stands(ctx, h); err != nil || !ok {
		return err
	}
	return db.dropVersions(ctx, refs)
}

func (db *DB) expungeClaims(ctx context.Context, h *headDoc) error {
	var docs []claimDoc
	if err := db.findAll(ctx, claims, bson.M{"k": h.ID}, nil, &docs); err != nil || len(docs) == 0 {
		return err
	}
	if ok, err := db.stands(ctx, h); err != nil || !ok {
		return err
	}
	return db.dropClaims(ctx, docs)
}

package mongo

import (
	"context"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// checkClaims looks for claims that nobody's head lists.
func (c *checker) checkClaims(ctx context.Context) error {
	return c.each(ctx, claims, nil, func(ctx context.Context, page func(any) error) error {
		var docs []claimDoc
		if err := page(&docs); err != nil || len(docs) == 0 {
			return err
		}
		stale, err := c.staleClaims(ctx, docs)
		if err == nil && len(stale) > 0 {
			// A writer may be between the head and the claim: look again.
			if !c.sleep(ctx, secondLook) {
				return ctx.Err()
			}
			stale, err = c.staleAgain(ctx, stale)
		}
		if err != nil {
			return err
		}
		for _, d := range stale {
			f := store.Finding{Kind: store.FoundStaleClaim, What: "a claim of " + d.Key, Detail: "its head does not list it"}
			do := func(ctx context.Context) (bool, error) { return c.dropStale(ctx, d) }
			if c.kept[d.Key] {
				f.Detail, do = "it has no head", nil
			}
			if err := c.mend(ctx, f, do); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropStale removes a claim that is as it was, also one that names nobody, or no unit.
func (c *checker) dropStale(ctx context.Context, d claimDoc) (gone bool, err error) {
	_, err = c.persist(ctx, "remove a claim of nobody", func(ctx context.Context) error {
		_, err := c.coll(claims).DeleteOne(ctx, bson.M{"_id": d.ID, "k": textOrNone(d.Key), "tx": textOrNone(d.Unit)})
		return err
	})
	if err != nil {
		return false, err
	}
	left, err := c.staleAgain(ctx, []claimDoc{d})
	return err == nil && len(left) == 0, err
}

// textOrNone matches a text that was read from a document; an empty one may not be there.
func textOrNone(s string) any {
	if s == "" {
		return bson.M{"$in": bson.A{nil, ""}}
	}
	return s
}

// staleAgain gives those that are still there as they were, and still stale.
func (c *checker) staleAgain(ctx context.Context, docs []claimDoc) ([]claimDoc, error) {
	var ids []string
	for _, d := range docs {
		ids = append(ids, d.ID)
	}
	var now []claimDoc
	if err := c.findAll(ctx, claims, bson.M{"_id": bson.M{"$in": ids}}, nil, &now); err != nil {
		return nil, err
	}
	now = slices.DeleteFunc(now, func(d claimDoc) bool { return !slices.Contains(docs, d) })
	return c.staleClaims(ctx, now)
}

// staleClaims gives those claims that neither a head nor an intent lists, and no unit
// is about to take.
func (c *checker) staleClaims(ctx context.Context, docs []claimDoc) ([]claimDoc, error) {
	var keys, us []string
	for _, d := range docs {
		keys = append(keys, d.Key)
		us = append(us, d.Unit)
		if d.PreviousKey != "" {
			keys = append(keys, d.PreviousKey)
		}
	}
	slices.Sort(keys)
	status, err := c.statuses(ctx, us)
	if err != nil {
		return nil, err
	}
	hs, err := c.headsOf(ctx, slices.Compact(keys))
	if err != nil {
		return nil, err
	}
	listed := func(key, id string) bool {
		h := hs[key]
		if h == nil || h.Expunging {
			return h != nil
		}
		has := func(s *state) bool { return slices.Contains(claimIDs(s.Claims), id) }
		return has(&h.State) || h.Intent != nil && has(&h.Intent.State)
	}
	return slices.DeleteFunc(slices.Clone(docs), func(d claimDoc) bool {
		return status[d.Unit] == pending || listed(d.Key, d.ID) || d.PreviousKey != "" && listed(d.PreviousKey, d.ID)
	}), nil
}

// checkHeld looks whether a resource holds the claims that its head lists.
func (c *checker) checkHeld(ctx context.Context, h *headDoc, k store.Key, held map[string]claimDoc) error {
	holds := func(d claimDoc) bool { return d.Key == h.ID || d.PreviousKey == h.ID }
	for _, claim := range h.State.Claims {
		if holds(held[claimID(claim)]) {
			continue
		}
		if same, err := c.stillAfter(ctx, h); err != nil || !same {
			return err
		}
		var docs []claimDoc
		if err := c.findAll(ctx, claims, bson.M{"_id": claimID(claim)}, nil, &docs); err != nil {
			return err
		}
		if len(docs) > 0 && holds(docs[0]) {
			continue
		}
		text, _ := decode(claim)
		f := store.Finding{Kind: store.FoundLostClaim, What: k.String(), Detail: fmt.Sprintf("it does not hold the claim that its head lists, %d bytes long", len(text))}
		do := func(ctx context.Context) (bool, error) { return c.takeBack(ctx, h, claim) }
		if len(docs) > 0 {
			f.Detail += "; another holds it"
		}
		if err := c.mend(ctx, f, do); err != nil {
			return err
		}
	}
	return nil
}

// checkTold looks whether a head lists the claims of which its record tells.
func (c *checker) checkTold(ctx context.Context, h *headDoc, k store.Key, newest *store.Record) error {
	if newest == nil || newest.Deleted || c.o.Entries == nil || c.o.Claims == nil {
		return nil
	}
	for _, told := range c.o.Claims(newest) {
		claim := encode(told)
		if slices.Contains(h.State.Claims, claim) {
			continue
		}
		if same, err := c.unchanged(ctx, h); err != nil || !same {
			return err
		}
		f := store.Finding{Kind: store.FoundLostClaim, What: k.String(), Detail: fmt.Sprintf("its head does not list a claim that it makes, %d bytes long", len(told))}
		err := c.mend(ctx, f, func(ctx context.Context) (bool, error) {
			if ok, err := c.takeBack(ctx, h, claim); err != nil || !ok {
				return false, err
			}
			h.State.Claims = slices.Compact(slices.Sorted(slices.Values(append(h.State.Claims, claim))))
			listed := false
			_, err := c.persist(ctx, "mend a head", func(ctx context.Context) error {
				res, err := c.coll(heads).UpdateOne(ctx, h.State.at(h.ID), bson.M{"$set": bson.M{"cl": h.State.Claims}})
				listed = err == nil && res.MatchedCount == 1
				return err
			})
			return listed, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// takeBack gives a head a claim that it lists. Where another lists it too nobody can
// tell whose it is.
func (c *checker) takeBack(ctx context.Context, h *headDoc, claim string) (bool, error) {
	var found []claimDoc
	if err := c.findAll(ctx, claims, bson.M{"_id": claimID(claim)}, nil, &found); err != nil {
		return false, err
	}
	doc := claimDoc{ID: claimID(claim), Key: h.ID, Unit: restoredUnit}
	if len(found) == 0 {
		_, err := c.coll(claims).InsertOne(ctx, doc)
		if isDuplicate(err) {
			return false, nil
		}
		return err == nil, c.explain(err)
	}
	stale, err := c.staleClaims(ctx, found)
	if err != nil || len(stale) == 0 {
		return false, err
	}
	res, err := c.coll(claims).ReplaceOne(ctx, bson.M{"_id": doc.ID, "k": textOrNone(found[0].Key), "tx": textOrNone(found[0].Unit)}, doc)
	return err == nil && res.MatchedCount == 1, c.explain(err)
}

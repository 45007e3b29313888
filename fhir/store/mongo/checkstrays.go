package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// checkStrays looks for versions of which there is no head.
func (c *checker) checkStrays(ctx context.Context) error {
	return c.each(ctx, versions, markFields, func(ctx context.Context, page func(any) error) error {
		var marks []*versionMark
		if err := page(&marks); err != nil || len(marks) == 0 {
			return err
		}
		keys := []string{}
		for _, m := range marks {
			if m.ID != versionID(m.Key, m.Version, m.Nonce) { // what it is of nobody can tell
				name, _ := decode(m.ID)
				c.report(store.Finding{Kind: store.FoundDamaged, What: fmt.Sprintf("version %q", name), Detail: "it is not of the resource under whose name it stands"})
				continue
			}
			keys = append(keys, m.Key)
		}
		slices.Sort(keys)
		keys = slices.Compact(keys)
		hs, err := c.headsOf(ctx, keys)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if hs[key] == nil {
				if err := c.checkStray(ctx, key); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// checkStray judges the versions of a resource that has no head. A complete chain of
// several was acknowledged, but for its last perhaps, and the head is what is lost: an
// expunge removes all of them while the head still stands. A single version is what a
// writer leaves that died before it made the head.
func (c *checker) checkStray(ctx context.Context, key string) error {
	all, err := c.versionsOf(ctx, []string{key})
	if err != nil || len(all[key]) == 0 {
		return err
	}
	marks := all[key]
	if h, err := c.headOf(ctx, key); err != nil || h != nil {
		return err
	}
	f := store.Finding{Kind: store.FoundOrphan, What: key}
	var top *versionMark
	for _, m := range marks {
		f.Young = f.Young || c.young(m.At)
		if _, lost := walk(key, &state{Version: m.Version, Nonce: m.Nonce}, marks); lost == 0 && m.Version > 1 && (top == nil || m.Version > top.Version) {
			top = m
		}
	}
	f.Detail = fmt.Sprintf("no head reaches its %d versions", len(marks))
	if top != nil {
		f.Detail = fmt.Sprintf("its %d versions have no head", len(marks))
		return c.mend(ctx, f, func(ctx context.Context) (bool, error) { return c.adopt(ctx, key, top) })
	}
	return c.mend(ctx, f, func(ctx context.Context) (bool, error) {
		all := true
		for _, id := range sortedIDs(marks) {
			gone, err := c.dropOrphan(ctx, marks[id])
			if err != nil {
				return false, err
			}
			all = all && gone
		}
		return all, nil
	})
}

// adopt makes the head that versions have lost, with the entries of its content and
// the claims that are in its name.
func (c *checker) adopt(ctx context.Context, key string, top *versionMark) (bool, error) {
	k, err := keyFrom(key)
	if err != nil {
		return false, nil //nolint:nilerr // nobody can have written it
	}
	rec, err := c.newest(ctx, k, &state{Version: top.Version, Nonce: top.Nonce})
	if errors.Is(err, store.ErrDamaged) || errors.Is(err, errBroken) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	w := &store.Write{Record: *rec}
	if !rec.Deleted {
		if c.o.Entries == nil {
			return false, nil
		}
		if w.Index, err = c.o.Entries(rec); err != nil {
			return false, nil //nolint:nilerr // it cannot be read
		}
	}
	was := state{Version: rec.Version - 1}
	next := c.stateAfter(&was, w, top.Nonce)
	next.Updated = resource.FormatInstant(rec.LastUpdated)
	var docs []claimDoc
	if err := c.findAll(ctx, claims, bson.M{"k": key}, nil, &docs); err != nil {
		return false, err
	}
	for _, d := range docs {
		if !rec.Deleted && len(d.ID) <= longClaim {
			next.Claims = append(next.Claims, d.ID)
		}
	}
	slices.Sort(next.Claims)
	_, err = c.coll(heads).InsertOne(ctx, newHead(k, next))
	if isDuplicate(err) {
		return false, nil
	}
	return err == nil, c.explain(err)
}

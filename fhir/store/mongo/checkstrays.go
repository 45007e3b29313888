package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

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
				err := c.checkStray(ctx, key)
				if errors.Is(err, store.ErrDamaged) {
					c.report(store.Finding{Kind: store.FoundDamaged, What: key, Detail: err.Error()})
				} else if err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// checkStray judges the versions of a resource that has no head, or one that says
// nothing: see remainsOf.
func (c *checker) checkStray(ctx context.Context, key string) error {
	all, err := c.marksOf(ctx, []string{key})
	if err != nil || len(all[key]) == 0 {
		return err
	}
	marks := all[key]
	h, err := c.headOf(ctx, key) // after them: who has made the resource since has a head now
	if err != nil || !h.headless() || h != nil && h.Intent != nil {
		return err
	}
	return c.judge(ctx, key, h, marks)
}

// judge says what becomes of versions that no head reaches. was is what stands in its place.
func (c *checker) judge(ctx context.Context, key string, was *headDoc, marks map[string]*versionMark) error {
	f := store.Finding{Kind: store.FoundOrphan, What: key}
	for _, m := range marks {
		f.Young = f.Young || c.young(m.At)
	}
	r := remainsOf(key, marks)
	if r.lost && !c.o.Unfinished {
		f.Kind, f.Young = store.FoundLostHead, false // nobody is at work on what was acknowledged
	}
	if r.kept() || c.o.Unfinished {
		c.kept[key] = true
	}
	var do func(context.Context) (bool, error)
	switch {
	case c.o.Unfinished:
		f.Detail = fmt.Sprintf("no head reaches its %d versions; the next run of the copy sees to them", len(marks))
	case r.newest != nil:
		f.Detail = fmt.Sprintf("its %d versions have no head%s", len(marks), insteadOf(was))
		do = func(ctx context.Context) (bool, error) { return c.adopt(ctx, key, was, r.newest, marks) }
	case r.lost:
		f.Detail = fmt.Sprintf("its %d versions have no head%s, and which was the newest nobody can tell", len(marks), insteadOf(was))
	case r.unread:
		f.Kind, f.Detail = store.FoundDamaged, "it has no head, and a version that cannot be read"
	case r.unsaid:
		f.Detail = "it has no head, and an earlier program wrote its first version: whether its head is lost, or its writer died, nobody can tell. Write the resource anew, then repair"
	default:
		f.Detail = fmt.Sprintf("no head reaches its %d versions", len(marks))
		do = func(ctx context.Context) (bool, error) { return c.dropAll(ctx, marks) }
	}
	return c.mend(ctx, f, do)
}

// insteadOf says what stands where a head should, if that is worth a word.
func insteadOf(was *headDoc) string {
	if was != nil && was.foreign() {
		return ": in its place stands one that names another resource"
	}
	return ""
}

func (c *checker) dropAll(ctx context.Context, marks map[string]*versionMark) (all bool, err error) {
	all = true
	for _, id := range sortedIDs(marks) {
		gone, err := c.dropOrphan(ctx, marks[id])
		if err != nil {
			return false, err
		}
		all = all && gone
	}
	return all, nil
}

// adopt makes the head that versions have lost, with the entries of its content and
// the claims that are in its name. was is what stands in its place, nil for nothing.
func (c *checker) adopt(ctx context.Context, key string, was *headDoc, top *versionMark, marks map[string]*versionMark) (bool, error) {
	h, err := c.headFor(ctx, key, top)
	if err != nil || h == nil {
		return false, err
	}
	done := false
	if was == nil {
		_, err = c.coll(heads).InsertOne(ctx, h)
		if isDuplicate(err) {
			return false, nil
		}
		done = err == nil
	} else {
		var res *driver.UpdateResult
		if res, err = c.coll(heads).ReplaceOne(ctx, was.State.at(key), h); err == nil {
			done = res.MatchedCount == 1
		}
	}
	if err != nil || !done {
		return false, c.explain(err)
	}
	delete(c.kept, key)
	chain, _ := walk(key, &h.State, marks)
	_, err = c.vouchFor(ctx, chain[len(chain)-1:])
	return true, err
}

// headFor makes the head whose newest version is known, nil if that cannot be read.
func (c *checker) headFor(ctx context.Context, key string, top *versionMark) (*headDoc, error) {
	k, err := keyFrom(key)
	if err != nil {
		return nil, nil //nolint:nilerr // nobody can have written it
	}
	rec, err := c.newest(ctx, k, &state{Version: top.Version, Nonce: top.Nonce})
	if errors.Is(err, store.ErrDamaged) || errors.Is(err, errBroken) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	w := &store.Write{Record: *rec}
	if !rec.Deleted {
		if c.o.Entries == nil {
			return nil, nil
		}
		if w.Index, err = c.o.Entries(rec); err != nil {
			return nil, nil //nolint:nilerr // it cannot be read
		}
	}
	was := state{Version: rec.Version - 1}
	next := c.stateAfter(&was, w, top.Nonce)
	next.Updated = resource.FormatInstant(rec.LastUpdated)
	var docs []claimDoc
	if err := c.findAll(ctx, claims, bson.M{"k": key}, nil, &docs); err != nil {
		return nil, err
	}
	for _, d := range docs {
		if !rec.Deleted && len(d.ID) <= longClaim {
			next.Claims = append(next.Claims, d.ID)
		}
	}
	slices.Sort(next.Claims)
	return newHead(k, next), nil
}

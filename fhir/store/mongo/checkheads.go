package mongo

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// checkHeads looks at each resource: what stands on its head, its chain of versions,
// its entries, its claims.
func (c *checker) checkHeads(ctx context.Context) error {
	return c.each(ctx, heads, nil, func(ctx context.Context, page func(any) error) error {
		var hs []*headDoc
		if err := page(&hs); err != nil || len(hs) == 0 {
			return err
		}
		keys := make([]string, len(hs))
		for i, h := range hs {
			keys[i] = h.ID
		}
		marks, err := c.marksOf(ctx, keys)
		if err != nil {
			return err
		}
		p := &headPage{marks: marks, held: map[string]claimDoc{}}
		if err := c.prefetch(ctx, p, hs); err != nil {
			return err
		}
		for _, h := range hs {
			switch err := c.checkHead(ctx, h, p); {
			case errors.Is(err, store.ErrDamaged): // what belongs to it cannot be read
				c.report(store.Finding{Kind: store.FoundDamaged, What: h.ID, Detail: err.Error()})
			case err != nil:
				return err
			}
		}
		c.looked(len(hs))
		if c.o.Repair {
			_, err = c.vouchFor(ctx, p.seen)
		}
		return err
	})
}

// A headPage is what is read together for the heads of a page. What it says is looked
// at again before anything is found wrong.
type headPage struct {
	marks    map[string]map[string]*versionMark
	held     map[string]claimDoc // claims that the heads list, by id
	contents *versionReader      // of the chains of those heads on which nothing stands
	seen     []string            // first versions that a head reaches, and of which nobody has said so
}

func (c *checker) prefetch(ctx context.Context, p *headPage, hs []*headDoc) error {
	var ids, plan []string
	for _, h := range hs {
		ids = append(ids, claimIDs(h.State.Claims)...)
		if h.Intent == nil && !h.Expunging {
			chain, _ := walk(h.ID, &h.State, p.marks[h.ID])
			plan = append(plan, chain...)
		}
	}
	p.contents = &versionReader{db: c.DB, plan: plan, loaded: map[string]*versionDoc{}, atOnce: 32}
	if len(ids) == 0 {
		return nil
	}
	var docs []claimDoc
	err := c.findAll(ctx, claims, bson.M{"_id": bson.M{"$in": ids}}, nil, &docs)
	if errors.Is(err, store.ErrDamaged) {
		return nil // each head looks at its own again
	}
	for _, d := range docs {
		p.held[d.ID] = d
	}
	return err
}

// checkHead looks at one resource.
func (c *checker) checkHead(ctx context.Context, read *headDoc, p *headPage) error {
	marks, contents := p.marks[read.ID], p.contents
	h, err := c.checkStanding(ctx, read, marks)
	if err != nil || h == nil {
		return err
	}
	if read.Intent != nil || read.Expunging { // what it was to be may be an orphan now
		all, err := c.marksOf(ctx, []string{h.ID})
		if err != nil {
			return err
		}
		marks, contents = all[h.ID], nil
	}
	k, err := h.resource()
	if err != nil {
		c.report(store.Finding{Kind: store.FoundDamaged, What: fmt.Sprintf("head %q", h.ID), Detail: "its name is no key of a resource"})
		return nil
	}
	switch {
	case h.Gone > 0 && h.headless():
		return c.checkStray(ctx, h.ID)
	case h.State.Version == 0 && h.Gone > 0:
		return c.checkOrphans(ctx, h, k, nil, 0, marks)
	case h.State.Version == 0:
		return c.checkUnborn(ctx, h, k)
	}
	chain, lost := walk(h.ID, &h.State, marks)
	if lost == h.State.Version {
		named, err := c.checkName(ctx, h, k, marks)
		if err != nil {
			return err
		}
		if named != nil { // the rest is as if it said so
			h.State.Nonce = named.Nonce
			chain, lost = walk(h.ID, &h.State, marks)
			contents = nil
		}
	}
	if lost == 0 {
		if first := marks[chain[len(chain)-1]]; first.Stood != stood {
			p.seen = append(p.seen, first.ID)
		}
	} else if n := len(chain); n == 0 || !marks[chain[n-1]].Unread { // what that follows nobody can tell
		if same, err := c.unchanged(ctx, h); err != nil || !same {
			return err // expunged or written meanwhile
		}
		if h.foreign() && lost == h.State.Version && remainsOf(h.ID, marks).lost {
			return c.judge(ctx, h.ID, h, marks)
		}
		c.report(store.Finding{Kind: store.FoundLostVersion, What: k.String(), Detail: lostText(lost, h.State.Version, marks)})
	}
	if err := c.checkOrphans(ctx, h, k, chain, lost, marks); err != nil {
		return err
	}
	if contents == nil {
		contents = &versionReader{db: c.DB, plan: chain, loaded: map[string]*versionDoc{}, atOnce: 32}
	}
	newest, err := c.checkContent(ctx, h, k, chain, marks, contents)
	if err != nil {
		return err
	}
	if err := c.checkState(ctx, h, k, newest); err != nil {
		return err
	}
	if err := c.checkHeld(ctx, h, k, p.held); err != nil {
		return err
	}
	return c.checkTold(ctx, h, k, newest)
}

// checkUnborn looks at a head that has no version, and does not say since when there is
// nothing: its first writer has died, unless an intent stands on it.
func (c *checker) checkUnborn(ctx context.Context, h *headDoc, k store.Key) error {
	if h.Intent != nil {
		return nil
	}
	return c.mend(ctx, store.Finding{Kind: store.FoundOrphan, What: k.String(), Detail: "a head without a version"}, func(ctx context.Context) (bool, error) {
		res, err := c.coll(heads).DeleteOne(ctx, bson.M{"_id": h.ID, "v": int64(0), "x": bson.M{"$exists": false}, "e": bson.M{"$exists": false}, "g": bson.M{"$exists": false}})
		return err == nil && res.DeletedCount == 1, err
	})
}

// checkStanding looks at what stands on a head: an intent whose unit is decided, or
// whose writer is gone; an expunge that was interrupted. Whoever meets one may end
// it. It returns the head to go on with, nil for none.
func (c *checker) checkStanding(ctx context.Context, h *headDoc, marks map[string]*versionMark) (*headDoc, error) {
	f := store.Finding{Kind: store.FoundStaleIntent, What: h.ID}
	switch {
	case h.foreign() && (h.Expunging || h.Intent != nil): // what is begun is begun for another
		name, _ := decode(h.ID)
		c.report(store.Finding{Kind: store.FoundDamaged, What: fmt.Sprintf("head %q", name), Detail: "it names another resource, and something stands on it"})
		return nil, nil
	case h.Expunging:
		f.Detail = "its expunge was begun and not ended"
	case h.Intent != nil:
		if open, err := c.isOpen(ctx, h.Intent.Unit); err != nil || open {
			return h, err // see checkUnits
		}
		if m := marks[versionID(h.ID, h.Intent.State.Version, h.Intent.State.Nonce)]; m != nil {
			f.Young = c.young(m.At)
		}
		f.Detail = "an intent stands on it and nobody ends it"
	default:
		return h, nil
	}
	if same, err := c.stillAfter(ctx, h); err != nil || !same {
		return nil, err
	}
	err := c.mend(ctx, f, func(ctx context.Context) (bool, error) {
		if err := c.settle(ctx, h); err != nil {
			return false, err
		}
		stands, err := c.unchanged(ctx, h)
		return err == nil && !stands, err
	})
	switch {
	case err != nil:
		return nil, err
	case c.o.Repair && !f.Young:
		return c.headOf(ctx, h.ID)
	case h.Expunging:
		return nil, nil
	}
	return h, nil
}

// isOpen says whether there is a unit document that says that intents may stand.
func (c *checker) isOpen(ctx context.Context, unit string) (bool, error) {
	var docs []unitDoc
	err := c.findAll(ctx, units, bson.M{"_id": unit, "o": true}, bson.M{"s": 1}, &docs)
	return len(docs) > 0, err
}

// stillAfter looks at a head again after a while.
func (c *checker) stillAfter(ctx context.Context, h *headDoc) (bool, error) {
	if !c.sleep(ctx, secondLook) {
		return false, ctx.Err()
	}
	return c.unchanged(ctx, h)
}

// unchanged says whether a head is still as it was read.
func (c *checker) unchanged(ctx context.Context, h *headDoc) (bool, error) {
	now, err := c.headOf(ctx, h.ID)
	if err != nil || now == nil {
		return false, err
	}
	unit := func(h *headDoc) string {
		if h.Intent == nil {
			return ""
		}
		return h.Intent.Unit
	}
	return now.State.Nonce == h.State.Nonce && now.State.Version == h.State.Version && now.Expunging == h.Expunging && unit(now) == unit(h), nil
}

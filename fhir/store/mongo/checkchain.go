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

func lostText(lost, newest int64, marks map[string]*versionMark) string {
	below := int64(0)
	for _, m := range marks {
		if m.Version < lost {
			below = max(below, m.Version)
		}
	}
	switch {
	case lost == newest:
		return fmt.Sprintf("it has no version %d, which its head names; the newest below it is %d", lost, below)
	case below == lost-1:
		return fmt.Sprintf("it has no version %d", lost)
	}
	return fmt.Sprintf("it has no versions %d to %d", below+1, lost)
}

// checkName judges a head that names a newest version that is not there. If exactly one
// of that number is, whole and with all before it, made when the head says, then it is the
// name on the head that is damaged: a writer that lost its compare-and-set would have
// left one of another moment, or the one that won would be there as well. It returns the
// version, if the head has been given its name.
func (c *checker) checkName(ctx context.Context, h *headDoc, k store.Key, marks map[string]*versionMark) (*versionMark, error) {
	var one *versionMark
	for _, m := range marks {
		if m.Version != h.State.Version {
			continue
		}
		if one != nil {
			return nil, nil
		}
		one = m
	}
	if one == nil {
		return nil, nil
	}
	named := state{Version: one.Version, Nonce: one.Nonce}
	if _, lost := walk(h.ID, &named, marks); lost > 0 {
		return nil, nil
	}
	rec, err := c.newest(ctx, k, &named)
	if errors.Is(err, store.ErrDamaged) || errors.Is(err, errBroken) {
		return nil, nil
	}
	if err != nil || resource.FormatInstant(rec.LastUpdated) != h.State.Updated || rec.Deleted != h.State.Deleted {
		return nil, err
	}
	if same, err := c.unchanged(ctx, h); err != nil || !same {
		return nil, err
	}
	f := store.Finding{Kind: store.FoundHeadDrift, What: k.String(), Detail: fmt.Sprintf("its head names a version %d that is not there, and another fits it", h.State.Version)}
	done := false
	err = c.mend(ctx, f, func(ctx context.Context) (bool, error) {
		_, err := c.persist(ctx, "mend a head", func(ctx context.Context) error {
			res, err := c.coll(heads).UpdateOne(ctx, h.State.at(h.ID), bson.M{"$set": bson.M{"n": one.Nonce}})
			done = err == nil && res.MatchedCount == 1
			return err
		})
		return done, err
	})
	if err != nil {
		return nil, err
	}
	return one, nil
}

// checkOrphans looks for versions of a resource that its head does not reach. Below a
// version that is lost nobody can tell, and all are kept; so is another of its number,
// as it may be the name on the head that is wrong.
func (c *checker) checkOrphans(ctx context.Context, h *headDoc, k store.Key, chain []string, lost int64, marks map[string]*versionMark) error {
	reached := map[string]bool{}
	for _, id := range chain {
		reached[id] = true
	}
	if h.Intent != nil {
		reached[versionID(h.ID, h.Intent.State.Version, h.Intent.State.Nonce)] = true
	}
	for _, id := range sortedIDs(marks) {
		m := marks[id]
		if reached[id] || m.Version <= lost || m.Unread {
			continue
		}
		f := store.Finding{Kind: store.FoundOrphan, What: k.String(), Detail: fmt.Sprintf("no head reaches a version %d of it", m.Version), Young: c.young(m.At)}
		if m.Version == 1 && m.Stood == stood && !h.expunged() {
			f.Detail = "its head has lost what it was before, and was made anew: it does not reach a first version that was acknowledged"
		}
		if same, err := c.unchanged(ctx, h); err != nil || !same {
			return err // the next check will see
		}
		if err := c.mend(ctx, f, func(ctx context.Context) (bool, error) { return c.dropOrphan(ctx, m) }); err != nil {
			return err
		}
	}
	return nil
}

func sortedIDs(marks map[string]*versionMark) []string {
	var ids []string
	for id := range marks {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// dropOrphan removes a version, unless the sweep's own judgement is another.
func (c *checker) dropOrphan(ctx context.Context, m *versionMark) (bool, error) {
	h, err := c.headOf(ctx, m.Key)
	if err != nil {
		return false, err
	}
	x, err := c.reachBy(ctx, m.Key, h, []suspect{{Ref: m.ref(), Key: m.Key, Version: m.Version, Nonce: m.Nonce, At: m.At, Stood: m.Stood}})
	if err != nil || len(x.orphans) == 0 {
		return false, err
	}
	if err := c.dropOrphans(ctx, x.orphans); err != nil {
		return false, err
	}
	there, err := c.hasVersion(ctx, m.ID)
	return err == nil && !there, err
}

// checkContent reads what a head reaches and compares it with its checksums. It
// returns the newest version, nil if that is damaged or gone.
func (c *checker) checkContent(ctx context.Context, h *headDoc, k store.Key, chain []string, marks map[string]*versionMark, r *versionReader) (newest *store.Record, err error) {
	for i, id := range chain {
		if m := marks[id]; m != nil && m.Unread {
			continue // see checkStrays
		}
		doc, err := r.next(ctx, id)
		var rec *store.Record
		if err == nil {
			rec, err = c.record(ctx, k, doc)
		}
		if errors.Is(err, store.ErrDamaged) {
			same, again := c.unchanged(ctx, h)
			if again != nil || !same {
				return nil, again // expunged meanwhile
			}
			f := store.Finding{Kind: store.FoundDamaged, What: k.String(), Detail: fmt.Sprintf("its version %d is not what was written", h.State.Version-int64(i))}
			if form := (*bson.DecodeError)(nil); errors.As(err, &form) {
				name, _ := decode(id)
				f.What, f.Detail = fmt.Sprintf("version %q", name), "it cannot be read: "+form.Error()
			}
			c.report(f)
			continue
		}
		if err != nil {
			return nil, err
		}
		if i == 0 && rec.Version == h.State.Version {
			newest = rec
		}
	}
	return newest, nil
}

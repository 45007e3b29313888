package mongo

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store"
)

// renewals is how many times a unit makes drafts anew of heads that others change,
// before it begins again as a whole. Each time fewer are left, and takes less time.
const renewals = 100

// patienceMore is how many times longer than unitPatience, at most, a writer waits for
// a unit that had to begin again so often. It bounds how long others stand still when
// the process of such a unit dies.
const patienceMore = 4

// propose puts the intents of a unit on all its heads. Where a head is another by then
// than the draft found, the draft is made anew while the intents on the other heads
// stand: writers who meet those wait, so that they cannot keep a large unit from coming
// to an end. A unit of one head holds nothing meanwhile, and begins again; so does one
// that meets a unit which goes first. The error is then errLost.
func (db *DB) propose(ctx context.Context, unit string, lost int, ds []*draft) error {
	left := ds
	for range renewals {
		all, err := db.putIntents(ctx, unit, left)
		if err != nil || all {
			return err
		}
		hs, err := db.headsOf(ctx, keysOf(left))
		if err != nil {
			return err
		}
		// Some may have been put by a try whose answer was lost.
		left = slices.DeleteFunc(slices.Clone(left), func(d *draft) bool {
			h := hs[d.key]
			return h != nil && h.Intent != nil && h.Intent.Unit == unit
		})
		if len(left) == 0 {
			return nil
		}
		if isSolo(unit) {
			return errLost
		}
		if err := db.renew(ctx, unit, lost, left, hs); err != nil {
			return err
		}
	}
	return errLost
}

func keysOf(ds []*draft) []string {
	keys := make([]string, len(ds))
	for i, d := range ds {
		keys[i] = d.key
	}
	return keys
}

// putIntents puts intents on heads that are as the drafts found them, and says whether
// all were. Heads that are made and heads that are there are different documents: both
// are written at once.
func (db *DB) putIntents(ctx context.Context, unit string, ds []*draft) (all bool, err error) {
	var (
		made    []*headDoc
		updates []driver.WriteModel
		missed  atomic.Bool
	)
	for _, d := range ds {
		x := &intent{Unit: unit, State: d.next}
		if !d.there {
			h := newHead(d.write.Key, nothing())
			h.Intent, h.IntentType = x, h.Type
			made = append(made, h)
			continue
		}
		updates = append(updates, driver.NewUpdateOneModel().SetFilter(d.was.at(d.key)).
			SetUpdate(bson.M{"$set": bson.M{"x": x, "xt": encode(d.write.Type)}}))
	}
	inserted := make(chan error, 1)
	go func() {
		inserted <- abreast(made, writtenTogether, func(part []*headDoc) error { return db.makeHeads(ctx, part, &missed) })
	}()
	err = abreast(updates, writtenTogether, func(part []driver.WriteModel) error { return db.updateHeads(ctx, part, &missed) })
	err = errors.Join(err, <-inserted)
	return err == nil && !missed.Load(), err
}

// makeHeads inserts heads with intents; missed says that one is there already.
func (db *DB) makeHeads(ctx context.Context, made []*headDoc, missed *atomic.Bool) error {
	var there []int
	_, err := db.persist(ctx, "put intents", func(ctx context.Context) (err error) {
		there, err = db.insertMany(ctx, heads, made)
		return err
	})
	if len(there) > 0 {
		missed.Store(true)
	}
	return err
}

// updateHeads puts intents on heads; missed says that one is another by now.
func (db *DB) updateHeads(ctx context.Context, updates []driver.WriteModel, missed *atomic.Bool) error {
	matched := 0
	_, err := db.persist(ctx, "put intents", func(ctx context.Context) error {
		res, err := db.coll(heads).BulkWrite(ctx, updates, options.BulkWrite().SetOrdered(false))
		if err == nil {
			matched = int(res.MatchedCount)
		}
		return err
	})
	if matched < len(updates) {
		missed.Store(true)
	}
	return err
}

// renew makes the drafts of a unit anew whose heads have become others, and writes their
// versions. What bears on claims is not made anew: they were taken by what the heads
// listed before.
func (db *DB) renew(ctx context.Context, unit string, lost int, left []*draft, hs map[string]*headDoc) error {
	status, err := db.statusOf(ctx, unit, "")
	if err != nil {
		return err
	}
	if status != pending {
		return errLost // who waited for it was patient long enough
	}
	met := false
	for _, d := range left {
		switch h := hs[d.key]; {
		case h == nil:
		case h.Expunging:
			return errLost
		case h.Intent != nil:
			met = true
			if err := db.overtake(ctx, unit, lost, h); err != nil {
				return err
			}
		}
	}
	if met {
		return nil // look again
	}
	docs := make([]*versionDoc, len(left))
	for i, d := range left {
		// Each has a name of its own: in a chain no name comes twice.
		next, err := db.newDraft(d.write, hs[d.key], newNonce())
		if err != nil {
			return &store.WriteError{Index: d.index, Key: d.write.Key, Err: err}
		}
		if !slices.Equal(next.was.Claims, d.was.Claims) {
			return errLost
		}
		next.index, next.drop, next.past = d.index, d.drop, append(d.past, d.doc.ref())
		*d, docs[i] = *next, next.doc
	}
	return db.putVersions(ctx, docs)
}

// overtake puts an end to what another has put on a head that a unit needs, or says that
// the other goes first.
func (db *DB) overtake(ctx context.Context, unit string, lost int, h *headDoc) error {
	other := h.Intent.Unit
	if !isSolo(other) {
		status, its, err := db.standingOf(ctx, other, h.ID)
		if err != nil {
			return err
		}
		if status == pending && !outranks(lost, unit, its, other) {
			return errLost
		}
	}
	if err := db.abortUnit(ctx, other, h.ID); err != nil {
		return err
	}
	return db.settle(ctx, h)
}

// outranks says which of two units that want the same heads goes first: the one whose
// writer had to begin again more often, else one of the two whatever they do. So of all
// that meet there is always one that nobody undoes.
func outranks(lost int, unit string, its int, other string) bool {
	if lost != its {
		return lost > its
	}
	return unit < other
}

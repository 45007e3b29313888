package mongo

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store"
)

// longClaim is from where on the id of a claim is cut: indexes have bounds.
const longClaim = 512

// claimID is the id of a claim's document, of the claim as heads have it.
func claimID(encoded string) string {
	if len(encoded) <= longClaim {
		return encoded
	}
	cut := longClaim
	for encoded[cut]&0xc0 == 0x80 { // not inside a character
		cut--
	}
	return fmt.Sprintf("%s…%x", encoded[:cut], sha256.Sum256([]byte(encoded)))
}

func claimIDs(encoded []string) []string {
	ids := make([]string, len(encoded))
	for i, c := range encoded {
		ids[i] = claimID(c)
	}
	return ids
}

// except gives what is in a and not in b, both sorted.
func except(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool {
		_, in := slices.BinarySearch(b, s)
		return in
	})
}

// A busyError says that a unit which is not decided stands in the way. The writer
// must let go of what it has before it waits, else two could wait for each other.
type busyError struct{ unit, key string }

func (e *busyError) Error() string { return "a unit of work on " + e.key + " is under way" }

// takeClaims takes all claims that the drafts' heads do not list yet, in the name of
// a pending unit.
func (db *DB) takeClaims(ctx context.Context, unit string, ds []*draft) error {
	wants := wanted(unit, ds)
	if len(wants) == 0 {
		return nil
	}
	docs := make([]claimDoc, len(wants))
	for i, w := range wants {
		docs[i] = w.doc
	}
	var taken []int
	_, err := db.persist(ctx, "take claims", func(ctx context.Context) (err error) {
		taken, err = db.insertMany(ctx, claims, docs)
		return err
	})
	if err != nil {
		return err
	}
	// The first in the caller's order is the one to be told.
	slices.SortFunc(taken, func(i, j int) int { return wants[i].draft.index - wants[j].draft.index })
	for _, i := range taken {
		if err := db.takeOver(ctx, &wants[i], ds); err != nil {
			return err
		}
	}
	return nil
}

// A want is a claim that a draft takes.
type want struct {
	doc   claimDoc
	claim string // encoded
	draft *draft
}

// wanted lists what is to be taken, in order of id. Where two drafts take the same,
// the later in the caller's order finds the earlier one's document.
func wanted(unit string, ds []*draft) []want {
	var out []want
	for _, d := range ds {
		for _, c := range except(d.next.Claims, d.was.Claims) {
			out = append(out, want{claimDoc{ID: claimID(c), Key: d.key, Unit: unit}, c, d})
		}
	}
	slices.SortFunc(out, func(a, b want) int {
		return cmp.Or(strings.Compare(a.doc.ID, b.doc.ID), a.draft.index-b.draft.index)
	})
	return out
}

// takeOver takes a claim that has a document already, if that does not count.
func (db *DB) takeOver(ctx context.Context, w *want, ds []*draft) error {
	for {
		var found []claimDoc
		if err := db.findAll(ctx, claims, bson.M{"_id": w.doc.ID}, nil, &found); err != nil {
			return err
		}
		won := false
		if len(found) == 0 { // given up meanwhile
			_, err := db.persist(ctx, "take a claim", func(ctx context.Context) error {
				_, err := db.coll(claims).InsertOne(ctx, w.doc)
				won = err == nil
				if isDuplicate(err) {
					err = nil
				}
				return err
			})
			if err != nil || won {
				return err
			}
			continue
		}
		old := found[0]
		if old.Unit == w.doc.Unit && old.Key == w.doc.Key {
			return nil // mine, after a lost answer
		}
		next, err := db.judge(ctx, w, &old, ds)
		if err != nil {
			return err
		}
		won, err = db.swapClaim(ctx, &old, next)
		if err != nil || won {
			return err
		}
	}
}

// judge says whether a claim's document counts for another than the draft that wants
// it, and if not, what is to stand in its place.
func (db *DB) judge(ctx context.Context, w *want, old *claimDoc, ds []*draft) (*claimDoc, error) {
	if old.Unit == w.doc.Unit { // another of the same unit takes it too
		return nil, &claimTaken{w, old.Key}
	}
	status, err := db.statusOf(ctx, old.Unit, old.Key)
	if err != nil {
		return nil, err
	}
	if status == pending {
		return nil, &busyError{old.Unit, old.Key}
	}
	next := w.doc
	for _, holder := range []claimHold{{old.Key, old.Unit}, {old.PreviousKey, old.PreviousUnit}} {
		if holder.key == "" || holder.key == w.draft.key {
			continue // mine to take: the head does not list it
		}
		i := slices.IndexFunc(ds, func(d *draft) bool { return d.key == holder.key })
		switch {
		case i >= 0 && slices.Contains(ds[i].next.Claims, w.claim):
			return nil, &claimTaken{w, holder.key}
		case i >= 0 && slices.Contains(ds[i].was.Claims, w.claim): // passed on inside the unit
			next.PreviousKey, next.PreviousUnit = holder.key, holder.unit
			continue
		}
		h, err := db.current(ctx, holder.key)
		switch {
		case err != nil:
			return nil, err
		case h == nil || !slices.Contains(h.State.Claims, w.claim):
		case i >= 0: // taken since its draft was made
			return nil, errLost
		default:
			return nil, &claimTaken{w, holder.key}
		}
	}
	return &next, nil
}

type claimHold struct{ key, unit string }

// A claimTaken says who holds a claim that a draft wants.
type claimTaken struct {
	want   *want
	holder string // keyOf
}

func (e *claimTaken) Error() string { return e.want.claim + " is held by " + e.holder }

// public gives the error that the caller of a write gets.
func (e *claimTaken) public() error {
	claim, _ := decode(e.want.claim)
	typ, id, _ := strings.Cut(e.holder, "/")
	return &store.ClaimError{Claim: claim, Holder: store.Key{Type: typ, ID: id}}
}

// returnClaims gives back what an aborted unit has taken.
func (db *DB) returnClaims(ctx context.Context, unit string, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	var docs []claimDoc
	if err := db.findAll(ctx, claims, bson.M{"_id": bson.M{"$in": ids}}, nil, &docs); err != nil {
		return err
	}
	return db.mendClaims(ctx, slices.DeleteFunc(docs, func(c claimDoc) bool { return c.Unit != unit }))
}

// mendClaims removes claims, as they were read from the store, that count for nobody:
// of units that came to nothing, and of writers that died before they gave up what
// their heads list no more. One that a unit had taken from another of its members
// goes back to it. What a pending unit has taken stays.
func (db *DB) mendClaims(ctx context.Context, docs []claimDoc) error {
	var keys []string
	for _, c := range docs {
		keys = append(keys, c.Key)
		if c.PreviousKey != "" {
			keys = append(keys, c.PreviousKey)
		}
	}
	listed, err := db.listed(ctx, keys)
	if err != nil {
		return err
	}
	var gone []claimDoc
	for _, c := range docs {
		switch {
		case listed[c.Key][c.ID]:
		case listed[c.PreviousKey][c.ID]:
			back := claimDoc{ID: c.ID, Key: c.PreviousKey, Unit: c.PreviousUnit}
			if _, err := db.swapClaim(ctx, &c, &back); err != nil {
				return err
			}
		default:
			gone = append(gone, c)
		}
	}
	return db.dropClaims(ctx, gone)
}

// listed gives the ids of the claims that heads list, by key.
func (db *DB) listed(ctx context.Context, keys []string) (map[string]map[string]bool, error) {
	slices.Sort(keys)
	hs, err := db.headsOf(ctx, slices.Compact(keys))
	if err != nil {
		return nil, err
	}
	if err := db.resolve(ctx, slices.Collect(maps.Values(hs))); err != nil {
		return nil, err
	}
	out := make(map[string]map[string]bool, len(hs))
	for key, h := range hs {
		out[key] = map[string]bool{}
		for _, id := range claimIDs(h.State.Claims) {
			out[key][id] = true
		}
	}
	return out, nil
}

// swapClaim replaces a claim's document if it is as it was read.
func (db *DB) swapClaim(ctx context.Context, old, next *claimDoc) (won bool, err error) {
	_, err = db.persist(ctx, "take a claim over", func(ctx context.Context) error {
		res, err := db.coll(claims).ReplaceOne(ctx, bson.M{"_id": old.ID, "k": old.Key, "tx": old.Unit}, next)
		won = err == nil && res.MatchedCount == 1
		return err
	})
	return won, err
}

// sweepClaims mends the claims of resources that were written some time ago.
func (db *DB) sweepClaims(ctx context.Context, keys []string) error {
	var docs []claimDoc
	if err := db.findAll(ctx, claims, bson.M{"k": bson.M{"$in": keys}}, nil, &docs); err != nil || len(docs) == 0 {
		return err
	}
	ids := make([]string, 0, len(docs))
	for _, c := range docs {
		ids = append(ids, c.Unit)
	}
	status, err := db.statuses(ctx, ids)
	if err != nil {
		return err
	}
	hs, err := db.headsOf(ctx, keys)
	if err != nil {
		return err
	}
	for _, h := range hs {
		if h.Intent != nil && isSolo(h.Intent.Unit) {
			status[h.Intent.Unit] = pending
		}
	}
	kept, err := db.keptOf(ctx, docs, hs)
	if err != nil {
		return err
	}
	open := slices.DeleteFunc(docs, func(c claimDoc) bool { return status[c.Unit] == pending || kept[c.Key] })
	return db.mendClaims(ctx, open)
}

// keptOf gives those holders of claims whose head may be what is lost: it listed them.
func (db *DB) keptOf(ctx context.Context, docs []claimDoc, hs map[string]*headDoc) (map[string]bool, error) {
	var keys []string
	for _, c := range docs {
		if hs[c.Key].headless() && !slices.Contains(keys, c.Key) {
			keys = append(keys, c.Key)
		}
	}
	return db.kept(ctx, keys)
}

// givenUp reads the documents of claims that drafts give up, as they are before:
// only those may be removed afterwards.
func (db *DB) givenUp(ctx context.Context, ds []*draft) ([]claimDoc, error) {
	var ids []string
	holder := map[string]string{}
	for _, d := range ds {
		for _, id := range claimIDs(except(d.was.Claims, d.next.Claims)) {
			ids = append(ids, id)
			holder[id] = d.key
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	var docs []claimDoc
	if err := db.findAll(ctx, claims, bson.M{"_id": bson.M{"$in": ids}}, nil, &docs); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(docs, func(c claimDoc) bool { return holder[c.ID] != c.Key }), nil
}

// dropClaims removes claims that are as they were.
func (db *DB) dropClaims(ctx context.Context, docs []claimDoc) error {
	if len(docs) == 0 {
		return nil
	}
	slices.SortFunc(docs, func(a, b claimDoc) int { return strings.Compare(a.ID, b.ID) })
	models := make([]driver.WriteModel, len(docs))
	for i, c := range docs {
		models[i] = driver.NewDeleteOneModel().SetFilter(bson.M{"_id": c.ID, "k": c.Key, "tx": c.Unit})
	}
	_, err := db.persist(ctx, "give up claims", func(ctx context.Context) error {
		_, err := db.coll(claims).BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
		return err
	})
	return err
}

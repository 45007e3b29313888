package mongo

import (
	"context"
	"errors"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store"
)

// draftAll reads the heads of all writes and compares them with what is expected, in
// the caller's order. The drafts are in order of key: writers that meet do so in the
// same order.
func (db *DB) draftAll(ctx context.Context, ws []store.Write, nonce string) ([]*draft, error) {
	keys := make([]string, len(ws))
	for i := range ws {
		keys[i] = keyOf(ws[i].Key)
	}
	slices.Sort(keys)
	hs, err := db.settled(ctx, keys)
	if err != nil {
		return nil, err
	}
	ds := make([]*draft, len(ws))
	for i := range ws {
		if ds[i], err = db.newDraft(&ws[i], hs[keyOf(ws[i].Key)], nonce); err != nil {
			return nil, &store.WriteError{Index: i, Key: ws[i].Key, Err: err}
		}
		ds[i].index = i
	}
	if err := fitTogether(ds); err != nil {
		return nil, err
	}
	slices.SortFunc(ds, func(a, b *draft) int { return strings.Compare(a.key, b.key) })
	given, err := db.givenUp(ctx, ds)
	if err != nil {
		return nil, err
	}
	for _, c := range given {
		i, _ := slices.BinarySearchFunc(ds, c.Key, func(d *draft, key string) int { return strings.Compare(d.key, key) })
		ds[i].drop = append(ds[i].drop, c)
	}
	return ds, nil
}

// A unit's document names its resources and the claims that it takes. These are bounds
// of how many and how long: of a document, and of what a server writes in one command.
const (
	maxNames = 20_000
	maxUnit  = 15 << 20
)

// fitTogether refuses a unit that no document can name.
func fitTogether(ds []*draft) error {
	names, size := 0, 0
	for _, d := range ds {
		taken := except(d.next.Claims, d.was.Claims)
		names, size = names+1+len(taken), size+len(d.key)+inArray
		for _, c := range taken {
			size += len(claimID(c)) + inArray
		}
		if names > maxNames || size > maxUnit {
			return &store.WriteError{Index: d.index, Key: d.write.Key, Err: tooLarge(
				"up to here the unit names %d resources and claims of %d bytes, at most %d of %d bytes are kept", names, size, maxNames, maxUnit)}
		}
	}
	return nil
}

// unit does several writes: everything is prepared under a pending unit document,
// whose flip to committed makes all of it visible.
func (db *DB) unit(ctx context.Context, id string, lost int, ds []*draft) error {
	err := db.prepare(ctx, id, lost, ds)
	if err == nil {
		err = db.commit(ctx, id, ds)
	}
	var open *unknownError
	if err == nil || errors.Is(err, errDied) || errors.As(err, &open) {
		return err
	}
	return db.undo(ctx, err, id, ds)
}

// prepare does all that is before the commit.
func (db *DB) prepare(ctx context.Context, id string, lost int, ds []*draft) error {
	docs := make([]*versionDoc, len(ds))
	for i, d := range ds {
		docs[i] = d.doc
	}
	written := make(chan error, 1)
	go func() { written <- db.putVersions(ctx, docs) }() // nobody looks at them yet
	err := db.beginUnit(ctx, id, lost, ds)
	if err := errors.Join(err, <-written); err != nil {
		return err
	}
	if err := db.step("versions"); err != nil {
		return err
	}
	if err := db.takeClaims(ctx, id, ds); err != nil {
		return err
	}
	if err := db.step("claims"); err != nil {
		return err
	}
	if err := db.propose(ctx, id, lost, ds); err != nil {
		return err
	}
	return db.step("intents")
}

// beginUnit inserts the unit's document.
func (db *DB) beginUnit(ctx context.Context, id string, lost int, ds []*draft) error {
	doc := unitDoc{ID: id, Status: pending, Open: true, Number: unnumbered, Lost: lost, At: db.now().UnixNano()}
	for _, d := range ds {
		doc.Members = append(doc.Members, d.key)
		doc.Types = append(doc.Types, encode(d.write.Type))
	}
	slices.Sort(doc.Types)
	doc.Types = slices.Compact(doc.Types)
	for _, w := range wanted(id, ds) {
		doc.Claims = append(doc.Claims, w.doc.ID)
	}
	_, err := db.persist(ctx, "begin a unit", func(ctx context.Context) error {
		_, err := db.coll(units).InsertOne(ctx, doc)
		if isDuplicate(err) { // after a lost answer
			err = nil
		}
		return err
	})
	return err
}

// commit flips the unit: the one step that makes everything visible. A unit that
// another has aborted is lost.
func (db *DB) commit(ctx context.Context, id string, ds []*draft) error {
	won := false
	repeated, err := db.persist(ctx, "commit a unit", func(ctx context.Context) error {
		res, err := db.coll(units).UpdateOne(ctx, bson.M{"_id": id, "s": pending}, bson.M{"$set": bson.M{"s": committed}})
		won = err == nil && res.MatchedCount == 1
		return err
	})
	if err == nil && !won && repeated {
		var status map[string]string
		if status, err = db.statuses(ctx, []string{id}); err == nil {
			won = status[id] == committed
		}
		if err == nil && status[id] == "" { // closed and removed by another
			won, err = db.reaches(ctx, ds[0].key, &ds[0].next)
		}
	}
	switch {
	case err != nil:
		return unknown(err)
	case !won:
		return errLost
	}
	return nil
}

// rollAll rolls a committed unit's heads forward.
func (db *DB) rollAll(ctx context.Context, id string, ds []*draft) error {
	return abreast(ds, rolledTogether, func(part []*draft) error { return db.rollSome(ctx, id, part) })
}

func (db *DB) rollSome(ctx context.Context, id string, ds []*draft) error {
	models := make([]driver.WriteModel, len(ds))
	for i, d := range ds {
		models[i] = driver.NewReplaceOneModel().SetFilter(bson.M{"_id": d.key, "x.tx": id}).SetReplacement(newHead(d.write.Key, d.next))
	}
	_, err := db.persist(ctx, "roll heads forward", func(ctx context.Context) error {
		_, err := db.coll(heads).BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
		return err
	})
	return err
}

// closeUnit says that no intent of a unit stands any more. Its number is taken when all
// its heads have been rolled forward: so a search whose query may have seen some of
// them before and some after that finds the unit either still open or under a number
// above the one at which the search began.
func (db *DB) closeUnit(ctx context.Context, id string) error {
	number, err := db.bumpEpoch(ctx)
	if err != nil {
		return err
	}
	_, err = db.persist(ctx, "close a unit", func(ctx context.Context) error {
		_, err := db.coll(units).UpdateOne(ctx, bson.M{"_id": id}, bson.M{"$set": bson.M{"at": db.now().UnixNano(), "c": number}, "$unset": bson.M{"o": ""}})
		return err
	})
	return err
}

// undo takes back what a unit has done that is not to be, and returns why. A unit that
// cannot even be aborted, because the server is not there, will be by the next who
// meets it: nobody but its writer commits it.
func (db *DB) undo(ctx context.Context, why error, unit string, ds []*draft) error {
	if isPassing(why) {
		return why
	}
	keys, refs := make([]string, len(ds)), make([]versionRef, 0, len(ds))
	for i, d := range ds {
		keys[i], refs = d.key, append(append(refs, d.doc.ref()), d.past...)
	}
	var ids []string
	for _, w := range wanted(unit, ds) {
		ids = append(ids, w.doc.ID)
	}
	if !isSolo(unit) {
		if err := db.abortUnit(ctx, unit, ""); err != nil {
			return why
		}
	}
	if db.clearIntents(ctx, keys, unit) != nil || db.returnClaims(ctx, unit, ids) != nil {
		return why
	}
	_ = db.dropVersions(ctx, refs) // else the sweep finds them
	if !isSolo(unit) {
		_ = db.closeUnit(ctx, unit)
	}
	return why
}

package mongo

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store"
)

const (
	// unitStale is how long a unit may stay open, by the store's clock, before the
	// sweep ends it. Ending one is always safe.
	unitStale = time.Minute
	// orphanAge is how old a version is when the sweep asks whether a head reaches it.
	orphanAge = 10 * time.Minute
	// sweepBatch is how many versions are asked about at a time.
	sweepBatch = 1000
)

// swept is the number document of the instant up to which versions have been asked
// about.
const swept = "swept"

// sweepUnits ends units whose writer has died, and forgets closed ones.
func (db *DB) sweepUnits(ctx context.Context) error {
	now := db.now()
	var open []unitDoc
	err := db.findAll(ctx, units, bson.M{"o": true, "at": bson.M{"$lt": now.Add(-unitStale).UnixNano()}}, nil, &open)
	if err != nil {
		return err
	}
	for i := range open {
		if err := db.endUnit(ctx, &open[i]); err != nil {
			return err
		}
	}
	_, err = db.persist(ctx, "forget closed units", func(ctx context.Context) error {
		_, err := db.coll(units).DeleteMany(ctx, bson.M{"o": bson.M{"$exists": false}, "at": bson.M{"$lt": now.Add(-unitKept).UnixNano()}})
		return err
	})
	return err
}

// endUnit does what is left of a unit: what its writer would have done next, or
// would have taken back.
func (db *DB) endUnit(ctx context.Context, u *unitDoc) error {
	if err := db.abortUnit(ctx, u.ID, ""); err != nil {
		return err
	}
	status, err := db.statuses(ctx, []string{u.ID})
	if err != nil {
		return err
	}
	if status[u.ID] == committed {
		hs, err := db.headsOf(ctx, u.Members)
		if err != nil {
			return err
		}
		for _, h := range hs {
			if h.Intent != nil && h.Intent.Unit == u.ID {
				if err := db.rollForward(ctx, h); err != nil {
					return err
				}
			}
		}
		if err := db.sweepClaims(ctx, u.Members); err != nil {
			return err
		}
		return db.closeUnit(ctx, u.ID)
	}
	if err := db.clearIntents(ctx, u.Members, u.ID); err != nil {
		return err
	}
	if err := db.returnClaims(ctx, u.ID, u.Claims); err != nil {
		return err
	}
	if err := db.dropMade(ctx, u); err != nil {
		return err
	}
	return db.closeUnit(ctx, u.ID)
}

// dropMade removes the versions that a unit has made which is not to be, unless a head
// reaches them: the document of a unit that was carried out, closed and forgotten long
// ago may come again, by an insert that the server does late.
func (db *DB) dropMade(ctx context.Context, u *unitDoc) error {
	made := map[string][]suspect{}
	for _, key := range u.Members {
		filter := allVersions(key)
		filter["n"] = u.ID // a unit's versions have its name as nonce
		var found []suspect
		if err := db.findAll(ctx, versions, filter, suspectFields, &found); err != nil {
			return err
		}
		if len(found) > 0 {
			made[key] = found
		}
	}
	return db.removeOrphans(ctx, made)
}

// sweepVersions removes versions that no head reaches: of writers that died between
// writing one and the head. Each version is asked about once, when it is old enough
// that its writer has long given up.
func (db *DB) sweepVersions(ctx context.Context) error {
	from, err := db.sweptUntil(ctx)
	if err != nil {
		return err
	}
	until := db.now().Add(-orphanAge).UnixNano()
	if until <= from {
		return nil
	}
	cur, err := db.coll(versions).Find(ctx, bson.M{"at": bson.M{"$gt": from, "$lte": until}},
		options.Find().SetSort(bson.M{"at": 1}).SetProjection(suspectFields).SetBatchSize(sweepBatch))
	if err != nil {
		return db.explain(err)
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	for more := true; more; {
		batch, at := map[string][]suspect{}, until
		n := 0
		for ; n < sweepBatch; n++ {
			if more = cur.Next(ctx); !more {
				break
			}
			var s suspect
			if err := cur.Decode(&s); err != nil { // it stays: nobody can tell whose it is
				last, _ := cur.Current.Lookup("at").AsInt64OK()
				at = last - 1
				continue
			}
			batch[s.Key], at = append(batch[s.Key], s), s.At-1 // others of that instant may follow
		}
		if err := cur.Err(); err != nil {
			return db.explain(err)
		}
		if !more {
			at = until
		}
		if err := db.removeOrphans(ctx, batch); err != nil {
			return err
		}
		if err := db.setSwept(ctx, at); err != nil {
			return err
		}
	}
	return nil
}

func (db *DB) sweptUntil(ctx context.Context) (int64, error) {
	var doc numberDoc
	err := db.read(ctx, "read how far the sweep is", func(ctx context.Context) error {
		return db.coll(numbers).FindOne(ctx, bson.M{"_id": swept}).Decode(&doc)
	})
	if isMissing(err) {
		return 0, nil
	}
	return doc.Last, err
}

func (db *DB) setSwept(ctx context.Context, at int64) error {
	_, err := db.persist(ctx, "note how far the sweep is", func(ctx context.Context) error {
		_, err := db.coll(numbers).UpdateOne(ctx, bson.M{"_id": swept}, bson.M{"$max": bson.M{"n": at}}, options.UpdateOne().SetUpsert(true))
		return err
	})
	return err
}

// A versionRef names a version document.
type versionRef struct {
	ID     string `bson:"_id"`
	Chunks int    `bson:"c"`
}

// A suspect is a version of which it is asked whether a head reaches it.
type suspect struct {
	Ref     versionRef `bson:",inline"`
	Key     string     `bson:"k"`
	Version int64      `bson:"v"`
	Nonce   string     `bson:"n"`
	At      int64      `bson:"at"`
	Stood   witness    `bson:"h"`
}

var suspectFields = bson.M{"k": 1, "v": 1, "n": 1, "c": 1, "at": 1, "h": 1}

// removeOrphans removes those suspects, by key, that no head reaches, and claims of
// theirs that count for nobody.
func (db *DB) removeOrphans(ctx context.Context, batch map[string][]suspect) error {
	keys := make([]string, 0, len(batch))
	for key := range batch {
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil
	}
	slices.Sort(keys)
	hs, err := db.headsOf(ctx, keys)
	if err != nil {
		return err
	}
	var seen []string // ids of first versions that a head reaches
	for _, key := range keys {
		x, err := db.reachBy(ctx, key, hs[key], batch[key])
		if err != nil {
			return err
		}
		if err := db.dropOrphans(ctx, x.orphans); err != nil {
			return err
		}
		seen = append(seen, x.seen...)
	}
	if _, err := db.vouchFor(ctx, seen); err != nil {
		return err
	}
	return db.sweepClaims(ctx, keys)
}

// dropOrphans removes versions as they were found: a writer that was halted writes its
// own again when it goes on, and so does a copy that is taken up.
func (db *DB) dropOrphans(ctx context.Context, orphans []suspect) error {
	orphans = slices.SortedFunc(slices.Values(orphans), func(a, b suspect) int { return strings.Compare(a.Ref.ID, b.Ref.ID) })
	for part := range slices.Chunk(orphans, 500) {
		models := make([]driver.WriteModel, len(part))
		for i, o := range part {
			models[i] = driver.NewDeleteOneModel().SetFilter(bson.D{{Key: "_id", Value: o.Ref.ID}, {Key: "at", Value: o.At}})
			if o.Ref.Chunks > 0 { // first: without the version nobody finds them
				if err := db.dropChunks(ctx, chunkOwner(o.Ref.ID), o.At); err != nil {
					return err
				}
			}
		}
		_, err := db.persist(ctx, "remove orphans", func(ctx context.Context) error {
			_, err := db.coll(versions).BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// A reach is what a head says of some versions of its resource.
type reach struct {
	orphans []suspect // it does not reach them, and they may go
	seen    []string  // ids of first versions that it reaches and of which nobody has said so
}

// reachBy judges some versions of a resource by its head.
func (db *DB) reachBy(ctx context.Context, key string, h *headDoc, suspects []suspect) (x reach, err error) {
	// One that does not stand under its own name may be what another head reaches.
	suspects = slices.DeleteFunc(slices.Clone(suspects), func(s suspect) bool { return s.Ref.ID != versionID(s.Key, s.Version, s.Nonce) })
	if len(suspects) == 0 {
		return x, nil
	}
	if h, err = db.settledFor(ctx, key, h, suspects); err != nil {
		return x, err
	}
	if h.headless() {
		kept, err := db.kept(ctx, []string{key})
		if err == nil && !kept[key] {
			x.orphans = suspects
		}
		return x, err
	}
	low := suspects[0].Version
	for _, s := range suspects {
		low = min(low, s.Version)
	}
	reached := map[string]bool{}
	if h.State.Version >= low {
		ok, err := db.chainOf(ctx, key, &h.State, low, reached)
		if err != nil || !ok {
			return x, err
		}
	}
	for _, s := range suspects {
		switch {
		case !reached[s.Nonce]:
			x.orphans = append(x.orphans, s)
		case s.Version == 1 && s.Stood != stood:
			x.seen = append(x.seen, s.Ref.ID)
		}
	}
	if len(x.orphans) == 0 || h.State.Version < 1 {
		return x, nil
	}
	// A first version whose head stood is of a head that was lost, and made anew since.
	x.orphans = slices.DeleteFunc(x.orphans, func(s suspect) bool { return s.Version == 1 && s.Stood == stood })
	// A head that names a version that is not there has lost it, or its name is damaged,
	// and one of these is what it should name.
	names, err := db.hasVersion(ctx, versionID(key, h.State.Version, h.State.Nonce))
	if err != nil || !names {
		x.orphans = nil
	}
	return x, err
}

// settledFor ends what stands on a head in the way of a judgement of versions as old as
// that: its writer has died. It gives the head as it is then.
func (db *DB) settledFor(ctx context.Context, key string, h *headDoc, suspects []suspect) (*headDoc, error) {
	for h != nil && (h.Expunging || h.Intent != nil && slices.ContainsFunc(suspects, func(s suspect) bool { return s.Nonce == h.Intent.State.Nonce })) {
		if !h.Expunging {
			if err := db.abortUnit(ctx, h.Intent.Unit, key); err != nil {
				return nil, err
			}
		}
		err := db.settle(ctx, h)
		if err == nil {
			h, err = db.headOf(ctx, key)
		}
		if err != nil {
			return nil, err
		}
	}
	return h, nil
}

func (db *DB) hasVersion(ctx context.Context, id string) (bool, error) {
	var found []versionRef
	err := db.findAll(ctx, versions, bson.M{"_id": id}, bson.M{"_id": 1}, &found)
	return len(found) > 0, err
}

// chainOf collects the nonces that a head in state top reaches, down to low. It is
// not ok if a version lacks: expunged this moment, or damage, which is not the
// sweep's to touch.
func (db *DB) chainOf(ctx context.Context, key string, top *state, low int64, into map[string]bool) (ok bool, err error) {
	if top.Version == low {
		into[top.Nonce] = true
		return true, nil
	}
	var links []link
	if err := db.findAll(ctx, versions, versionRange(key, low, top.Version), bson.M{"v": 1, "n": 1, "p": 1}, &links); errors.Is(err, store.ErrDamaged) {
		return false, nil // one of them cannot be read
	} else if err != nil {
		return false, err
	}
	previous := make(map[string]string, len(links))
	for _, l := range links {
		previous[l.Nonce] = l.Previous
	}
	nonce := top.Nonce
	for range top.Version - low + 1 {
		p, there := previous[nonce]
		if !there {
			return false, nil
		}
		into[nonce] = true
		nonce = p
	}
	return true, nil
}

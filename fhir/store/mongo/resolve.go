package mongo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// soloUnit is the name of a unit of one head: see intent.
func soloUnit(nonce string) string { return "~" + nonce }

func isSolo(unit string) bool { return strings.HasPrefix(unit, "~") }

// statuses looks units up: those that are there, by id.
func (db *DB) statuses(ctx context.Context, ids []string) (map[string]string, error) {
	docs, err := db.unitsOf(ctx, ids)
	out := make(map[string]string, len(docs))
	for id, d := range docs {
		out[id] = d.Status
	}
	return out, err
}

// A standing is what a unit's document says of who may go first.
type standing struct {
	ID     string `bson:"_id"`
	Status string `bson:"s"`
	Lost   int    `bson:"w"`
}

// unitsOf reads the standing of units: of those that are there, by id.
func (db *DB) unitsOf(ctx context.Context, ids []string) (map[string]standing, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var docs []standing
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if err := db.findAll(ctx, units, bson.M{"_id": bson.M{"$in": ids}}, bson.M{"s": 1, "w": 1}, &docs); err != nil {
		return nil, err
	}
	out := make(map[string]standing, len(docs))
	for _, d := range docs {
		if d.Status != pending && d.Status != committed && d.Status != aborted {
			return nil, fmt.Errorf("%s: %w: the unit %s is in no status", db.where(), store.ErrDamaged, d.ID)
		}
		out[d.ID] = d
	}
	return out, nil
}

// current reads a head as a reader sees it, without waiting for anybody; nil if there
// is none.
func (db *DB) current(ctx context.Context, key string) (*headDoc, error) {
	h, err := db.headOf(ctx, key)
	if err != nil || h == nil {
		return nil, err
	}
	return h, db.resolve(ctx, []*headDoc{h})
}

// resolve gives heads the state that a reader sees and takes their intents away: the
// intent's if its unit is committed, else the base state. A unit that is not there
// was closed and removed after the head was read, which then is another by now, or
// has never been committed. A head that is gone by then has no version.
func (db *DB) resolve(ctx context.Context, hs []*headDoc) error {
	for {
		hs = slices.DeleteFunc(slices.Clone(hs), func(h *headDoc) bool {
			if h.Intent != nil && isSolo(h.Intent.Unit) {
				h.Intent = nil
			}
			return h.Intent == nil
		})
		if len(hs) == 0 {
			return nil
		}
		ids := make([]string, len(hs))
		for i, h := range hs {
			ids[i] = h.Intent.Unit
		}
		status, err := db.statuses(ctx, ids)
		if err != nil {
			return err
		}
		var absent []string
		for _, h := range hs {
			switch status[h.Intent.Unit] {
			case committed:
				if h.Intent.State.Version == 0 {
					return fmt.Errorf("%s: %w: an intent on %s says nothing", db.where(), store.ErrDamaged, h.ID)
				}
				h.State, h.Intent = h.Intent.State, nil
			case pending, aborted:
				h.Intent = nil
			default:
				absent = append(absent, h.ID)
			}
		}
		if len(absent) == 0 {
			return nil
		}
		again, err := db.headsOf(ctx, absent)
		if err != nil {
			return err
		}
		for _, h := range hs {
			switch now := again[h.ID]; {
			case h.Intent == nil:
			case now == nil:
				h.State, h.Intent = nothing(), nil
			case now.Intent != nil && now.Intent.Unit == h.Intent.Unit:
				h.Intent = nil
			default:
				*h = *now
			}
		}
	}
}

// settled reads heads for a writer, by key: none has an intent, because what stood in
// the way has been rolled forward, cleared, or waited for.
func (db *DB) settled(ctx context.Context, keys []string) (map[string]*headDoc, error) {
	for {
		hs, err := db.headsOf(ctx, keys)
		if err != nil {
			return nil, err
		}
		again := false
		for _, key := range keys {
			if h := hs[key]; h != nil && (h.Intent != nil || h.Expunging) {
				again = true
				if err := db.settle(ctx, h); err != nil {
					return nil, err
				}
			}
		}
		if !again {
			return hs, nil
		}
	}
}

// settle puts an end to what stands on a head.
func (db *DB) settle(ctx context.Context, h *headDoc) error {
	if h.Expunging {
		return db.finishExpunge(ctx, h)
	}
	unit := h.Intent.Unit
	status, err := db.await(ctx, unit, h.ID)
	if err != nil {
		return err
	}
	if status == committed {
		return db.rollForward(ctx, h)
	}
	err = db.clearIntents(ctx, []string{h.ID}, unit)
	if err == nil && isSolo(unit) { // nobody else knows of its claims
		err = db.returnClaims(ctx, unit, claimIDs(except(h.Intent.State.Claims, h.State.Claims)))
	}
	return err
}

// await waits until a unit is decided; one that takes longer than patience is
// aborted. It returns "" for one that is not there: it was not committed, or all its
// heads have been rolled forward.
func (db *DB) await(ctx context.Context, unit, key string) (string, error) {
	begun, pause := time.Now(), 2*time.Millisecond
	for {
		status, lost, err := db.standingOf(ctx, unit, key)
		if err != nil || status != pending {
			return status, err
		}
		if time.Since(begun) > db.unitPatience()*time.Duration(1+min(lost, patienceMore)) {
			if err := db.abortUnit(ctx, unit, key); err != nil {
				return "", err
			}
			continue
		}
		if !db.sleep(ctx, pause) {
			return "", db.stopped(ctx)
		}
		pause = min(2*pause, 50*time.Millisecond)
	}
}

// statusOf looks a unit up; of a solo one the head of key tells.
func (db *DB) statusOf(ctx context.Context, unit, key string) (string, error) {
	status, _, err := db.standingOf(ctx, unit, key)
	return status, err
}

// standingOf tells also how often a unit's writer had to begin again.
func (db *DB) standingOf(ctx context.Context, unit, key string) (status string, lost int, err error) {
	if !isSolo(unit) {
		docs, err := db.unitsOf(ctx, []string{unit})
		return docs[unit].Status, docs[unit].Lost, err
	}
	h, err := db.headOf(ctx, key)
	if err == nil && h != nil && h.Intent != nil && h.Intent.Unit == unit {
		status = pending
	}
	return status, 0, err
}

// abortUnit decides that a unit is not to be, unless it is decided already.
func (db *DB) abortUnit(ctx context.Context, unit, key string) error {
	if isSolo(unit) {
		return db.clearIntents(ctx, []string{key}, unit)
	}
	_, err := db.persist(ctx, "abort a unit", func(ctx context.Context) error {
		_, err := db.coll(units).UpdateOne(ctx, bson.M{"_id": unit, "s": pending}, bson.M{"$set": bson.M{"s": aborted}})
		return err
	})
	return err
}

// clearIntents takes the intents of an aborted unit from heads, which say so from then
// on: a request of before, that the server does late, finds another state. A head that
// the unit has made says that there is nothing.
func (db *DB) clearIntents(ctx context.Context, keys []string, unit string) error {
	none := bson.M{"x": "", "xt": ""}
	_, err := db.persist(ctx, "clear intents", func(ctx context.Context) error {
		made := bson.M{"_id": bson.M{"$in": keys}, "x.tx": unit, "v": int64(0)}
		if _, err := db.coll(heads).UpdateMany(ctx, made, bson.M{"$set": bson.M{"a": unit, "g": db.now().UnixNano()}, "$unset": none}); err != nil {
			return err
		}
		mine := bson.M{"_id": bson.M{"$in": keys}, "x.tx": unit}
		_, err := db.coll(heads).UpdateMany(ctx, mine, bson.M{"$set": bson.M{"a": unit}, "$unset": none})
		return err
	})
	return err
}

// rollForward makes a committed unit's intent the head's state. Whoever replaces the
// head removes the claims that it gave up: before that, nobody can have taken them
// again in its name.
func (db *DB) rollForward(ctx context.Context, h *headDoc) error {
	given, err := db.givenUp(ctx, []*draft{{key: h.ID, was: h.State, next: h.Intent.State}})
	if err != nil {
		return err
	}
	next := &headDoc{ID: h.ID, Type: h.Type, ResourceID: h.ResourceID, State: h.Intent.State}
	rolled := false
	_, err = db.persist(ctx, "roll a head forward", func(ctx context.Context) error {
		res, err := db.coll(heads).ReplaceOne(ctx, bson.M{"_id": h.ID, "x.tx": h.Intent.Unit}, next)
		if err == nil {
			rolled = res.MatchedCount == 1
		}
		return err
	})
	if err != nil || !rolled {
		return err
	}
	_ = db.dropClaims(ctx, given) // what stays of them counts for nothing
	return nil
}

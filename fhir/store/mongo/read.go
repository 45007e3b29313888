package mongo

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store"
)

// errBroken says that a version which a head reaches is not there: the head has been
// expunged meanwhile, or the store is damaged.
var errBroken = errors.New("a version is missing")

// reading reads a resource's head as it is now and has f do the rest. Where f finds a
// version missing and the head is another by now, it is tried again.
func (db *DB) reading(ctx context.Context, k store.Key, f func(*headDoc) error) error {
	var last string
	for {
		h, err := db.current(ctx, keyOf(k))
		if err != nil {
			return err
		}
		switch {
		case h != nil && !h.State.sound():
			return fmt.Errorf("%s: %w: the head of %s is none that was written", db.where(), store.ErrDamaged, k)
		case h == nil || h.State.Version == 0:
			return fmt.Errorf("%s: %w", k, store.ErrNotFound)
		}
		if err = f(h); !errors.Is(err, errBroken) {
			return err
		}
		if h.State.Nonce == last {
			return fmt.Errorf("%s: %w: %s: %w", db.where(), store.ErrDamaged, k, err)
		}
		last = h.State.Nonce
	}
}

// Read implements store.Store.
func (db *DB) Read(ctx context.Context, k store.Key) (rec *store.Record, err error) {
	err = db.reading(ctx, k, func(h *headDoc) error {
		if rec, err = db.newest(ctx, k, &h.State); err != nil {
			return err
		}
		rec.Index, err = h.State.entries(k.Type)
		return err
	})
	if err != nil {
		return nil, err
	}
	return rec, nil
}

// newest reads the version that a state names.
func (db *DB) newest(ctx context.Context, k store.Key, s *state) (*store.Record, error) {
	var doc versionDoc
	err := db.read(ctx, "read a version", func(ctx context.Context) error {
		doc = versionDoc{}
		return db.coll(versions).FindOne(ctx, bson.M{"_id": versionID(keyOf(k), s.Version, s.Nonce)}).Decode(&doc)
	})
	if isMissing(err) {
		return nil, fmt.Errorf("version %d: %w", s.Version, errBroken)
	}
	if err != nil {
		return nil, err
	}
	return db.record(ctx, k, &doc)
}

// ReadVersion implements store.Store.
func (db *DB) ReadVersion(ctx context.Context, k store.Key, version int64) (rec *store.Record, err error) {
	err = db.reading(ctx, k, func(h *headDoc) error {
		if version < 1 || version > h.State.Version {
			return fmt.Errorf("%s version %d: %w", k, version, store.ErrNotFound)
		}
		recs, err := db.chain(ctx, k, &h.State, version, version)
		if err == nil {
			rec = recs[0]
		}
		return err
	})
	return rec, err
}

// History implements store.Store.
func (db *DB) History(ctx context.Context, k store.Key, before int64, limit int) (recs []*store.Record, err error) {
	if limit < 1 || before < 0 {
		return nil, invalid("history of %s before %d, limit %d", k, before, limit)
	}
	err = db.reading(ctx, k, func(h *headDoc) error {
		high := h.State.Version
		if before > 0 {
			high = min(high, before-1)
		}
		recs, err = db.chain(ctx, k, &h.State, max(1, high-int64(limit)+1), high)
		return err
	})
	if err != nil {
		return nil, err
	}
	return recs, nil
}

// chain reads the versions from high down to low that a head in state top reaches.
func (db *DB) chain(ctx context.Context, k store.Key, top *state, low, high int64) ([]*store.Record, error) {
	if high < low {
		return nil, nil
	}
	key := keyOf(k)
	nonce, err := db.nonceAt(ctx, key, top, high)
	if err != nil {
		return nil, err
	}
	var recs []*store.Record
	err = db.read(ctx, "read versions", func(ctx context.Context) error {
		recs = nil
		cur, err := db.coll(versions).Find(ctx, versionRange(key, low, high), options.Find().SetSort(bson.M{"_id": -1}))
		if err != nil {
			return err
		}
		defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
		for next, nonce := high, nonce; cur.Next(ctx); {
			var doc versionDoc
			if err := cur.Decode(&doc); err != nil {
				return err
			}
			if doc.Version != next || doc.Nonce != nonce {
				continue // an orphan
			}
			rec, err := db.record(ctx, k, &doc)
			if err != nil {
				return err
			}
			recs = append(recs, rec)
			next, nonce = next-1, doc.Previous
		}
		return cur.Err()
	})
	if err == nil && int64(len(recs)) != high-low+1 {
		err = fmt.Errorf("below version %d: %w", high-int64(len(recs))+1, errBroken)
	}
	return recs, err
}

// A link is what a version says of the chain.
type link struct {
	Version  int64  `bson:"v"`
	Nonce    string `bson:"n"`
	Previous string `bson:"p"`
}

// nonceAt finds which version document of a number a head in state top reaches.
// Where it is the only one of that number it is the one; else what is above it tells.
func (db *DB) nonceAt(ctx context.Context, key string, top *state, version int64) (string, error) {
	if version == top.Version {
		return top.Nonce, nil
	}
	var nonce string
	err := db.read(ctx, "follow versions", func(ctx context.Context) error {
		cur, err := db.coll(versions).Find(ctx, versionRange(key, version, top.Version),
			options.Find().SetSort(bson.M{"_id": 1}).SetProjection(bson.M{"v": 1, "n": 1, "p": 1}).SetBatchSize(8))
		if err != nil {
			return err
		}
		defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
		var links []link
		for cur.Next(ctx) {
			var l link
			if err := cur.Decode(&l); err != nil {
				return err
			}
			if n := len(links); n > 0 && links[n-1].Version < l.Version && (n == 1 || links[n-2].Version < links[n-1].Version) {
				nonce = descend(links, links[n-1].Nonce, version)
				return nil
			}
			links = append(links, l)
		}
		nonce = descend(links, top.Nonce, version)
		return cur.Err()
	})
	if err == nil && nonce == "" {
		err = fmt.Errorf("version %d: %w", version, errBroken)
	}
	return nonce, err
}

// descend goes from a nonce of the newest of links, which are in order of version,
// down to a version and returns that one's nonce; "" if one lacks.
func descend(links []link, nonce string, version int64) string {
	if len(links) == 0 {
		return ""
	}
	at := links[len(links)-1].Version
	for i := len(links) - 1; i >= 0; i-- {
		l := links[i]
		if l.Version < at {
			return ""
		}
		if l.Version > at || l.Nonce != nonce {
			continue
		}
		if at == version {
			return nonce
		}
		at, nonce = at-1, l.Previous
	}
	return ""
}

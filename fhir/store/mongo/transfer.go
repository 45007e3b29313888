package mongo

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store"
)

var _ store.Transferer = (*DB)(nil)

// stretchBytes is the content of one stretch of versions, about.
const stretchBytes = 4 << 20

// identity is a number of the database beside the counters.
var identity = counter{"identity"}

// Identity implements store.Transferer.
func (db *DB) Identity(ctx context.Context) (string, error) {
	n, err := db.numberOf(ctx, identity)
	if isMissing(err) {
		var random [8]byte
		if _, err := rand.Read(random[:]); err != nil {
			return "", err
		}
		doc := numberDoc{ID: identity.name, Last: int64(binary.BigEndian.Uint64(random[:]) >> 1)}
		_, err := db.persist(ctx, "name the store", func(ctx context.Context) error {
			_, err := db.coll(numbers).InsertOne(ctx, doc)
			if isDuplicate(err) { // by another, or by a try whose answer was lost
				err = nil
			}
			return err
		})
		if err != nil {
			return "", err
		}
		n, err = db.numberOf(ctx, identity)
		if err != nil {
			return "", err
		}
	} else if err != nil {
		return "", err
	}
	return fmt.Sprintf("%016x", n), nil
}

// numberOf reads a counter.
func (db *DB) numberOf(ctx context.Context, c counter) (int64, error) {
	var doc numberDoc
	err := db.read(ctx, "read the counter "+c.name, func(ctx context.Context) error {
		return db.coll(numbers).FindOne(ctx, bson.M{"_id": c.name}).Decode(&doc)
	})
	return doc.Last, err
}

// Sizes implements store.Transferer.
func (db *DB) Sizes(ctx context.Context) (z store.Sizes, err error) {
	for c, n := range map[collection]*int64{heads: &z.Resources, facts: &z.Facts} {
		err := db.read(ctx, "count "+c.name, func(ctx context.Context) (err error) {
			*n, err = db.coll(c).EstimatedDocumentCount(ctx)
			return err
		})
		if err != nil {
			return z, err
		}
		*n = max(*n, 0) // a server may not know yet
	}
	names, err := db.streamNames(ctx, "", 0)
	for _, name := range names {
		last, err := db.reachOf(ctx, name)
		if err != nil {
			return z, err
		}
		z.Entries += last
	}
	return z, err
}

// Keys implements store.Transferer.
func (db *DB) Keys(ctx context.Context, after store.Key, limit int) ([]store.Key, error) {
	if limit < 1 {
		return nil, invalid("limit %d", limit)
	}
	var out []store.Key
	for last := keyOf(after); ; {
		var hs []*headDoc
		err := db.retry(ctx, "list heads", func(ctx context.Context) error {
			hs = nil
			cur, err := db.coll(heads).Find(ctx, bson.M{"_id": bson.M{"$gt": last}}, options.Find().SetSort(bson.M{"_id": 1}).SetLimit(int64(limit)).SetProjection(bson.M{"ix": 0, "x.ix": 0}))
			if err != nil {
				return err
			}
			return cur.All(ctx, &hs)
		})
		if err != nil || len(hs) == 0 {
			return out, err
		}
		last = hs[len(hs)-1].ID
		more := len(hs) == limit
		if err := db.resolve(ctx, hs); err != nil {
			return nil, err
		}
		for _, h := range hs {
			if h.State.Version == 0 {
				continue
			}
			k, err := h.resource()
			if err != nil {
				return nil, err
			}
			if out = append(out, k); len(out) == limit {
				return out, nil
			}
		}
		if !more {
			return out, nil
		}
	}
}

// resource gives the key of a head.
func (h *headDoc) resource() (store.Key, error) {
	return keyFrom(h.ID)
}

// keyFrom undoes keyOf.
func keyFrom(key string) (store.Key, error) {
	typ, id, ok := strings.Cut(key, "/")
	t, okT := decode(typ)
	i, okI := decode(id)
	if !ok || !okT || !okI {
		return store.Key{}, fmt.Errorf("%w: %q is no key of a resource", store.ErrDamaged, key)
	}
	return store.Key{Type: t, ID: i}, nil
}

// Archive implements store.Transferer. It reads the heads, then which versions each
// reaches, then those, some at a time.
func (db *DB) Archive(ctx context.Context, keys []store.Key, each func(*store.Archived) error) error {
	ids := make([]string, len(keys))
	for i, k := range keys {
		ids[i] = keyOf(k)
	}
	hs, err := db.headsOf(ctx, ids)
	if err != nil {
		return err
	}
	var there []*headDoc
	for _, h := range hs {
		there = append(there, h)
	}
	if err := db.resolve(ctx, there); err != nil {
		return err
	}
	links, err := db.linksOf(ctx, ids)
	if err != nil {
		return err
	}
	var plan []string // the ids of all versions, in the order in which they are given
	chains := make([][]string, len(keys))
	for i, k := range keys {
		h := hs[ids[i]]
		if h == nil || h.State.Version == 0 {
			return fmt.Errorf("%s: %w", k, store.ErrNotFound)
		}
		if chains[i], err = db.reached(k, &h.State, links[ids[i]]); err != nil {
			return err
		}
		plan = append(plan, chains[i]...)
	}
	docs := &versionReader{db: db, plan: plan, loaded: map[string]*versionDoc{}, atOnce: 32}
	for i, k := range keys {
		if err := docs.archive(ctx, k, &hs[ids[i]].State, chains[i], each); err != nil {
			return err
		}
	}
	return nil
}

// linksOf reads what all versions of some resources say of their chains.
func (db *DB) linksOf(ctx context.Context, keys []string) (map[string]map[string]link, error) {
	var docs []struct {
		Key      string `bson:"k"`
		Version  int64  `bson:"v"`
		Nonce    string `bson:"n"`
		Previous string `bson:"p"`
	}
	if err := db.findAll(ctx, versions, bson.M{"k": bson.M{"$in": keys}}, bson.M{"k": 1, "v": 1, "n": 1, "p": 1}, &docs); err != nil {
		return nil, err
	}
	out := make(map[string]map[string]link, len(keys))
	for _, d := range docs {
		if out[d.Key] == nil {
			out[d.Key] = map[string]link{}
		}
		out[d.Key][versionID(d.Key, d.Version, d.Nonce)] = link{d.Version, d.Nonce, d.Previous}
	}
	return out, nil
}

// reached lists the ids of the versions that a state reaches, oldest first.
func (db *DB) reached(k store.Key, top *state, links map[string]link) ([]string, error) {
	out := make([]string, top.Version)
	for version, nonce := top.Version, top.Nonce; version > 0; version-- {
		id := versionID(keyOf(k), version, nonce)
		l, ok := links[id]
		if !ok {
			return nil, fmt.Errorf("%s: %w: %s has lost its version %d", db.where(), store.ErrDamaged, k, version)
		}
		out[version-1], nonce = id, l.Previous
	}
	return out, nil
}

// A versionReader reads version documents ahead, in the order of a plan, as many at a
// time as are a few megabytes.
type versionReader struct {
	db     *DB
	plan   []string // what is still to be given
	loaded map[string]*versionDoc
	atOnce int
}

func (r *versionReader) archive(ctx context.Context, k store.Key, s *state, chain []string, each func(*store.Archived) error) error {
	a, size := &store.Archived{Key: k}, 0
	for _, id := range chain {
		doc, err := r.next(ctx, id)
		if err != nil {
			return err
		}
		rec, err := r.db.record(ctx, k, doc)
		if err != nil {
			return err
		}
		if size > stretchBytes {
			if err := each(a); err != nil {
				return err
			}
			a, size = &store.Archived{Key: k}, 0
		}
		a.Versions, size = append(a.Versions, rec), size+len(rec.Raw)
	}
	a.Complete = true
	var err error
	if a.Versions[len(a.Versions)-1].Index, err = s.entries(k.Type); err != nil {
		return err
	}
	for _, c := range s.Claims {
		claim, ok := decode(c)
		if !ok {
			return fmt.Errorf("%w: a claim of %s", store.ErrDamaged, k)
		}
		a.Claims = append(a.Claims, claim)
	}
	slices.Sort(a.Claims)
	return each(a)
}

// next gives the document of the plan that is due.
func (r *versionReader) next(ctx context.Context, id string) (*versionDoc, error) {
	for len(r.plan) > 0 && r.plan[0] != id { // those are not asked for after all
		delete(r.loaded, r.plan[0])
		r.plan = r.plan[1:]
	}
	if r.loaded[id] == nil && len(r.plan) > 0 {
		if err := r.load(ctx); err != nil {
			return nil, err
		}
	}
	doc := r.loaded[id]
	if doc == nil { // there was too much to read ahead
		doc = &versionDoc{}
		err := r.db.retry(ctx, "read a version", func(ctx context.Context) error {
			return r.db.coll(versions).FindOne(ctx, bson.M{"_id": id}).Decode(doc)
		})
		if isMissing(err) {
			return nil, fmt.Errorf("%s: %w: the version %s is gone", r.db.where(), store.ErrDamaged, id)
		}
		if err != nil {
			return nil, err
		}
	}
	delete(r.loaded, id)
	r.plan = r.plan[min(1, len(r.plan)):]
	return doc, nil
}

// load reads the next documents of the plan until there are enough.
func (r *versionReader) load(ctx context.Context) error {
	due := r.plan[:min(r.atOnce, len(r.plan))]
	if len(r.loaded) > 0 {
		return nil // what lacks of the last lot is read one by one
	}
	largest := 1
	err := r.db.retry(ctx, "read versions", func(ctx context.Context) error {
		clear(r.loaded)
		cur, err := r.db.coll(versions).Find(ctx, bson.M{"_id": bson.M{"$in": due}})
		if err != nil {
			return err
		}
		defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
		for size := 0; size < 2*stretchBytes && cur.Next(ctx); {
			doc := &versionDoc{}
			if err := cur.Decode(doc); err != nil {
				return err
			}
			r.loaded[doc.ID] = doc
			size, largest = size+len(doc.Raw), max(largest, len(doc.Raw))
		}
		return cur.Err()
	})
	r.atOnce = min(max(stretchBytes/largest, 1), 500, 2*r.atOnce)
	return err
}

// Streams implements store.Transferer.
func (db *DB) Streams(ctx context.Context, after string, limit int) ([]store.Stream, error) {
	if limit < 1 {
		return nil, invalid("limit %d", limit)
	}
	names, err := db.streamNames(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	var out []store.Stream
	for _, name := range names {
		last, err := db.reachOf(ctx, name)
		if err != nil {
			return nil, err
		}
		s := store.Stream{Name: name, Last: uint64(last), Positions: map[string]uint64{}}
		var ps []positionDoc
		if err := db.findAll(ctx, positions, bson.M{"s": encode(name)}, nil, &ps); err != nil {
			return nil, err
		}
		for _, p := range ps {
			reader, ok := decode(p.Reader)
			if !ok {
				return nil, fmt.Errorf("%s: %w: a position of stream %q", db.where(), store.ErrDamaged, name)
			}
			s.Positions[reader] = uint64(p.Seq)
		}
		out = append(out, s)
	}
	return out, nil
}

// reachOf is lastOf, tried again where it may pass.
func (db *DB) reachOf(ctx context.Context, stream string) (last int64, err error) {
	err = db.retry(ctx, "read the end of a stream", func(ctx context.Context) error {
		last, err = db.lastOf(ctx, stream)
		return err
	})
	return last, err
}

// streamNames lists streams after one, all if limit is 0, by stepping from one to the
// next along the index.
func (db *DB) streamNames(ctx context.Context, after string, limit int) ([]string, error) {
	var out []string
	for limit == 0 || len(out) < limit {
		next, found := "", false
		for _, c := range []collection{logs, positions} {
			var doc struct {
				Stream string `bson:"s"`
			}
			err := db.retry(ctx, "list streams", func(ctx context.Context) error {
				return db.coll(c).FindOne(ctx, bson.M{"s": bson.M{"$gt": encode(after)}},
					options.FindOne().SetSort(bson.D{{Key: "s", Value: 1}}).SetProjection(bson.M{"s": 1})).Decode(&doc)
			})
			if isMissing(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if !found || doc.Stream < next {
				next, found = doc.Stream, true
			}
		}
		if !found {
			return out, nil
		}
		name, ok := decode(next)
		if !ok {
			return nil, fmt.Errorf("%s: %w: the name of a stream", db.where(), store.ErrDamaged)
		}
		out, after = append(out, name), name
	}
	return out, nil
}

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
	hs, err := db.headsAfter(ctx, after, limit, false, bson.M{"ix": 0, "x.ix": 0})
	if err != nil {
		return nil, err
	}
	out := make([]store.Key, len(hs))
	for i, h := range hs {
		if out[i], err = h.resource(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Marks implements store.Transferer: heads have all of it.
func (db *DB) Marks(ctx context.Context, after store.Key, limit int) ([]store.Mark, error) {
	hs, err := db.headsAfter(ctx, after, limit, true, nil)
	if err != nil {
		return nil, err
	}
	out := make([]store.Mark, len(hs))
	for i, h := range hs {
		if out[i], err = h.mark(); err != nil {
			return nil, fmt.Errorf("%s: %w", db.where(), err)
		}
	}
	return out, nil
}

func (h *headDoc) mark() (m store.Mark, err error) {
	if m.Key, err = h.resource(); err != nil || h.Expunging {
		m.Expunging = err == nil
		return m, err
	}
	// One that cannot be read is no version's: it is another than any.
	m.LastUpdated, _ = parseInstant(h.State.Updated)
	m.Version, m.Deleted = h.State.Version, h.State.Deleted
	index, err := h.State.entries(m.Type)
	if err != nil {
		return m, err
	}
	claims, err := h.State.claims(m.Key)
	m.Beside = store.BesideSum(index, claims)
	return m, err
}

// claims gives a state's claims as writers make them, sorted.
func (s *state) claims(k store.Key) ([]string, error) {
	var out []string
	for _, c := range s.Claims {
		claim, ok := decode(c)
		if !ok {
			return nil, fmt.Errorf("%w: a claim of %s", store.ErrDamaged, k)
		}
		out = append(out, claim)
	}
	slices.Sort(out)
	return out, nil
}

// headsAfter lists heads of resources that sort after one, as a reader sees them,
// without the fields that are left out; of those that are being expunged only where
// they are asked for.
func (db *DB) headsAfter(ctx context.Context, after store.Key, limit int, expunging bool, without bson.M) ([]*headDoc, error) {
	if limit < 1 {
		return nil, invalid("limit %d", limit)
	}
	o := options.Find().SetSort(bson.M{"_id": 1}).SetLimit(int64(limit))
	if without != nil {
		o.SetProjection(without)
	}
	var out []*headDoc
	for last := keyOf(after); ; {
		var hs []*headDoc
		err := db.retry(ctx, "list heads", func(ctx context.Context) error {
			hs = nil
			cur, err := db.coll(heads).Find(ctx, bson.M{"_id": bson.M{"$gt": last}}, o)
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
			if h.State.Version > 0 || h.Expunging && expunging {
				out = append(out, h)
			}
		}
		if len(out) > 0 || !more {
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
func (db *DB) Archive(ctx context.Context, wants []store.Since, each func(*store.Archived) error) error {
	ids := make([]string, len(wants))
	for i, w := range wants {
		ids[i] = keyOf(w.Key)
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
	links, _, err := db.linksOf(ctx, ids)
	if err != nil {
		return err
	}
	var plan []string // the ids of all versions, in the order in which they are given
	chains := make([][]string, len(wants))
	for i, w := range wants {
		h, first := hs[ids[i]], max(w.Version, 1)
		if h == nil || h.State.Version < first {
			return fmt.Errorf("%s: %w", w.Key, store.ErrNotFound)
		}
		if chains[i], err = db.reached(w.Key, &h.State, links[ids[i]]); err != nil {
			return err
		}
		chains[i] = chains[i][first-1:]
		plan = append(plan, chains[i]...)
	}
	docs := &versionReader{db: db, plan: plan, loaded: map[string]*versionDoc{}, atOnce: 32}
	for i, w := range wants {
		if err := docs.archive(ctx, w.Key, &hs[ids[i]].State, chains[i], each); err != nil {
			return err
		}
	}
	return nil
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

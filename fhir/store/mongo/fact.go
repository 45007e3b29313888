package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/plan"
)

// beforeKept is how many replaced versions a fact remembers.
const beforeKept = 32

var errUnknown = errors.New("it is not known whether the fact was written: the answer was lost, and many others have written since")

// gathered is the most keys that one query asks for.
const gathered = 500

func factSum(key string, value []byte, version, expires int64) int64 {
	return store.Checksum(fmt.Sprintf("fact/%d/%d", version, expires), []byte(key), value)
}

func newFact(key string, value []byte, version int64, expires time.Time) factDoc {
	if value == nil {
		value = []byte{}
	}
	e := store.Nanos(expires)
	return factDoc{ID: encode(key), Value: value, Version: version, Expires: e, Sum: factSum(key, value, version, e)}
}

// fact turns a document into what it means.
func (db *DB) fact(doc factDoc) (store.Fact, error) {
	key, ok := decode(doc.ID)
	if !ok || doc.Sum != factSum(key, doc.Value, doc.Version, doc.Expires) {
		return store.Fact{}, db.damaged(fmt.Sprintf("fact %q", key))
	}
	return store.Fact{Key: key, Value: doc.Value, Version: doc.Version, Expires: store.FromNanos(doc.Expires)}, nil
}

// live is the condition that a fact has not expired.
func (db *DB) live() bson.E {
	return bson.E{Key: "$or", Value: bson.A{
		bson.D{{Key: "e", Value: int64(0)}},
		bson.D{{Key: "e", Value: bson.D{{Key: "$gt", Value: db.now().UnixNano()}}}},
	}}
}

func (db *DB) expired(doc factDoc) bool {
	return doc.Expires != 0 && doc.Expires <= db.now().UnixNano()
}

// factDoc reads a fact's document as it stands, expired or not.
func (db *DB) factDoc(ctx context.Context, key string) (doc factDoc, err error) {
	err = db.coll(facts).FindOne(ctx, bson.D{{Key: "_id", Value: encode(key)}}).Decode(&doc)
	return doc, err
}

// Get implements store.Facts.
func (db *DB) Get(ctx context.Context, key string) (store.Fact, error) {
	var doc factDoc
	err := db.read(ctx, "read a fact", func(ctx context.Context) (err error) {
		doc, err = db.factDoc(ctx, key)
		return err
	})
	if err == nil { // first: it may be its expiry that is damaged
		var f store.Fact
		if f, err = db.fact(doc); err != nil || !db.expired(doc) {
			return f, err
		}
	}
	if err == nil || isMissing(err) {
		err = fmt.Errorf("fact %q: %w", key, store.ErrNotFound)
	}
	return store.Fact{}, err
}

// Gather implements store.Gatherer.
func (db *DB) Gather(ctx context.Context, keys []string) ([]store.Fact, error) {
	var out []store.Fact
	for some := range slices.Chunk(keys, gathered) {
		ids := make([]string, len(some))
		for i, key := range some {
			ids[i] = encode(key)
		}
		fs, _, err := db.findFacts(ctx, bson.D{{Key: "$in", Value: ids}}, 0)
		if err != nil {
			return nil, err
		}
		out = append(out, fs...)
	}
	return out, nil
}

// Scan implements store.Facts.
func (db *DB) Scan(ctx context.Context, prefix, after string, limit int) ([]store.Fact, error) {
	if limit < 1 {
		return nil, invalid("limit %d", limit)
	}
	var out []store.Fact
	for last := encode(after); ; {
		span := bson.D{{Key: "$gte", Value: encode(prefix)}}
		if last != "" {
			span = append(span, bson.E{Key: "$gt", Value: last})
		}
		if end := plan.Prefix(prefix).High; end != "" {
			span = append(span, bson.E{Key: "$lt", Value: encode(end)})
		}
		fs, docs, err := db.findFacts(ctx, span, limit)
		if err != nil {
			return nil, err
		}
		out = append(out, fs...)
		if len(docs) < limit || len(out) >= limit {
			return out[:min(limit, len(out))], nil
		}
		last = docs[len(docs)-1].ID
	}
}

// findFacts reads the documents of some ids by key, all of them if limit is 0, and gives
// the facts that have not expired. The server is not asked for those alone: it may be an
// expiry that is damaged.
func (db *DB) findFacts(ctx context.Context, ids bson.D, limit int) (out []store.Fact, docs []factDoc, err error) {
	o := options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(limit))
	err = db.read(ctx, "read facts", func(ctx context.Context) error {
		docs = nil
		cursor, err := db.coll(facts).Find(ctx, bson.D{{Key: "_id", Value: ids}}, o)
		if err != nil {
			return err
		}
		return cursor.All(ctx, &docs)
	})
	if err != nil {
		return nil, nil, err
	}
	for _, doc := range docs {
		f, err := db.fact(doc)
		if err != nil {
			return nil, nil, err
		}
		if !db.expired(doc) {
			out = append(out, f)
		}
	}
	return out, docs, nil
}

func (db *DB) checkFact(key string, value []byte, expires time.Time) error {
	switch {
	case key == "":
		return invalid("a fact without a key")
	case len(value) > maxInline:
		return tooLarge("fact %q has %d bytes, at most %d are kept", key, len(value), maxInline)
	case expires.Year() > 2261: // nanoseconds since 1970 end in 2262
		return invalid("fact %q would expire in %d; give the zero time for never", key, expires.Year())
	case !expires.IsZero() && !expires.After(db.now()):
		return invalid("fact %q would have expired at %s", key, expires.UTC().Format(time.RFC3339Nano))
	}
	return nil
}

// PutIfAbsent implements store.Facts.
func (db *DB) PutIfAbsent(ctx context.Context, key string, value []byte, expires time.Time) (store.Fact, error) {
	if err := db.checkFact(key, value, expires); err != nil {
		return store.Fact{}, err
	}
	return db.putFact(ctx, "put a fact", newFact(key, value, 0, expires), func(ctx context.Context, doc factDoc) (bool, error) {
		err := db.once("insert a fact", func() error {
			_, err := db.coll(facts).InsertOne(ctx, doc)
			return err
		})
		if !isDuplicate(err) {
			return err == nil, err
		}
		old, err := db.factDoc(ctx, key)
		switch {
		case isMissing(err): // deleted or swept since
			return false, nil
		case err != nil:
			return false, err
		case !db.expired(old):
			return false, fmt.Errorf("fact %q: %w", key, store.ErrExists)
		}
		if _, err := db.fact(old); err != nil { // it may be its expiry that is damaged
			return false, err
		}
		done := false
		err = db.once("replace an expired fact", func() error {
			res, err := db.coll(facts).ReplaceOne(ctx, bson.D{{Key: "_id", Value: doc.ID}, {Key: "v", Value: old.Version}}, doc)
			done = err == nil && res.MatchedCount == 1
			return err
		})
		return done, err
	})
}

// CompareAndSet implements store.Facts.
func (db *DB) CompareAndSet(ctx context.Context, key string, version int64, value []byte, expires time.Time) (store.Fact, error) {
	if err := db.checkFact(key, value, expires); err != nil {
		return store.Fact{}, err
	}
	doc := newFact(key, value, 0, expires)
	doc.Before = []int64{version}
	return db.putFact(ctx, "replace a fact", doc, func(ctx context.Context, doc factDoc) (bool, error) {
		done := false
		err := db.once("replace a fact", func() error {
			res, err := db.coll(facts).UpdateOne(ctx, bson.D{{Key: "_id", Value: doc.ID}, {Key: "v", Value: version}, db.live()}, bson.D{
				{Key: "$set", Value: bson.D{{Key: "b", Value: doc.Value}, {Key: "v", Value: doc.Version}, {Key: "e", Value: doc.Expires}, {Key: "sum", Value: doc.Sum}}},
				{Key: "$push", Value: bson.D{{Key: "p", Value: bson.D{{Key: "$each", Value: doc.Before}, {Key: "$slice", Value: -beforeKept}}}}},
			})
			done = err == nil && res.MatchedCount == 1
			return err
		})
		if err != nil || done {
			return err == nil, err
		}
		old, err := db.factDoc(ctx, key)
		switch {
		case isMissing(err), err == nil && db.expired(old):
			return false, fmt.Errorf("fact %q is not there, expected version %d: %w", key, version, store.ErrConflict)
		case err == nil && old.Version != version:
			return false, fmt.Errorf("fact %q is at version %d, not %d: %w", key, old.Version, version, store.ErrConflict)
		case err == nil:
			return false, db.hasExpiry(ctx, key)
		}
		return false, err
	})
}

// hasExpiry is asked of a fact that is read as live and that no query for live ones finds.
// One whose expiry is lost, or no number, would never be found.
func (db *DB) hasExpiry(ctx context.Context, key string) error {
	err := db.coll(facts).FindOne(ctx, bson.D{{Key: "_id", Value: encode(key)}, {Key: "e", Value: bson.D{{Key: "$type", Value: "number"}}}}).Err()
	if isMissing(err) {
		return db.damaged(fmt.Sprintf("fact %q", key))
	}
	return err
}

// putFact has try write doc under a version of its own until it has, or says why it
// will not. A try whose answer was lost, so that nobody knows whether it was done, is
// known by its version: if that is what stands in the way, or what was replaced since,
// the fact was put. The next try has another version, because what the lost one has
// put may have been seen and removed.
func (db *DB) putFact(ctx context.Context, what string, doc factDoc, try func(context.Context, factDoc) (bool, error)) (store.Fact, error) {
	if err := ctx.Err(); err != nil {
		return store.Fact{}, err
	}
	ctx = context.WithoutCancel(ctx)
	key, _ := decode(doc.ID)
	var lost []factDoc
	err := db.retry(ctx, what, func(ctx context.Context) (err error) {
		for done := false; !done && err == nil; {
			if doc.Version, err = db.take(ctx, factVersions); err != nil {
				return err
			}
			doc.Sum = factSum(key, doc.Value, doc.Version, doc.Expires)
			done, err = try(ctx, doc)
		}
		switch {
		case isPassing(err):
			lost = append(lost, doc)
		case errors.Is(err, store.ErrExists), errors.Is(err, store.ErrConflict):
			stands, e := db.standing(ctx, key, lost)
			switch {
			case e != nil:
				return e
			case stands != nil:
				doc, err = *stands, nil
			}
		}
		return err
	})
	if err != nil {
		return store.Fact{}, err
	}
	if _, err := db.bumpEpoch(ctx); err != nil {
		return store.Fact{}, fmt.Errorf("fact %q is written, but: %w", key, err)
	}
	return db.fact(doc)
}

// standing gives the one of some tries that has been done, nil if none was. A fact
// that has forgotten what it was then cannot tell.
func (db *DB) standing(ctx context.Context, key string, tries []factDoc) (*factDoc, error) {
	if len(tries) == 0 {
		return nil, nil
	}
	now, err := db.factDoc(ctx, key)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for i := range tries {
		if v := tries[i].Version; v == now.Version || slices.Contains(now.Before, v) {
			return &tries[i], nil
		}
	}
	replaces := tries[0].Before
	if len(now.Before) == beforeKept && (len(replaces) == 0 || !slices.Contains(now.Before, replaces[0])) {
		return nil, fmt.Errorf("fact %q: %w", key, errUnknown)
	}
	return nil, nil
}

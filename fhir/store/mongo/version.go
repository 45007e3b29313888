package mongo

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// maxBeside bounds what stands beside a version's content: with maxInline of that, a
// document holds it.
const maxBeside = 2 << 20

// newNonce names a version document or a unit: nobody else has the name.
func newNonce() string { return rand.Text()[:20] }

// versionID sorts by resource, then by version.
func versionID(key string, version int64, nonce string) string {
	return fmt.Sprintf("%s/%016x/%s", key, version, nonce)
}

// versionRange matches the ids of a resource's versions from low to high.
func versionRange(key string, low, high int64) bson.M {
	return bson.M{"_id": bson.M{"$gte": fmt.Sprintf("%s/%016x/", key, low), "$lt": fmt.Sprintf("%s/%016x0", key, high)}}
}

// allVersions matches the ids of all of a resource's versions: "0" follows "/".
func allVersions(key string) bson.M {
	return bson.M{"_id": bson.M{"$gte": key + "/", "$lt": key + "0"}}
}

// newVersion makes the document of a write's version.
func newVersion(w *store.Write, s *state, previous string) (*versionDoc, error) {
	origin, err := json.Marshal(w.Origin)
	if err != nil {
		return nil, fmt.Errorf("encode the origin: %w", err)
	}
	labels := []byte("[]")
	if len(w.Labels) > 0 {
		if labels, err = json.Marshal(w.Labels); err != nil {
			return nil, fmt.Errorf("encode the labels: %w", err)
		}
	}
	if size := len(origin) + len(labels) + len(w.LabelSet); size > maxBeside {
		return nil, tooLarge("origin and labels have %d bytes, at most %d are kept", size, maxBeside)
	}
	key := keyOf(w.Key)
	doc := &versionDoc{
		ID: versionID(key, s.Version, s.Nonce), Key: key, Version: s.Version, Nonce: s.Nonce, Previous: previous,
		Updated: s.Updated, Deleted: s.Deleted, Origin: origin, Labels: labels, LabelSet: encode(w.LabelSet), Raw: w.Raw,
	}
	if doc.Version == 1 {
		doc.Stood = notYet
	}
	doc.Sum = doc.checksum(w.Raw)
	return doc, nil
}

// checksum names the resource, the version and what it follows, so that documents
// that were swapped show.
func (v *versionDoc) checksum(raw []byte) int64 {
	name := fmt.Sprintf("%s/%d/%s/%s/%s/%t", v.Key, v.Version, v.Nonce, v.Previous, v.Updated, v.Deleted)
	return store.Checksum(name, v.Origin, v.Labels, []byte(v.LabelSet), raw)
}

// chunkOwner is under which name the parts of a large version stand.
func chunkOwner(version string) string { return "v/" + version }

// putVersions stores the documents of new versions, in order of id. What is large
// goes into chunks first. One that is there already is the same: from a try whose
// answer was lost, or it is written again. It is replaced, so that it is as young as it
// should be: who has taken the older one for an orphan removes that alone. One of which
// it is known that its head stood stays: nobody takes that for an orphan.
func (db *DB) putVersions(ctx context.Context, vs []*versionDoc) error {
	docs := make([]*versionDoc, len(vs))
	for i, v := range vs {
		doc := *v
		if len(doc.Raw) > maxInline {
			n, err := db.storeChunks(ctx, chunkOwner(doc.ID), doc.Raw)
			if err != nil {
				return err
			}
			doc.Raw, doc.Chunks = nil, n
		}
		doc.At = db.now().UnixNano() // no earlier than its chunks'
		docs[i] = &doc
	}
	slices.SortFunc(docs, func(a, b *versionDoc) int { return strings.Compare(a.ID, b.ID) })
	return abreast(docs, writtenTogether, func(part []*versionDoc) error { return db.writeVersions(ctx, part) })
}

func (db *DB) writeVersions(ctx context.Context, docs []*versionDoc) error {
	_, err := db.persist(ctx, "write versions", func(ctx context.Context) error {
		there, err := db.insertVersions(ctx, docs)
		for _, i := range there {
			if err == nil {
				err = db.replaceVersion(ctx, docs[i])
			}
		}
		return err
	})
	return err
}

// insertVersions inserts documents and returns which were there already.
func (db *DB) insertVersions(ctx context.Context, docs []*versionDoc) (there []int, err error) {
	if len(docs) > 1 {
		return db.insertMany(ctx, versions, docs)
	}
	_, err = db.coll(versions).InsertOne(ctx, docs[0])
	if isDuplicate(err) {
		return []int{0}, nil
	}
	return nil, err
}

func (db *DB) replaceVersion(ctx context.Context, doc *versionDoc) error {
	filter := bson.D{{Key: "_id", Value: doc.ID}}
	if doc.Stood == notYet {
		filter = append(filter, bson.E{Key: "h", Value: bson.D{{Key: "$ne", Value: true}}})
	}
	_, err := db.coll(versions).ReplaceOne(ctx, filter, doc, options.Replace().SetUpsert(true))
	if isDuplicate(err) && doc.Stood == notYet { // it is there, and its head stood
		err = nil
	}
	return err
}

// insertMany inserts documents and returns which were there already.
func (db *DB) insertMany(ctx context.Context, c collection, docs any) (duplicates []int, err error) {
	_, err = db.coll(c).InsertMany(ctx, docs, options.InsertMany().SetOrdered(false))
	var many driver.BulkWriteException
	if !errors.As(err, &many) || many.WriteConcernError != nil {
		return nil, err
	}
	for _, we := range many.WriteErrors {
		if !isDuplicate(we.WriteError) {
			return nil, err
		}
		duplicates = append(duplicates, we.Index)
	}
	return duplicates, nil
}

// ref names a version that may have been written.
func (v *versionDoc) ref() versionRef {
	ref := versionRef{ID: v.ID}
	if len(v.Raw) > maxInline {
		ref.Chunks = 1 // or more
	}
	return ref
}

// dropVersions removes versions that no head reaches and that nobody will write again:
// their writer gave them up, or they were expunged. See dropOrphans for others.
func (db *DB) dropVersions(ctx context.Context, refs []versionRef) error {
	for part := range slices.Chunk(refs, 500) {
		ids := make([]string, len(part))
		for i, r := range part {
			ids[i] = r.ID
			if r.Chunks > 0 { // first: without the version nobody finds them
				if err := db.dropChunks(ctx, chunkOwner(r.ID), ever); err != nil {
					return err
				}
			}
		}
		_, err := db.persist(ctx, "remove versions", func(ctx context.Context) error {
			_, err := db.coll(versions).DeleteMany(ctx, bson.M{"_id": bson.M{"$in": ids}})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// record checks a version against its checksum and makes a record of it.
func (db *DB) record(ctx context.Context, k store.Key, v *versionDoc) (*store.Record, error) {
	raw := v.Raw
	if v.Chunks > 0 {
		var err error
		if raw, err = db.loadChunks(ctx, chunkOwner(v.ID), v.Chunks); err != nil {
			return nil, err
		}
	}
	what := fmt.Sprintf("%s version %d", k, v.Version)
	if v.Key != keyOf(k) || v.ID != versionID(v.Key, v.Version, v.Nonce) || v.Sum != v.checksum(raw) {
		return nil, db.damaged(what)
	}
	rec := &store.Record{Key: k, Version: v.Version, Deleted: v.Deleted}
	var err error
	if rec.LastUpdated, err = parseInstant(v.Updated); err != nil {
		return nil, fmt.Errorf("%s: %w: %s: %w", db.where(), store.ErrDamaged, what, err)
	}
	if err := json.Unmarshal(v.Origin, &rec.Origin); err != nil {
		return nil, fmt.Errorf("%s: %w: origin of %s: %w", db.where(), store.ErrDamaged, what, err)
	}
	if err := json.Unmarshal(v.Labels, &rec.Labels); err != nil {
		return nil, fmt.Errorf("%s: %w: labels of %s: %w", db.where(), store.ErrDamaged, what, err)
	}
	if len(rec.Labels) == 0 {
		rec.Labels = nil
	}
	if set, ok := decode(v.LabelSet); ok {
		rec.LabelSet = set
	} else {
		return nil, fmt.Errorf("%s: %w: label set of %s", db.where(), store.ErrDamaged, what)
	}
	if !v.Deleted {
		rec.Raw = raw
	}
	return rec, nil
}

func parseInstant(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	return t.UTC(), err
}

// updatedAfter is when a version comes to be that follows one of last: now, but a
// clock that was set back must not let a newer version look older.
func (db *DB) updatedAfter(last string) string {
	now := db.now().UTC().Truncate(time.Millisecond)
	if t, err := parseInstant(last); err == nil && t.After(now) {
		now = t
	}
	return resource.FormatInstant(now)
}

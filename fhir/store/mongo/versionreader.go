package mongo

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// A versionReader reads version documents ahead, in the order of a plan, as many at a
// time as are a few megabytes.
type versionReader struct {
	db     *DB
	plan   []string // what is still to be given
	loaded map[string]*versionDoc
	atOnce int
}

func (r *versionReader) archive(ctx context.Context, k store.Key, s *state, chain []string, each func(*store.Archived) error) error {
	a, size, sum := &store.Archived{Key: k}, 0, newChainSum()
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
		sum.add(id, doc.Sum)
		a.Versions, size = append(a.Versions, rec), size+len(rec.Raw)
	}
	a.Complete, a.Chain = true, sum.sum()
	var err error
	if a.Versions[len(a.Versions)-1].Index, err = s.entries(k.Type); err != nil {
		return err
	}
	if a.Claims, err = s.claims(k); err != nil {
		return err
	}
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
				continue // told when it is due: it may be of another resource
			}
			r.loaded[doc.ID] = doc
			size, largest = size+len(doc.Raw), max(largest, len(doc.Raw))
		}
		return cur.Err()
	})
	r.atOnce = min(max(stretchBytes/largest, 1), 500, 2*r.atOnce)
	return err
}

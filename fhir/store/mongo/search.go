package mongo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/plan"
)

// A searcher finds the heads of one plan.
type searcher struct {
	condition
	db     *DB
	plan   store.Plan
	orders []order
	after  *row     // where the page before ended
	read   *reading // versions of what was found, as far as they are being read already
}

func (db *DB) searcher(p store.Plan) (*searcher, error) {
	if err := plan.Check(p); err != nil {
		return nil, err
	}
	after, err := plan.ReadCursor(p)
	if err != nil {
		return nil, err
	}
	c, err := newCondition(p)
	if err != nil {
		return nil, err
	}
	s := &searcher{condition: c, db: db, plan: p, orders: c.orders(p)}
	if c.root.Kind == plan.Never {
		return s, nil
	}
	s.after = c.placeOf(after, s.orders)
	if s.after != nil {
		for i, o := range s.orders {
			if _, err := parseInstant(s.after.keys[i]); o.field == "u" && err != nil {
				return nil, fmt.Errorf("%w", store.ErrCursor)
			}
		}
	}
	return s, nil
}

// Search implements store.Store.
func (db *DB) Search(ctx context.Context, p store.Plan) (store.Page, error) {
	s, err := db.searcher(p)
	if err != nil || s.root.Kind == plan.Never {
		return store.Page{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, db.searchFor())
	defer cancel()
	// A version that is gone was expunged meanwhile: its head is no more.
	var page store.Page
	for {
		rows, err := s.rows(ctx)
		if err != nil {
			return store.Page{}, err
		}
		more := len(rows) > p.Limit
		if more {
			rows = rows[:p.Limit]
			page.Next = rows[p.Limit-1].cursor(s.orders).Encode(p)
			s.after = &rows[p.Limit-1]
		}
		if page.Records, err = s.records(ctx, rows); err != nil {
			return store.Page{}, err
		}
		if len(page.Records) > 0 || !more {
			if !more {
				page.Next = ""
			}
			return page, nil
		}
	}
}

// rows finds one page and, if there is one, the row after it. A unit is seen as a
// whole or not at all: what the query says of the members of units that may have been
// half done is replaced by what the journal says.
func (s *searcher) rows(ctx context.Context) ([]row, error) {
	j, err := s.db.journal(ctx, s.condition)
	if err != nil {
		return nil, err
	}
	var (
		found []row
		need  = s.plan.Limit + 1
		from  = s.after
	)
	for {
		rows, err := s.query(ctx, from, need)
		if err != nil {
			return nil, err
		}
		found = append(found, rows...)
		full := len(rows) == need // more may follow
		s.readAhead(ctx, found)
		for queried := true; ; queried = false {
			keys, err := j.advance(ctx, queried)
			if err != nil {
				return nil, err
			}
			if !s.concerns(j, keys, found) {
				break
			}
		}
		if len(j.heads) == 0 {
			return found, nil
		}
		var last *row
		if full {
			last = &found[len(found)-1]
		}
		out := s.merge(j, found, last)
		if !full || len(out) >= need {
			return out[:min(len(out), need)], nil
		}
		from = last
	}
}

// concerns says whether heads that were read again bear on the answer: one was found
// by the query, or is to be found now.
func (s *searcher) concerns(j *journal, keys []string, found []row) bool {
	return slices.ContainsFunc(keys, func(key string) bool {
		st := j.state(key)
		return st != nil && s.live(key, st) || slices.ContainsFunc(found, func(r row) bool { return r.id == key })
	})
}

// merge puts what the journal says of its members in the place of what was found of
// them: of those that come after the page before, and not after last, beyond which
// nothing is known.
func (s *searcher) merge(j *journal, found []row, last *row) []row {
	out := slices.DeleteFunc(slices.Clone(found), func(r row) bool { _, ok := j.heads[r.id]; return ok })
	for key := range j.heads {
		st := j.state(key)
		if st == nil || !s.live(key, st) {
			continue
		}
		r := newRow(key, st, s.orders)
		if (s.after == nil || compare(s.orders, s.after, &r) < 0) && (last == nil || compare(s.orders, &r, last) <= 0) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b row) int { return compare(s.orders, &a, &b) })
	return out
}

// A reading of versions is under way, or done.
type reading struct {
	done chan struct{}
	docs map[string]*versionDoc // by _id; fewer than asked for after an error
}

// readAhead begins to read the versions of the first page of what was found. The
// journal nearly always leaves it as it is, and is asked meanwhile.
func (s *searcher) readAhead(ctx context.Context, found []row) {
	if s.read != nil || len(found) == 0 {
		return
	}
	ids := versionIDs(found[:min(len(found), s.plan.Limit)])
	r := &reading{done: make(chan struct{})}
	s.read = r
	go func() {
		defer close(r.done)
		r.docs, _ = s.db.versionsOf(ctx, ids) // records tries what is missing again
	}()
}

func versionIDs(rows []row) []string {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = versionID(r.id, r.version, r.nonce)
	}
	return ids
}

// versionsOf reads versions: those that are there, by _id.
func (db *DB) versionsOf(ctx context.Context, ids []string) (map[string]*versionDoc, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var docs map[string]*versionDoc
	err := db.retry(ctx, "read the versions of a page", func(ctx context.Context) error {
		docs = make(map[string]*versionDoc, len(ids))
		cur, err := db.coll(versions).Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, options.Find().SetBatchSize(atOnce(len(ids))))
		if err != nil {
			return err
		}
		defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
		for cur.Next(ctx) {
			v := new(versionDoc)
			if err := cur.Decode(v); err != nil {
				return err
			}
			docs[v.ID] = v
		}
		return cur.Err()
	})
	return docs, err
}

// records reads the versions of rows, in their order. A row whose version is gone must
// have been expunged meanwhile; else the store is damaged.
func (s *searcher) records(ctx context.Context, rows []row) ([]*store.Record, error) {
	ids, byID := versionIDs(rows), map[string]*versionDoc{}
	if s.read != nil {
		<-s.read.done
		maps.Copy(byID, s.read.docs) // what could not be read is tried again
		s.read = nil
	}
	rest, err := s.db.versionsOf(ctx, slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return byID[id] != nil }))
	if err != nil {
		return nil, err
	}
	maps.Copy(byID, rest)
	var out []*store.Record
	for i, r := range rows {
		id, _ := decode(idOf(r.id))
		k := store.Key{Type: s.plan.Type, ID: id}
		v := byID[ids[i]]
		if v == nil {
			if _, err := s.db.Read(ctx, k); err != nil && !errors.Is(err, store.ErrNotFound) {
				return nil, err
			}
			continue
		}
		rec, err := s.db.record(ctx, k, v)
		if err != nil {
			return nil, err
		}
		if rec.Deleted {
			return nil, fmt.Errorf("%s: %w: the head of %s says that it is there, its version %d that it is deleted", s.db.where(), store.ErrDamaged, k, rec.Version)
		}
		out = append(out, rec)
	}
	return out, nil
}

// Count implements store.Store.
func (db *DB) Count(ctx context.Context, p store.Plan) (int, error) {
	p.Limit, p.Sort, p.After = 1, nil, ""
	s, err := db.searcher(p)
	if err != nil || s.root.Kind == plan.Never {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, db.searchFor())
	defer cancel()
	j, err := db.journal(ctx, s.condition)
	if err != nil {
		return 0, err
	}
	n, err := s.count(ctx, 0)
	if err != nil {
		return 0, err
	}
	if keys, err := j.advance(ctx, true); err != nil || len(keys) == 0 {
		return n, err
	}
	return s.tally(ctx, j)
}

// tally counts by ids. Of a mere number nobody can tell what it says of a unit that was
// written meanwhile, and where many write there always is one.
func (s *searcher) tally(ctx context.Context, j *journal) (int, error) {
	ids, err := s.every(ctx)
	if err != nil {
		return 0, err
	}
	for queried := true; ; queried = false {
		keys, err := j.advance(ctx, queried)
		if err != nil {
			return 0, err
		}
		if len(keys) == 0 {
			break
		}
	}
	n := 0
	for id := range ids {
		if !j.has(id) {
			n++
		}
	}
	for key := range j.heads {
		if st := j.state(key); st != nil && s.live(key, st) {
			n++
		}
	}
	return n, nil
}

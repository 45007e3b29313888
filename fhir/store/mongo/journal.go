package mongo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// A journal makes a search see each unit as a whole or not at all. A query reads the
// base states of heads, of which a committed unit may have replaced some and not yet
// others. So after the query the units are listed that may have been half done while
// it ran: those still open, and those closed under a number above the one that the
// epoch counter had before. The members of the committed ones are read again and
// judged in memory. As long as reading them may have shown a unit that was not listed
// yet, they are listed again: one that shares a member with those. What is committed
// only then, and shares none, is seen by nobody, so that a search comes to an end
// however much is written meanwhile.
type journal struct {
	db    *DB
	typ   string              // prefix of the type's head ids
	since int64               // what the epoch counter was before the query
	begun time.Time           // when it was that
	known map[string]bool     // committed units whose members have been read
	heads map[string]*headDoc // members by _id, as last read; nil: not there
}

// journal begins one, before the first query.
func (db *DB) journal(ctx context.Context, c condition) (*journal, error) {
	s, err := db.lately(ctx)
	if err != nil {
		return nil, err
	}
	return &journal{
		db: db, typ: c.ids(), since: s.n, begun: s.at,
		known: map[string]bool{}, heads: map[string]*headDoc{},
	}, nil
}

// advance lists units and reads what members have not been read since their unit was
// known to be committed. It returns which; none means that what was read before shows
// every unit as a whole. queried says that a query has been made since: that may have
// shown a part of any unit.
func (j *journal) advance(ctx context.Context, queried bool) ([]string, error) {
	list, err := j.committed(ctx)
	if err != nil {
		return nil, err
	}
	// Only now: also a process that stood still before it asked must not take a list for
	// whole from which units have gone.
	if took := time.Since(j.begun) + j.db.late; took > unitKept/2 {
		return nil, fmt.Errorf("%s: a search took %v; units that were written meanwhile may be forgotten", j.db.where(), took.Round(time.Second))
	}
	var keys []string
	for _, u := range list {
		if j.known[u.ID] || !queried && !slices.ContainsFunc(u.Members, j.has) {
			continue
		}
		j.known[u.ID] = true
		for _, key := range u.Members {
			if strings.HasPrefix(key, j.typ) {
				keys = append(keys, key)
			}
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	return keys, j.read(ctx, keys)
}

// has says whether a head has been read.
func (j *journal) has(key string) bool {
	_, ok := j.heads[key]
	return ok
}

// listed is how many units a server should give at once. One that is closed between
// two batches moves in the index to where the first has been.
const listed = 10_000

func (j *journal) committed(ctx context.Context) (list []unitDoc, err error) {
	from := j.db.searched(units)
	filter := bson.D{{Key: "ts", Value: strings.TrimSuffix(j.typ, "/")}, {Key: "c", Value: bson.D{{Key: "$gt", Value: j.since}}}}
	opts := options.Find().SetProjection(bson.D{{Key: "s", Value: 1}, {Key: "m", Value: 1}}).SetHint(j.db.named(units, "journal")).SetBatchSize(listed)
	err = j.db.retry(ctx, "list units", func(ctx context.Context) error {
		cur, err := from.Find(ctx, filter, opts)
		if err != nil {
			return err
		}
		list = nil
		return cur.All(ctx, &list)
	})
	return slices.DeleteFunc(list, func(u unitDoc) bool { return u.Status != committed }), err
}

// read reads heads, and takes note of those that are not there.
func (j *journal) read(ctx context.Context, keys []string) error {
	for part := range slices.Chunk(keys, 500) {
		var docs []*headDoc
		err := j.db.retry(ctx, "read heads", func(ctx context.Context) error {
			cur, err := j.db.coll(heads).Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: part}}}}, options.Find().SetBatchSize(atOnce(len(part))))
			if err != nil {
				return err
			}
			docs = nil
			return cur.All(ctx, &docs)
		})
		if err != nil {
			return err
		}
		for _, key := range part {
			j.heads[key] = nil
		}
		for _, h := range docs {
			j.heads[h.ID] = h
		}
	}
	return nil
}

// state is a member's state with every committed unit: its intent's if its unit is
// committed, else its base state; nil if it is not there.
func (j *journal) state(key string) *state {
	h := j.heads[key]
	switch {
	case h == nil:
		return nil
	case h.Intent != nil && j.known[h.Intent.Unit]:
		return &h.Intent.State
	}
	return &h.State
}

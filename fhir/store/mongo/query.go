package mongo

import (
	"context"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/store/plan"
)

const (
	// few is how many heads are fetched without an order, to be sorted here: for most
	// searches that is one query that an index answers.
	few = 256
	// many is from how many heads on the type is walked in the order asked for: a page
	// is full before as many have been looked at.
	many = 4096
)

// query finds up to need heads after a place, in order, by their base states. In the
// order of a parameter the server sorts, however few there are: to sort here, all
// their entries would have to come.
func (s *searcher) query(ctx context.Context, from *row, need int) ([]row, error) {
	start := s.start(s.root)
	older, newer := s.dated()
	switch {
	case start == fromType && older == "" && newer == "":
		return s.walk(ctx, from, need)
	case s.byParameter():
		return s.sorted(ctx, from, need, s.driven(), s.db.hintOf(start))
	}
	walk, known := s.db.plenty.get(plan.Hash(s.plan))
	if !known {
		rows, err := s.gather(ctx)
		if err != nil {
			return nil, err
		}
		if len(rows) <= few {
			rows = slices.DeleteFunc(rows, func(r row) bool { return from != nil && compare(s.orders, from, &r) >= 0 })
			slices.SortFunc(rows, func(a, b row) int { return compare(s.orders, &a, &b) })
			return rows[:min(len(rows), need)], nil
		}
		if walk, err = s.toWalk(ctx); err != nil {
			return nil, err
		}
		s.db.plenty.set(plan.Hash(s.plan), walk)
	}
	if walk {
		return s.walk(ctx, from, need)
	}
	return s.sorted(ctx, from, need, s.driven(), s.db.hintOf(start))
}

// toWalk says whether so much is found that the type is walked for it.
func (s *searcher) toWalk(ctx context.Context) (bool, error) {
	switch {
	case s.start(s.root) == fromType:
		return true, nil
	case !s.walkable():
		return false, nil
	}
	n, err := s.count(ctx, many)
	return n >= many, err
}

// walkable says whether the type can be walked in the order asked for.
func (s *searcher) walkable() bool {
	o := s.orders[0]
	return o.field == "i" || o.field == "u" && len(s.orders) == 1
}

// byParameter says whether the order asks for entries.
func (s *searcher) byParameter() bool {
	return s.orders[0].field != "i" && slices.ContainsFunc(s.orders, func(o order) bool { return o.field == "" })
}

// hintOf names the index to start from. Left to itself a server may look at all heads
// of the type as well, or instead.
func (db *DB) hintOf(s start) string {
	switch s {
	case fromEntries:
		return db.named(heads, "entry")
	case fromIDs:
		return byID
	case fromType:
	}
	return db.named(heads, "newest")
}

// driven is the filter of a search. Entries are those of live heads of the type; a
// head that is found by its id may be deleted.
func (s *searcher) driven() bson.A {
	if s.start(s.root) == fromType {
		return s.whole()
	}
	out := bson.A{}
	if f := s.driving(s.root); f != nil {
		out = append(out, f)
	}
	if s.start(s.root) != fromEntries {
		out = append(out, bson.D{{Key: "d", Value: false}})
	}
	return out
}

// whole is the filter of a search that looks at all of the type.
func (s *searcher) whole() bson.A {
	out := bson.A{bson.D{{Key: "t", Value: s.typ}}, bson.D{{Key: "d", Value: false}}}
	if f := s.judging(s.root); f != nil {
		out = append(out, f)
	}
	return out
}

// gather fetches a few heads as the index gives them, one more if there are more.
func (s *searcher) gather(ctx context.Context) ([]row, error) {
	return s.find(ctx, question{filter: s.driven(), limit: few + 1, hint: s.db.hintOf(s.start(s.root))})
}

// find runs a query whose rows have their sort values in the head itself.
func (s *searcher) find(ctx context.Context, q question) (rows []row, err error) {
	q.fields = bson.D{{Key: "v", Value: 1}, {Key: "n", Value: 1}, {Key: "u", Value: 1}}
	if slices.ContainsFunc(s.orders, func(o order) bool { return o.field == "" }) {
		q.fields = append(q.fields, bson.E{Key: "ix", Value: 1})
	}
	err = s.db.retry(ctx, "search", func(ctx context.Context) error {
		cur, err := s.db.ask(ctx, q.command())
		if err != nil {
			return err
		}
		var docs []headDoc
		if err := cur.All(ctx, &docs); err != nil {
			return err
		}
		rows = make([]row, len(docs))
		for i := range docs {
			rows[i] = newRow(docs[i].ID, &docs[i].State, s.orders)
		}
		return nil
	})
	return rows, err
}

func allOf(conditions bson.A) bson.D {
	if len(conditions) == 1 {
		return conditions[0].(bson.D)
	}
	return bson.D{{Key: "$and", Value: conditions}}
}

// sorted has the server sort all heads that fit a filter.
func (s *searcher) sorted(ctx context.Context, from *row, need int, filter bson.A, hint string) ([]row, error) {
	if slices.ContainsFunc(s.orders, func(o order) bool { return o.field == "" }) {
		return s.computed(ctx, from, need, filter, hint)
	}
	if from != nil {
		filter = append(filter, s.beyond(from, func(i int) string { return s.orders[i].field }))
	}
	return s.find(ctx, question{filter: filter, sort: s.sort(func(i int) string { return s.orders[i].field }), limit: need, hint: hint})
}

// sort is the server's order by the field of each key, in the end by id.
func (s *searcher) sort(field func(i int) string) bson.D {
	var out bson.D
	for i, o := range s.orders {
		if slices.ContainsFunc(out, func(e bson.E) bool { return e.Key == field(i) }) {
			continue
		}
		out = append(out, bson.E{Key: field(i), Value: o.word()})
	}
	if !slices.ContainsFunc(out, func(e bson.E) bool { return e.Key == "i" }) {
		out = append(out, bson.E{Key: "i", Value: 1})
	}
	return out
}

// beyond is the condition of coming after a place: beyond its first value, or equal
// to it and beyond the next, in the end beyond its id.
func (s *searcher) beyond(from *row, field func(i int) string) bson.D {
	out := bson.D{{Key: "i", Value: bson.D{{Key: "$gt", Value: idOf(from.id)}}}}
	for i := len(s.orders) - 1; i >= 0; i-- {
		o, at := s.orders[i], from.keys[i]
		past := bson.D{{Key: field(i), Value: bson.D{{Key: o.beyond(), Value: at}}}}
		same := bson.D{{Key: "$and", Value: bson.A{bson.D{{Key: field(i), Value: at}}, out}}}
		out = bson.D{{Key: "$or", Value: bson.A{past, same}}}
	}
	return out
}

// computed has the server compute the sort values, and sort.
func (s *searcher) computed(ctx context.Context, from *row, need int, filter bson.A, hint string) (rows []row, err error) {
	fields := bson.D{{Key: "v", Value: 1}, {Key: "n", Value: 1}, {Key: "u", Value: 1}, {Key: "i", Value: 1}}
	name := func(i int) string {
		if s.orders[i].field != "" {
			return s.orders[i].field
		}
		return "k" + string(rune('0'+i))
	}
	for i, o := range s.orders {
		if o.field == "" {
			fields = append(fields, bson.E{Key: name(i), Value: o.computed()})
		}
	}
	pipeline := bson.A{bson.D{{Key: "$match", Value: allOf(filter)}}, bson.D{{Key: "$project", Value: fields}}}
	if from != nil {
		pipeline = append(pipeline, bson.D{{Key: "$match", Value: s.beyond(from, name)}})
	}
	pipeline = append(pipeline, bson.D{{Key: "$sort", Value: s.sort(name)}}, bson.D{{Key: "$limit", Value: need}})
	err = s.db.retry(ctx, "search", func(ctx context.Context) error {
		cur, err := s.db.ask(ctx, bson.D{
			{Key: "aggregate", Value: heads.name}, {Key: "pipeline", Value: pipeline}, {Key: "hint", Value: hint},
			{Key: "allowDiskUse", Value: true}, {Key: "cursor", Value: bson.D{{Key: "batchSize", Value: atOnce(need)}}},
		})
		if err != nil {
			return err
		}
		var docs []bson.M
		if err := cur.All(ctx, &docs); err != nil {
			return err
		}
		rows = make([]row, len(docs))
		for i, doc := range docs {
			if rows[i], err = s.computedRow(doc, name); err != nil {
				return err
			}
		}
		return nil
	})
	return rows, err
}

// all is the filter for every head that satisfies the condition, and the index to find
// them by.
func (s *searcher) all() (filter bson.A, hint string) {
	return s.driven(), s.db.hintOf(s.start(s.root))
}

// every gives the _id of each head that satisfies the condition, in one answer of the
// server as far as they fit.
func (s *searcher) every(ctx context.Context) (map[string]bool, error) {
	filter, hint := s.all()
	q := question{filter: filter, fields: bson.D{{Key: "_id", Value: 1}}, hint: hint}
	var out map[string]bool
	err := s.db.retry(ctx, "count", func(ctx context.Context) error {
		cur, err := s.db.ask(ctx, q.command())
		if err != nil {
			return err
		}
		defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
		for out = map[string]bool{}; cur.Next(ctx); {
			id, ok := cur.Current.Lookup("_id").StringValueOK()
			if !ok {
				return s.db.damaged("a head")
			}
			out[id] = true
		}
		return cur.Err()
	})
	return out, err
}

// count counts heads that satisfy the condition: all of them, or up to a bound above 0.
func (s *searcher) count(ctx context.Context, most int64) (n int, err error) {
	filter, hint := s.all()
	opts := options.Count().SetHint(hint)
	if most > 0 {
		opts.SetLimit(most)
	}
	err = s.db.retry(ctx, "count", func(ctx context.Context) error {
		c, err := s.db.searched(heads).CountDocuments(ctx, allOf(filter), opts)
		n = int(c)
		return err
	})
	return n, err
}

// walk finds a page by going through the type in the order asked for, or sorts all of
// it.
func (s *searcher) walk(ctx context.Context, from *row, need int) ([]row, error) {
	switch {
	case s.orders[0].field == "i":
		return s.walkIDs(ctx, from, need)
	case s.walkable():
		return s.walkTime(ctx, from, need)
	}
	return s.sorted(ctx, from, need, s.whole(), s.db.hintOf(fromType))
}

// walkIDs goes through the type by id. No write moves a head in this order.
func (s *searcher) walkIDs(ctx context.Context, from *row, need int) ([]row, error) {
	low, high := bson.E{Key: "$gte", Value: s.ids()}, bson.E{Key: "$lt", Value: next(s.ids())}
	descending := s.orders[0].descending
	switch {
	case from != nil && descending:
		high.Value = from.id
	case from != nil:
		low = bson.E{Key: "$gt", Value: from.id}
	}
	filter := bson.A{bson.D{{Key: "_id", Value: bson.D{low, high}}}, bson.D{{Key: "d", Value: false}}}
	if s.root.Kind != plan.All {
		filter = append(filter, s.judging(s.root))
	}
	return s.find(ctx, question{filter: filter, sort: bson.D{{Key: "_id", Value: s.orders[0].word()}}, limit: need, hint: byID})
}

func (s *searcher) computedRow(doc bson.M, name func(i int) string) (row, error) {
	r := row{}
	var ok [3]bool
	r.id, ok[0] = doc["_id"].(string)
	r.version, ok[1] = doc["v"].(int64)
	r.nonce, ok[2] = doc["n"].(string)
	for i := range s.orders {
		k, isText := doc[name(i)].(string)
		if !isText {
			return row{}, s.db.damaged("a head")
		}
		r.keys = append(r.keys, strings.Clone(k))
	}
	if ok != [3]bool{true, true, true} {
		return row{}, s.db.damaged("a head")
	}
	return r, nil
}

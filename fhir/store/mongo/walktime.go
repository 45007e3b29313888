package mongo

import (
	"context"
	"math/bits"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/plan"
)

// Not every server can take the order of time out of an index: one that sorts all of
// a type for each page takes longer the more there is. A range of instants that holds
// a page or a little more bounds the work, and any server finds it by index. So the
// type is walked in windows of time, from the newest on or from the oldest, each as
// wide as a few counts up to a bound say, and the instant to which a search had to go
// is remembered: the next time it is one query. Whatever the windows are, together
// they are all of the type.

const (
	windowCounts   = 24 // how often at most the width of a window is corrected
	shortestWindow = 250 * time.Millisecond
	longestWindow  = 200 * 365 * 24 * time.Hour // what is farther stands in the last one
)

// walkTime goes through the type from the newest on, or from the oldest. Where that
// took several windows they are asked for once more as one: each is a query of its
// own, and a head that was written meanwhile may be in neither, or in two.
func (s *searcher) walkTime(ctx context.Context, from *row, need int) ([]row, error) {
	var (
		key   = plan.Hash(s.plan) + string(rune(bits.Len(uint(need)))) //nolint:gosec // positive
		begin = ""
		far   string
		rows  []row
		want  = max(64, 2*need)
	)
	if from == nil {
		begin, _ = s.sides()
		far, _ = s.db.extents.get(key)
	}
	for near, alone := begin, true; ; near, alone = far, false {
		if far == "" || !alone {
			var err error
			if far, err = s.reach(ctx, from, near, want); err != nil {
				return nil, err
			}
		}
		part, err := s.window(ctx, from, near, far, need-len(rows))
		if err != nil {
			return nil, err
		}
		rows = append(rows, part...)
		if !alone && (len(rows) == need || far == "") {
			if rows, err = s.window(ctx, from, begin, far, need); err != nil {
				return nil, err
			}
		}
		if len(rows) == need || far == "" {
			if from == nil && len(rows) == need {
				s.db.extents.set(key, s.beyondOf(rows[need-1].keys[0]))
			}
			return rows, nil
		}
		want *= 4
	}
}

// beyondOf is the end of a window that holds an instant and nothing behind it.
func (s *searcher) beyondOf(at string) string {
	if t, err := parseInstant(at); err == nil && !s.orders[0].descending {
		return resource.FormatInstant(t.Add(time.Millisecond))
	}
	return at
}

// dated are the bounds that the condition sets to the instants of all that satisfy it:
// from older on, and before newer; "" where it sets none.
func (c condition) dated() (older, newer string) {
	leaves := []*plan.Node{c.root}
	if c.root.Kind == plan.And {
		leaves = c.root.Args
	}
	for _, n := range leaves {
		if n.Kind != plan.Leaf || n.Param != store.ParamLastUpdated || len(n.Spans) != 1 {
			continue
		}
		low, high := n.Spans[0].Low, n.Spans[0].High
		if isInstant(low) {
			older = max(older, low)
		}
		if isInstant(high) && (newer == "" || high < newer) {
			newer = high
		}
	}
	return older, newer
}

func isInstant(s string) bool {
	t, err := parseInstant(s)
	return err == nil && resource.FormatInstant(t) == s
}

// sides are the bounds in the direction of the walk.
func (s *searcher) sides() (begin, end string) {
	older, newer := s.dated()
	if s.orders[0].descending {
		return newer, older
	}
	return older, newer
}

// span is the range of instants of a window: from near on, else from the place of
// from, up to far. The older end is part of it, the newer one is not, but for the
// place.
func (s *searcher) span(from *row, near, far string) bson.D {
	older, newer := bson.E{Key: "$gte", Value: near}, bson.E{Key: "$lt", Value: far}
	if s.orders[0].descending {
		older.Value, newer.Value = far, near
		if from != nil && near == "" {
			newer = bson.E{Key: "$lte", Value: from.keys[0]}
		}
	} else if from != nil && near == "" {
		older.Value = from.keys[0]
	}
	return slices.DeleteFunc(bson.D{newer, older}, func(e bson.E) bool { return e.Value == "" })
}

// window finds what is between near and far, from the place of from on.
func (s *searcher) window(ctx context.Context, from *row, near, far string, need int) ([]row, error) {
	filter := s.whole()
	if in := s.span(from, near, far); len(in) > 0 {
		filter = append(filter, bson.D{{Key: "u", Value: in}})
	}
	if from != nil && near == "" {
		filter = append(filter, s.beyond(from, func(int) string { return "u" }))
	}
	order := bson.D{{Key: "u", Value: s.orders[0].word()}, {Key: "i", Value: 1}}
	return s.find(ctx, question{filter: filter, sort: order, limit: need, hint: s.db.named(heads, "newest")})
}

// reach chooses where a window ends that begins at near, or at from, or where all
// begins: it holds at least want heads of the type, and not many more if instants
// tell them apart; "" if there are no more than that.
func (s *searcher) reach(ctx context.Context, from *row, near string, want int) (string, error) {
	most := 8 * want
	count := func(far string) (int, error) { return s.within(ctx, s.span(from, near, far), most) }
	_, end := s.sides()
	if n, err := count(end); err != nil || n < most {
		return "", err
	}
	begin, err := s.beginning(ctx, from, near)
	if err != nil {
		return "", err
	}
	// narrow holds fewer than want; wide holds at least most, 0: it is not known yet.
	narrow, wide := time.Duration(0), time.Duration(0)
	for w, i := shortestWindow, 0; i < windowCounts && w > narrow && w < longestWindow; i++ {
		far := s.away(begin, w)
		n, err := count(far)
		switch {
		case err != nil:
			return "", err
		case n < want:
			narrow = w
		case n < most:
			return far, nil
		default:
			wide = w
		}
		if w *= 16; wide > 0 {
			w = (narrow + (wide-narrow)/2).Truncate(time.Millisecond)
		}
	}
	if wide == 0 {
		return "", nil
	}
	return s.away(begin, wide), nil
}

// away is the instant that is so far from another, in the direction of the walk.
func (s *searcher) away(from time.Time, w time.Duration) string {
	if s.orders[0].descending {
		w = -w
	}
	return resource.FormatInstant(from.Add(w))
}

// beginning is where a window begins: at near, at from, now, or not long before the
// oldest head of the type.
func (s *searcher) beginning(ctx context.Context, from *row, near string) (time.Time, error) {
	if near == "" && from != nil {
		near = from.keys[0]
	}
	if near != "" {
		at, err := parseInstant(near)
		if err != nil {
			return at, s.db.damaged("a head")
		}
		return at, nil
	}
	now := s.db.now()
	if s.orders[0].descending {
		return now, nil
	}
	for w := shortestWindow; w < longestWindow; w *= 16 {
		at := now.Add(-w)
		n, err := s.within(ctx, bson.D{{Key: "$lt", Value: resource.FormatInstant(at)}}, 1)
		if err != nil || n == 0 {
			return at, err
		}
	}
	return now.Add(-longestWindow), nil
}

// within counts the type's heads of a range of instants, up to a bound.
func (s *searcher) within(ctx context.Context, in bson.D, most int) (n int, err error) {
	filter := bson.D{{Key: "t", Value: s.typ}, {Key: "d", Value: false}}
	if len(in) > 0 {
		filter = append(filter, bson.E{Key: "u", Value: in})
	}
	err = s.db.retry(ctx, "count", func(ctx context.Context) error {
		c, err := s.db.searched(heads).CountDocuments(ctx, filter, options.Count().SetLimit(int64(most)).SetHint(s.db.named(heads, "newest")))
		n = int(c)
		return err
	})
	return n, err
}

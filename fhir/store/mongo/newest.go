package mongo

import (
	"context"
	"math/bits"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store/plan"
)

// Not every server can take the order "newest first" out of an index: one that sorts
// all of a type for each page takes longer the more there is. A range of instants that
// holds a page or a little more bounds the work, and any server finds it by index. So
// the type is walked in windows of time, each as wide as a few counts up to a bound
// say, and the instant down to which a search had to go is remembered: the next time
// it is one query. Whatever the windows are, together they are all of the type.

const (
	windowCounts  = 24                         // how often at most the width of a window is corrected
	longestWindow = 200 * 365 * 24 * time.Hour // what is older stands in the last one
)

// floors remember, for a search, an instant from which on it found a page.
type floors struct {
	mu sync.Mutex
	at map[string]string
}

// mostFloors bounds the memory; what is forgotten is found out again.
const mostFloors = 4096

func (f *floors) get(key string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at[key]
}

func (f *floors) set(key, at string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at == nil || len(f.at) >= mostFloors {
		f.at = map[string]string{}
	}
	f.at[key] = at
}

// walkNewest goes through the type from the newest on. Where that took several windows
// they are asked for once more as one: each is a query of its own, and a head that was
// written after the one it went to and before the one it came from is in neither.
func (s *searcher) walkNewest(ctx context.Context, from *row, need int) ([]row, error) {
	var (
		key  = plan.Hash(s.plan) + string(rune(bits.Len(uint(need)))) //nolint:gosec // positive
		low  string
		rows []row
		want = max(64, 2*need)
	)
	if from == nil {
		low = s.db.floors.get(key)
	}
	for high, alone := "", true; ; high, alone = low, false {
		if low == "" || high != "" {
			var err error
			if low, err = s.floor(ctx, from, high, want); err != nil {
				return nil, err
			}
		}
		part, err := s.window(ctx, from, low, high, need-len(rows))
		if err != nil {
			return nil, err
		}
		rows = append(rows, part...)
		if !alone && (len(rows) == need || low == "") {
			if rows, err = s.window(ctx, from, low, "", need); err != nil {
				return nil, err
			}
		}
		if len(rows) == need || low == "" {
			if from == nil && len(rows) == need {
				s.db.floors.set(key, rows[need-1].keys[0])
			}
			return rows, nil
		}
		want *= 4
	}
}

// upper bounds a window: before high, else up to the place of from.
func upper(from *row, high string) bson.D {
	switch {
	case high != "":
		return bson.D{{Key: "$lt", Value: high}}
	case from != nil:
		return bson.D{{Key: "$lte", Value: from.keys[0]}}
	}
	return nil
}

// window finds what is at or after low ("": from the beginning) and below upper.
func (s *searcher) window(ctx context.Context, from *row, low, high string, need int) ([]row, error) {
	filter, in := s.whole(), upper(from, high)
	if low != "" {
		in = append(in, bson.E{Key: "$gte", Value: low})
	}
	if len(in) > 0 {
		filter = append(filter, bson.D{{Key: "u", Value: in}})
	}
	if from != nil && high == "" {
		filter = append(filter, s.beyond(from, func(int) string { return "u" }))
	}
	opts := options.Find().SetLimit(int64(need)).SetBatchSize(atOnce(need)).SetSort(bson.D{{Key: "u", Value: -1}, {Key: "i", Value: 1}}).SetHint("newest")
	return s.find(ctx, filter, opts)
}

// floor chooses where a window begins that ends at high, or at from, or now: it holds
// at least want heads of the type, and not many more if instants tell them apart; ""
// if there are no more than that.
func (s *searcher) floor(ctx context.Context, from *row, high string, want int) (string, error) {
	end, most := s.db.now(), 8*want
	if below := upper(from, high); below != nil {
		var err error
		if end, err = parseInstant(below[0].Value.(string)); err != nil {
			return "", s.db.damaged("a head")
		}
	}
	count := func(low string) (int, error) { return s.within(ctx, from, low, high, most) }
	if n, err := count(""); err != nil || n < most {
		return "", err
	}
	// narrow holds fewer than want; wide holds at least most, 0: it is not known yet.
	narrow, wide := time.Duration(0), time.Duration(0)
	for w, i := 250*time.Millisecond, 0; i < windowCounts && w > narrow && w < longestWindow; i++ {
		low := resource.FormatInstant(end.Add(-w))
		n, err := count(low)
		switch {
		case err != nil:
			return "", err
		case n < want:
			narrow = w
		case n < most:
			return low, nil
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
	return resource.FormatInstant(end.Add(-wide)), nil
}

// within counts the type's heads of a window, up to a bound.
func (s *searcher) within(ctx context.Context, from *row, low, high string, most int) (n int, err error) {
	in := append(upper(from, high), bson.E{Key: "$gte", Value: low})
	filter := bson.D{{Key: "t", Value: s.typ}, {Key: "d", Value: false}, {Key: "u", Value: in}}
	err = s.db.retry(ctx, "count", func(ctx context.Context) error {
		c, err := s.heads.CountDocuments(ctx, filter, options.Count().SetLimit(int64(most)).SetHint("newest"))
		n = int(c)
		return err
	})
	return n, err
}

// atOnce is how many documents a server should give at once: all of a page.
func atOnce(need int) int32 { return int32(min(need, 1000)) } //nolint:gosec // at most 1000

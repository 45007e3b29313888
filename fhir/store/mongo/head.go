package mongo

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// nothing is the state of a resource that is not there. It counts as deleted, so
// that no search finds it.
func nothing() state { return state{Deleted: true, Index: []string{}} }

// stateAfter is what a write makes of a head's state.
func (db *DB) stateAfter(was *state, w *store.Write, nonce string) state {
	next := state{Version: was.Version + 1, Nonce: nonce, Updated: db.updatedAfter(was.Updated), Deleted: w.Deleted, Index: []string{}}
	for _, e := range w.Entries() {
		next.Index = append(next.Index, entryOf(w.Type, e))
	}
	if !w.Deleted {
		for _, c := range w.Claims {
			next.Claims = append(next.Claims, encode(c))
		}
		slices.Sort(next.Claims)
		next.Claims = slices.Compact(next.Claims)
	}
	return next
}

// maxState bounds what a version's entries and claims take in a document. A head holds
// those of two versions while one is being written, and a document 16 MiB.
const maxState = 7 << 20

// inArray is what a string takes in an array of a document beside its bytes.
const inArray = 16

// fits refuses a state that no head can hold.
func (s *state) fits() error {
	size := 0
	for _, of := range [][]string{s.Index, s.Claims} {
		for _, v := range of {
			size += len(v) + inArray
		}
	}
	if size > maxState {
		return tooLarge("%d index entries and %d claims take %d bytes, at most %d are kept of one resource", len(s.Index), len(s.Claims), size, maxState)
	}
	return nil
}

// sound says whether a state can have been written: one without a version says nothing
// of a resource. A field that was lost must not make a resource absent.
func (s *state) sound() bool {
	if s.Version == 0 {
		return s.Deleted && s.Updated == "" && len(s.Index) == 0 && len(s.Claims) == 0
	}
	return s.Version > 0 && s.Nonce != ""
}

// entries gives a state's index entries as records have them.
func (s *state) entries(typ string) ([]string, error) {
	var out []string
	for _, e := range s.Index {
		rest, mine := strings.CutPrefix(e, encode(typ)+"|")
		entry, ok := decode(rest)
		if !mine || !ok {
			return nil, fmt.Errorf("%w: index entry %q", store.ErrDamaged, e)
		}
		out = append(out, entry)
	}
	return out, nil
}

func newHead(k store.Key, s state) *headDoc {
	return &headDoc{ID: keyOf(k), Type: encode(k.Type), ResourceID: encode(k.ID), State: s}
}

// at matches the head while it is in this state and no intent stands on it, nor has
// stood since it was read.
func (s *state) at(key string) bson.M {
	none := bson.M{"$exists": false}
	filter := bson.M{"_id": key, "v": s.Version, "n": s.Nonce, "x": none, "a": none}
	if s.Cleared != "" {
		filter["a"] = s.Cleared
	}
	return filter
}

// headOf reads one head as it stands, nil if there is none.
func (db *DB) headOf(ctx context.Context, key string) (*headDoc, error) {
	var h headDoc
	err := db.retry(ctx, "read a head", func(ctx context.Context) error {
		h = headDoc{}
		return db.coll(heads).FindOne(ctx, bson.M{"_id": key}).Decode(&h)
	})
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &h, nil
}

// headsOf reads several heads as they stand: those that are there, by key.
func (db *DB) headsOf(ctx context.Context, keys []string) (map[string]*headDoc, error) {
	var hs []*headDoc
	switch len(keys) {
	case 0:
	case 1:
		h, err := db.headOf(ctx, keys[0])
		if err != nil || h == nil {
			return nil, err
		}
		hs = append(hs, h)
	default:
		if err := db.findAll(ctx, heads, bson.M{"_id": bson.M{"$in": keys}}, nil, &hs); err != nil {
			return nil, err
		}
	}
	out := make(map[string]*headDoc, len(hs))
	for _, h := range hs {
		out[h.ID] = h
	}
	return out, nil
}

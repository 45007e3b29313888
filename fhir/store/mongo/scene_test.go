package mongo

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
)

// A ticker is a clock that only moves when told.
type ticker struct {
	mu sync.Mutex
	at time.Time
}

func (c *ticker) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *ticker) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// A scene is one database that several processes have open. Resources and claims of a
// test have names that start with its prefix, so that one database serves many.
type scene struct {
	*testing.T
	dbs    []*DB
	clock  *ticker
	prefix string
	stands map[string]bool // resources of which a version by the dead writer stands
}

func newScene(t *testing.T, processes int) *scene {
	t.Helper()
	uri := freshURI(t)
	s := &scene{T: t, clock: &ticker{at: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)}, prefix: "n-"}
	for range processes {
		db := openAt(t, uri, Options{Now: s.clock.now, SweepEvery: -1})
		db.patience = 50 * time.Millisecond
		s.dbs = append(s.dbs, db)
	}
	return s
}

// run runs a test on the same database under names of its own.
func (s *scene) run(name string, f func(*scene)) {
	s.Helper()
	s.T.Run(name, func(t *testing.T) {
		f(&scene{T: t, dbs: s.dbs, clock: s.clock, prefix: newNonce() + "-", stands: map[string]bool{}})
	})
}

func (s *scene) key(id string) store.Key { return store.Key{Type: "Patient", ID: s.prefix + id} }

// change writes over whatever is there.
func (s *scene) change(id, by string, claims ...string) store.Write {
	k := s.key(id)
	w := store.Write{Record: store.Record{Key: k, Raw: fmt.Appendf(nil, `{"resourceType":%q,"id":%q,"by":%q}`, k.Type, k.ID, by), Index: []string{"by|" + by}}, Expect: store.AnyVersion}
	for _, c := range claims {
		w.Claims = append(w.Claims, s.prefix+c)
	}
	return w
}

func (s *scene) deletion(id string) store.Write {
	return store.Write{Record: store.Record{Key: s.key(id), Deleted: true}, Expect: store.AnyVersion}
}

func (s *scene) apply(db *DB, ws ...store.Write) {
	s.Helper()
	if _, err := db.Apply(s.Context(), ws); err != nil {
		s.Fatalf("apply %v: %v", ws[0].Key, err)
	}
}

// remains counts documents whose ids start with a prefix.
func (s *scene) remains(c collection, prefix string, more bson.M) int64 {
	s.Helper()
	filter := bson.M{"_id": bson.M{"$gte": prefix, "$lt": prefix + "\U0010ffff"}}
	for k, v := range more {
		filter[k] = v
	}
	n, err := s.dbs[0].coll(c).CountDocuments(s.Context(), filter)
	if err != nil {
		s.Fatal(err)
	}
	return n
}

// whole looks at everything there is: each version is reached by a head, each claim by
// the head that lists it, and no intent and no open unit is left.
func (s *scene) whole() {
	s.Helper()
	var hs []headDoc
	all := "Patient/" + s.prefix
	if err := s.dbs[0].findAll(s.Context(), heads, bson.M{"_id": bson.M{"$gte": all, "$lt": all + "\U0010ffff"}}, nil, &hs); err != nil {
		s.Fatal(err)
	}
	var reached, listed int64
	for _, h := range hs {
		if h.Intent != nil || h.IntentType != "" || h.Expunging || (h.State.Version == 0) != (h.Gone > 0) {
			s.Errorf("%s is in the middle of something: %+v", h.ID, h)
		}
		if h.Gone > 0 && (!h.State.Deleted || len(h.State.Index) > 0 || len(h.State.Claims) > 0) {
			s.Errorf("%s says something: %+v", h.ID, h)
		}
		reached += h.State.Version
		listed += int64(len(h.State.Claims))
		for _, c := range h.State.Claims {
			if s.remains(claims, claimID(c), bson.M{"k": h.ID}) != 1 {
				s.Errorf("%s lists the claim %s, which is not its own", h.ID, c)
			}
		}
	}
	if n := s.remains(versions, all, nil); n != reached {
		s.Errorf("%d versions, of which heads reach %d", n, reached)
	}
	if n := s.remains(claims, s.prefix, nil); n != listed {
		s.Errorf("%d claims, of which heads list %d", n, listed)
	}
	var open []unitDoc
	if err := s.dbs[0].findAll(s.Context(), units, bson.M{"o": true}, nil, &open); err != nil || len(open) > 0 {
		s.Errorf("units are open: %v, %v", open, err)
	}
}

// sweep has all that may be old be old, and sweeps.
func (s *scene) sweep(db *DB) {
	s.Helper()
	for range 2 {
		s.clock.advance(2 * orphanAge)
		if _, err := db.Sweep(s.Context()); err != nil {
			s.Fatal(err)
		}
	}
}

// versions checks that each resource is at a version, 0 for none, and that history
// goes down from there.
func (s *scene) versions(db *DB, want map[string]int64) {
	s.Helper()
	for id, v := range want {
		rec, err := db.Read(s.Context(), s.key(id))
		if v == 0 {
			if !errors.Is(err, store.ErrNotFound) {
				s.Errorf("%s: %+v, %v, want nothing", id, rec, err)
			}
			continue
		}
		if err != nil || rec.Version != v {
			s.Errorf("%s: %+v, %v, want version %d", id, rec, err, v)
			continue
		}
		s.history(db, id, v)
	}
}

func (s *scene) history(db *DB, id string, top int64) {
	s.Helper()
	recs, err := db.History(s.Context(), s.key(id), 0, 1<<20)
	if err != nil || int64(len(recs)) != top {
		s.Errorf("history of %s: %d versions, %v, want %d", id, len(recs), err, top)
	}
	for i, rec := range recs {
		if rec.Version != top-int64(i) {
			s.Errorf("history of %s: version %d after %d others", id, rec.Version, i)
		}
		if one, err := db.ReadVersion(s.Context(), s.key(id), rec.Version); err != nil || string(one.Raw) != string(rec.Raw) {
			s.Errorf("version %d of %s: %v, %v, want %s", rec.Version, id, one, err, rec.Raw)
		}
	}
}

// holders has another resource try for each of the claims: those that are held it does
// not get, the rest it does, and then they are in want.
func (s *scene) holders(db *DB, all string, holders map[string]string, want map[string]int64) {
	s.Helper()
	for _, claim := range all {
		id := "taker-of-" + string(claim)
		_, err := db.Write(s.Context(), s.change(id, "taker", string(claim)))
		holder, held := holders[string(claim)]
		var ce *store.ClaimError
		switch {
		case !held && err == nil:
			want[id] = 1
		case !held:
			s.Errorf("nobody holds %c, but: %v", claim, err)
		case !errors.As(err, &ce) || ce.Holder != s.key(holder) || ce.Claim != s.prefix+string(claim):
			s.Errorf("%s holds %c, but: %v", holder, claim, err)
		}
	}
}

// after says whether a point comes at or after another in a list of points.
func after(points []string, point, from string) bool {
	return slices.Index(points, point) >= slices.Index(points, from)
}

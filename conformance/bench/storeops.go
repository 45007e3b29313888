package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/epoch"
)

// A site is one store under measurement.
type site struct {
	name    string
	address string
	db      backend.Backend
	cache   *epoch.Cache
	stamp   atomic.Int64 // LastUpdated while the corpus is loaded, in ms; 0: the time it is
	asks    *questions
	size    int           // resources of the corpus in it
	mine    [][]heldWrite // of each client
	facts   []*heldFact
}

// now is the store's clock. Both stores get one instant for one unit of the corpus,
// so that their pages can be compared.
func (s *site) now() time.Time {
	if ms := s.stamp.Load(); ms != 0 {
		return time.UnixMilli(ms).UTC()
	}
	return time.Now()
}

// A heldWrite is a resource that one client writes, and its version.
type heldWrite struct {
	write   store.Write
	version int64
}

// A heldFact is a fact that one client replaces.
type heldFact struct{ fact store.Fact }

const (
	heldEach   = 12 // resources of a client
	unitOf     = 3  // writes of a unit
	factPrefix = "bench/"
)

// hold makes what clients write: Observations of 1.2 kB, which no query of the
// corpus finds.
func (s *site) hold(ctx context.Context, clients int) error {
	for c := len(s.mine); c < clients; c++ {
		var held []heldWrite
		for k := range heldEach {
			w, err := newObservation(k)
			if err != nil {
				return err
			}
			if _, err = s.db.Write(ctx, w); err != nil {
				return err
			}
			held = append(held, heldWrite{w, 1})
		}
		s.mine = append(s.mine, held)
		f, err := s.db.PutIfAbsent(ctx, factPrefix+rand.Text(), []byte("seen"), s.now().Add(time.Hour))
		if err != nil {
			return err
		}
		s.facts = append(s.facts, &heldFact{f})
	}
	return nil
}

// newObservation is a write of an Observation that no store has.
func newObservation(k int) (store.Write, error) {
	return writeOf(observation(strings.ToLower(rand.Text()[:16]), k, ""), store.Absent)
}

// An operation is one thing that is timed. do is the k-th call of a client.
type operation struct {
	name string
	do   func(ctx context.Context, s *site, client, k int) error
}

// operations in the order of the table.
func operations() []operation {
	return []operation{
		{"read by id", readByID},
		{"read by id, through the epoch's memory", readCached},
		{"token search, 1 hit", search1(func(q *questions) []asked { return q.token })},
		{"family and birth date", search1(func(q *questions) []asked { return q.familyAndBirth })},
		{"family and birth month", search1(func(q *questions) []asked { return q.familyAndMonth })},
		{"Consents of a person", search1(func(q *questions) []asked { return q.consents })},
		{"newest page of 20 of a type", search1(func(q *questions) []asked { return q.newest })},
		{"oldest page of 20 of a type", search1(func(q *questions) []asked { return q.oldest })},
		{"by city, sorted by family", search1(func(q *questions) []asked { return q.sorted })},
		{"count, a quarter of all", countAll},
		{"create", create},
		{"compare-and-set", compareAndSet},
		{"unit of 3 (1 create, 2 updates)", applyUnit},
		{"fact: put if absent", putFact},
		{"fact: get", getFact},
		{"fact: compare-and-set", replaceFact},
		{"log: append 600 bytes", appendEntry},
		{"epoch", readEpoch},
	}
}

func readByID(ctx context.Context, s *site, client, k int) error {
	return s.checkRead(ctx, s.db, pick(client*1_000_003+k, "read", s.size))
}

// readCached reads a few resources again and again, as a gateway does that has many
// requests about one person: the epoch, and the rest from memory.
func readCached(ctx context.Context, s *site, client, k int) error {
	ctx, err := s.cache.Pin(ctx)
	if err != nil {
		return err
	}
	return s.checkRead(ctx, s.cache, pick(client*8+k%8, "again", s.size))
}

func (s *site) checkRead(ctx context.Context, from interface {
	Read(context.Context, store.Key) (*store.Record, error)
}, i int) error {
	key := store.Key{Type: "Consent", ID: corpusID(i)}
	switch {
	case isPatient(i):
		key.Type = "Patient"
	case i%10 < 8:
		key.Type = "Encounter"
	}
	r, err := from.Read(ctx, key)
	if err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	if r.Key != key || r.Version != 1 || len(r.Raw) < 200 {
		return fmt.Errorf("WRONG ANSWER to read %s: %s version %d, %d bytes", key, r.Key, r.Version, len(r.Raw))
	}
	return nil
}

func search1(kind func(*questions) []asked) func(context.Context, *site, int, int) error {
	return func(ctx context.Context, s *site, client, k int) error {
		qs := kind(s.asks)
		return qs[(client*17+k)%len(qs)].check(ctx, s.db)
	}
}

func countAll(ctx context.Context, s *site, _, k int) error {
	q := s.asks.count[k%len(s.asks.count)]
	n, err := s.db.Count(ctx, q.plan)
	if err != nil {
		return err
	}
	if n != q.hits {
		return fmt.Errorf("WRONG ANSWER to the count of %s: %d instead of %d", q.what, n, q.hits)
	}
	return nil
}

func create(ctx context.Context, s *site, _, k int) error {
	w, err := newObservation(k % 20)
	if err != nil {
		return err
	}
	return s.write(ctx, w, 1)
}

func (s *site) write(ctx context.Context, w store.Write, version int64) error {
	r, err := s.db.Write(ctx, w)
	if err != nil {
		return err
	}
	if r.Version != version || r.Key != w.Key {
		return fmt.Errorf("WRONG ANSWER to a write of %s: version %d instead of %d", w.Key, r.Version, version)
	}
	return nil
}

func compareAndSet(ctx context.Context, s *site, client, k int) error {
	h := &s.mine[client][k%heldEach]
	h.write.Expect = h.version
	if err := s.write(ctx, h.write, h.version+1); err != nil {
		return err
	}
	h.version++
	return nil
}

func applyUnit(ctx context.Context, s *site, client, k int) error {
	fresh, err := newObservation(k % 20)
	if err != nil {
		return err
	}
	ws := []store.Write{fresh}
	var held []*heldWrite
	for i := range unitOf - 1 {
		h := &s.mine[client][(k*(unitOf-1)+i)%heldEach]
		h.write.Expect = h.version
		ws, held = append(ws, h.write), append(held, h)
	}
	rs, err := s.db.Apply(ctx, ws)
	if err != nil {
		return err
	}
	if len(rs) != unitOf || rs[0].Version != 1 {
		return fmt.Errorf("WRONG ANSWER to a unit of %d: %d records", unitOf, len(rs))
	}
	for i, h := range held {
		if h.version++; rs[i+1].Version != h.version {
			return fmt.Errorf("WRONG ANSWER to a unit: %s version %d instead of %d", rs[i+1].Key, rs[i+1].Version, h.version)
		}
	}
	return nil
}

func putFact(ctx context.Context, s *site, _, _ int) error {
	_, err := s.db.PutIfAbsent(ctx, factPrefix+rand.Text(), []byte("seen"), s.now().Add(time.Hour))
	return err
}

func getFact(ctx context.Context, s *site, client, _ int) error {
	want := s.facts[client].fact
	got, err := s.db.Get(ctx, want.Key)
	if err != nil {
		return err
	}
	if got.Version != want.Version || string(got.Value) != "seen" {
		return fmt.Errorf("WRONG ANSWER to a fact: version %d instead of %d, %q", got.Version, want.Version, got.Value)
	}
	return nil
}

func replaceFact(ctx context.Context, s *site, client, _ int) (err error) {
	h := s.facts[client]
	h.fact, err = s.db.CompareAndSet(ctx, h.fact.Key, h.fact.Version, []byte("seen"), s.now().Add(time.Hour))
	return err
}

var logEntry = []byte(strings.Repeat("0123456789", 60))

func appendEntry(ctx context.Context, s *site, _, _ int) error {
	seq, err := s.db.Append(ctx, "bench", logEntry)
	if err == nil && seq == 0 {
		err = fmt.Errorf("WRONG ANSWER to an append: number %d", seq)
	}
	return err
}

func readEpoch(ctx context.Context, s *site, _, _ int) error {
	_, err := s.db.Epoch(ctx)
	return err
}

package inbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/fhir/store"
)

// Counts are how many records of a message became what.
type Counts struct {
	Records    int `json:"r,omitempty"`
	Created    int `json:"c,omitempty"`
	Updated    int `json:"u,omitempty"`
	Duplicates int `json:"d,omitempty"`
	Rejects    int `json:"x,omitempty"`
	NonRecords int `json:"n,omitempty"`
}

func (c *Counts) add(o flow.Outcome) {
	c.Records++
	switch o {
	case flow.Created:
		c.Created++
	case flow.Updated:
		c.Updated++
	case flow.Duplicate, flow.Superseded:
		c.Duplicates++
	case flow.NonRecord:
		c.NonRecords++
	default:
		c.Rejects++
	}
}

// A progress says how far the messages of a system are settled, and what became
// of them. It is one fact, so that place and counts always fit together.
type progress struct {
	mu       sync.Mutex
	Progress          // with what is settled and not kept yet
	kept     Progress // as it is in the store: what is told
	fact     store.Fact
	later    map[uint64]bool // deferred, by number; of who processes
	deferred int             // of later when kept was
	unsure   []byte          // what was to be kept, if that failed
	seen     rate
	told     receipts // of copies and collisions, which no place belongs to
	keeping  sync.Mutex
}

// maxCodes bounds the tally of codes.
const maxCodes = 500

// Progress says what became of the messages of an inbox so far.
type Progress struct {
	Seq        uint64           `json:"seq"` // all up to it are settled or deferred
	Stored     int64            `json:"stored"`
	Rejected   int64            `json:"rejected"`
	Codes      map[string]int64 `json:"codes,omitempty"` // of the rejected
	Parsed     int64            `json:"parsed"`
	Mapped     int64            `json:"mapped"`
	Duplicates int64            `json:"duplicates"` // copies that were not kept
	Collisions int64            `json:"collisions"`
	Lost       int64            `json:"lost"` // never acknowledged: a process ended meanwhile
	Last       time.Time        `json:"last,omitzero"`
	// Term is that of the lease in which the place was last taken: an earlier holder
	// finds another version and cannot write.
	Term int64 `json:"term,omitempty"`
}

func (p *progress) load(ctx context.Context, b *Box) error {
	fact, err := b.o.Facts.Get(ctx, b.prefix+"progress")
	if errors.Is(err, store.ErrNotFound) { // nothing was kept yet
		p.mu.Lock()
		defer p.mu.Unlock()
		p.is(p.kept)
		return nil
	}
	if err != nil {
		return err
	}
	var kept Progress
	if err := json.Unmarshal(fact.Value, &kept); err != nil {
		return fmt.Errorf("%w: the progress of %s: %w", store.ErrDamaged, b.stream, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fact = fact
	p.is(kept)
	if p.unsure != nil && bytes.Equal(p.unsure, fact.Value) { // it was kept, and only the word of it was lost
		p.deferred, p.unsure = p.laterUntil(kept.Seq), nil
	}
	return nil
}

// is takes what is kept as the progress. The caller holds mu.
func (p *progress) is(kept Progress) {
	if p.Last.After(kept.Last) { // what was received since is not counted in the place
		kept.Last = p.Last
	}
	p.Progress, p.kept = kept, kept
	p.Codes = maps.Clone(kept.Codes)
}

// save writes the progress. Only one process has the place; a conflict says that
// another has taken it over, or is what is left of an earlier one's last write.
func (p *progress) save(ctx context.Context, b *Box) error {
	p.mu.Lock()
	now, fact := p.Progress, p.fact
	now.Codes = maps.Clone(now.Codes)
	deferred := p.laterUntil(now.Seq)
	p.mu.Unlock()
	raw, err := json.Marshal(now)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.unsure = raw
	p.mu.Unlock()
	if fact.Key == "" {
		fact, err = b.o.Facts.PutIfAbsent(ctx, b.prefix+"progress", raw, time.Time{})
	} else {
		fact, err = b.o.Facts.CompareAndSet(ctx, fact.Key, fact.Version, raw, time.Time{})
	}
	if err != nil {
		return fmt.Errorf("inbox %s: keeping the place: %w", b.o.System, err)
	}
	p.mu.Lock()
	p.fact, p.kept, p.deferred, p.unsure = fact, now, deferred, nil
	p.mu.Unlock()
	return nil
}

// laterUntil says how many of the messages up to a place are deferred. The caller
// holds mu.
func (p *progress) laterUntil(seq uint64) (n int) {
	for at := range p.later {
		if at <= seq {
			n++
		}
	}
	return n
}

// setAside notes which messages are deferred.
func (p *progress) setAside(later map[uint64]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.later = later
	p.deferred = p.laterUntil(p.kept.Seq)
}

// received notes a message that was acknowledged.
func (p *progress) received(at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.After(p.Last) {
		p.Last = at.UTC()
	}
	p.seen.add(at)
}

// refused notes a copy or a collision.
func (p *progress) refused(collision bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if collision {
		p.told.delta.Collisions++
	} else {
		p.told.delta.Duplicates++
	}
}

// durable is the place as it is kept.
func (p *progress) durable() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kept.Seq
}

// at is the place.
func (p *progress) at() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.Seq
}

// settled notes what became of a message, and moves the place unless it was
// deferred before.
func (p *progress) settled(w *work) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !w.deferred {
		p.Seq = w.seq
	}
	delete(p.later, w.seq)
	if w.lost {
		p.Lost++
		return
	}
	if w.arrived.After(p.Last) {
		p.Last = w.arrived.UTC()
	}
	m := w.mark
	if w.park || m.State == Deferred {
		p.later[w.seq] = true
		return
	}
	if !m.Parsed.IsZero() {
		p.Parsed++
	}
	if !m.Mapped.IsZero() {
		p.Mapped++
	}
	switch m.State {
	case Stored:
		p.Stored++
	case Rejected:
		p.Rejected++
		if p.Codes == nil {
			p.Codes = map[string]int64{}
		}
		code := m.Code
		if _, known := p.Codes[code]; !known && len(p.Codes) >= maxCodes {
			code = "(other)"
		}
		p.Codes[code]++
	}
}

// snapshot is the progress as it is kept, with what no place belongs to as of now,
// and how many messages were deferred then.
func (p *progress) snapshot() (Progress, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.kept
	d.Codes, d.Last = maps.Clone(d.Codes), p.Last
	d.Duplicates += p.told.kept.Duplicates + p.told.delta.Duplicates
	d.Collisions += p.told.kept.Collisions + p.told.delta.Collisions
	return d, p.deferred
}

// A rate counts by minute over an hour.
type rate struct {
	minute [60]int64 // since the epoch
	n      [60]int
}

func (r *rate) add(at time.Time) {
	m := at.Unix() / 60
	i := m % 60
	if r.minute[i] != m {
		r.minute[i], r.n[i] = m, 0
	}
	r.n[i]++
}

// last sums what came in the minutes before now, the one under way included.
func (r *rate) last(now time.Time, minutes int64) int {
	m, sum := now.Unix()/60, 0
	for i, of := range r.minute {
		if of > m-minutes && of <= m {
			sum += r.n[i]
		}
	}
	return sum
}

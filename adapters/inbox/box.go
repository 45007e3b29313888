package inbox

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/handoff-health/handoff/fhir/store"
)

// Options of a Box. Log, Facts, System and SiteKey are required.
type Options struct {
	Log     store.Log
	Facts   store.Facts
	System  string
	SiteKey []byte // of keyed hashes: at least 16 bytes
	// MaxWaiting and MaxWaitingBytes bound what is kept and not yet settled; 0:
	// 10000 messages, 256 MiB.
	MaxWaiting      int
	MaxWaitingBytes int64
	// Remember is how long a settled message is known; 0: 30 days.
	Remember time.Duration
	Clock    func() time.Time // nil: time.Now
}

// A Box is the inbox of one system. It is safe for concurrent use.
type Box struct {
	o      Options
	stream string
	prefix string // of its facts

	appends *appender
	busyIDs sync.Map // id to chan struct{}: arrivals of one id go one after the other

	mu      sync.Mutex
	waiting map[uint64]*slot
	ids     map[string]uint64 // of what waits
	next    uint64            // the first that no source has taken
	last    uint64            // the last that is in the log
	count   int               // of what waits or is about to
	bytes   int64
	missing bool          // an append failed: the log may hold more than last
	changed chan struct{} // closed when something was decided

	counts progress
	clock  func() time.Time
}

var _ Receiver = (*Box)(nil)

// A slot is a message between its entry in the log and its end.
type slot struct {
	id      string
	size    int64
	at      time.Time
	decided bool // its mark is durable, or never will be
	lost    bool // its mark did not come to be: nobody was told that it was taken
}

// Open opens a system's inbox and finds what waits in it.
func Open(ctx context.Context, o Options) (*Box, error) {
	switch {
	case o.Log == nil || o.Facts == nil:
		return nil, errors.New("inbox: no store")
	case o.System == "":
		return nil, errors.New("inbox: no system")
	case len(o.SiteKey) < 16:
		return nil, errors.New("inbox: the site key needs at least 16 bytes")
	}
	if o.MaxWaiting <= 0 {
		o.MaxWaiting = 10_000
	}
	if o.MaxWaitingBytes <= 0 {
		o.MaxWaitingBytes = 256 << 20
	}
	if o.Remember <= 0 {
		o.Remember = 30 * 24 * time.Hour
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	b := &Box{o: o, stream: Stream(o.System), prefix: Stream(o.System) + "/", clock: o.Clock,
		waiting: map[uint64]*slot{}, ids: map[string]uint64{}, changed: make(chan struct{})}
	b.appends = &appender{box: b}
	if err := b.counts.load(ctx, b); err != nil {
		return nil, fmt.Errorf("inbox %s: %w", o.System, err)
	}
	b.last = b.counts.Seq
	b.next = b.last + 1
	if err := b.recover(ctx, 0); err != nil {
		return nil, fmt.Errorf("inbox %s: %w", o.System, err)
	}
	return b, nil
}

// page is how many entries are read at once where only their heads are needed.
const page = 64

// recover finds the entries after last, and below end if that is not 0: those of
// an earlier process, and those of an append whose outcome was not known.
func (b *Box) recover(ctx context.Context, end uint64) error {
	for {
		b.mu.Lock()
		from := b.last + 1
		b.mu.Unlock()
		entries, err := b.o.Log.ReadFrom(ctx, b.stream, from, page)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if end > 0 && entry.Seq >= end {
				return nil
			}
			var e wireEntry
			if err := json.Unmarshal(entry.Data, &e); err != nil {
				return fmt.Errorf("%w: %s entry %d: %w", store.ErrDamaged, b.stream, entry.Seq, err)
			}
			b.mu.Lock()
			b.count++
			b.bytes += int64(len(entry.Data))
			b.enter(entry.Seq, &slot{id: e.ID, size: int64(len(entry.Data)), at: e.At, decided: true})
			b.mu.Unlock()
		}
		if len(entries) < page {
			return nil
		}
	}
}

// enter notes an entry of the log. The caller holds mu and has counted it.
func (b *Box) enter(seq uint64, s *slot) {
	b.waiting[seq], b.ids[s.id] = s, seq
	b.last = max(b.last, seq)
	if s.decided {
		b.wake()
	}
}

// wake tells who waits for a change. The caller holds mu.
func (b *Box) wake() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// reserve takes room for a message.
func (b *Box) reserve(size int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count >= b.o.MaxWaiting || b.count > 0 && b.bytes+size > b.o.MaxWaitingBytes {
		return ErrBusy
	}
	b.count++
	b.bytes += size
	return nil
}

// release gives a message's room back.
func (b *Box) release(size int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count--
	b.bytes -= size
}

// Receive implements Receiver.
func (b *Box) Receive(ctx context.Context, a Arrival) (Receipt, error) {
	if err := ctx.Err(); err != nil {
		return Receipt{}, err
	}
	if a.At.IsZero() {
		a.At = b.clock()
	}
	body := b.hash("body", string(a.Body))
	if a.Key == "" {
		id := make([]byte, 20)
		if _, err := rand.Read(id); err != nil {
			return Receipt{}, fmt.Errorf("naming a message: %w", err)
		}
		return b.take(ctx, &a, hex.EncodeToString(id), body, false)
	}
	r, err := b.take(ctx, &a, b.hash("key", a.Key), body, false)
	defer func() {
		if collision := errors.Is(err, ErrCollision); collision || err == nil && r.Duplicate {
			b.counts.refused(collision)
		}
	}()
	if errors.Is(err, ErrCollision) {
		// Under another id: the same collision again is one message too.
		if r, err = b.take(ctx, &a, b.hash("collision", a.Key, body), body, true); err == nil {
			err = ErrCollision
		}
	}
	return r, err
}

// take keeps an arrival under an id, or finds it there.
func (b *Box) take(ctx context.Context, a *Arrival, id, body string, collision bool) (Receipt, error) {
	done := make(chan struct{})
	for {
		other, busy := b.busyIDs.LoadOrStore(id, done)
		if !busy {
			break
		}
		select {
		case <-other.(chan struct{}):
		case <-ctx.Done():
			return Receipt{}, ctx.Err()
		}
	}
	defer func() {
		b.busyIDs.Delete(id)
		close(done)
	}()
	m, err := b.mark(ctx, id)
	if err != nil {
		return Receipt{}, err
	}
	if m != nil {
		seq, here := b.find(id, m)
		switch {
		case here && m.Body != body:
			return Receipt{}, ErrCollision
		case here:
			return Receipt{Seq: seq, Duplicate: true}, nil
		}
		// A mark without a message: a process ended between the two, and nobody
		// was told that it was taken.
	}
	return b.keep(ctx, a, id, mark{Body: body, At: a.At.UTC()}, m, collision)
}

// find says whether a marked message is in the log, and where.
func (b *Box) find(id string, m *mark) (uint64, bool) {
	if m.Seq > 0 {
		return m.Seq, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	seq, ok := b.ids[id]
	return seq, ok && !b.waiting[seq].lost
}

// mark reads a message's mark; nil if there is none.
func (b *Box) mark(ctx context.Context, id string) (*mark, error) {
	fact, err := b.o.Facts.Get(ctx, b.markKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("inbox %s: %w", b.o.System, err)
	}
	m := &mark{fact: fact}
	if err := json.Unmarshal(fact.Value, m); err != nil {
		return nil, fmt.Errorf("%w: the mark of a message of %s: %w", store.ErrDamaged, b.stream, err)
	}
	return m, nil
}

// keep makes mark and message durable side by side, so that they share the
// store's commits. No source takes the message before both are decided.
func (b *Box) keep(ctx context.Context, a *Arrival, id string, m mark, old *mark, collision bool) (Receipt, error) {
	entry, key, err := b.seal(id, a, collision)
	if err != nil {
		return Receipt{}, err
	}
	m.Key = key
	raw, err := json.Marshal(m)
	if err != nil {
		return Receipt{}, err
	}
	size := int64(len(entry))
	if err := b.reserve(size); err != nil {
		return Receipt{}, err
	}
	ctx = context.WithoutCancel(ctx) // what was begun ends: its outcome must be known
	var seq uint64
	var g errgroup.Group
	g.Go(func() (err error) {
		seq, err = b.appends.add(ctx, entry, &slot{id: id, size: size, at: m.At})
		return err
	})
	g.Go(func() (err error) {
		if old == nil {
			_, err = b.o.Facts.PutIfAbsent(ctx, b.markKey(id), raw, time.Time{})
		} else {
			_, err = b.o.Facts.CompareAndSet(ctx, old.fact.Key, old.fact.Version, raw, time.Time{})
		}
		return err
	})
	err = g.Wait()
	if seq == 0 { // no entry, as far as is known
		b.release(size)
	} else {
		b.decide(seq, err != nil)
	}
	if err != nil {
		return Receipt{}, fmt.Errorf("inbox %s: %w", b.o.System, err)
	}
	b.counts.received(a.At)
	return Receipt{Seq: seq}, nil
}

// decide says that the outcome of a message's mark is known.
func (b *Box) decide(seq uint64, lost bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.waiting[seq]; s != nil {
		s.decided, s.lost = true, lost
	}
	b.wake()
}

// Received says how many messages are here or were settled, without those that
// are deferred.
func (b *Box) Received() int64 {
	p := b.counts.snapshot()
	b.mu.Lock()
	defer b.mu.Unlock()
	return p.Stored + p.Rejected + int64(b.last-p.Seq)
}

// Waiting says how many messages wait, how many bytes they are, and when the
// oldest came; the zero time if none waits.
func (b *Box) Waiting() (messages int, bytes int64, oldest time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.waiting {
		if oldest.IsZero() || s.at.Before(oldest) {
			oldest = s.at
		}
	}
	return b.count, b.bytes, oldest
}

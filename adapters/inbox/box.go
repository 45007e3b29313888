package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

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
	// Several says whether another process has this inbox too: then its messages are
	// looked for. nil: never.
	Several func() bool
	// Patience is how long a message of another process waits for its mark before it
	// counts as never acknowledged; 0: 5 s.
	Patience time.Duration
}

// A Box is the inbox of one system. It is safe for concurrent use.
type Box struct {
	o      Options
	stream string
	prefix string // of its facts

	appends *appends
	busyIDs sync.Map // id to chan struct{}: arrivals of one id go one after the other

	reading sync.Mutex // of the log, beyond last: an append and a look at what others appended

	role        sync.Mutex // held while the place is read as another's, or taken over
	dispatching bool       // a Feed of this process has the place
	passed      int        // looks of Follow that were passed over, of its goroutine alone

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
	lost    bool // another's mark stands: nobody was told that this one was taken
	// found is when a message was found that this process did not append, or does not
	// know to have: its mark may be on its way. Zero: it is this process's.
	found time.Time
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
	if o.Several == nil {
		o.Several = func() bool { return false }
	}
	if o.Patience <= 0 {
		o.Patience = 5 * time.Second
	}
	b := &Box{o: o, stream: Stream(o.System), prefix: Stream(o.System) + "/", clock: o.Clock,
		waiting: map[uint64]*slot{}, ids: map[string]uint64{}, changed: make(chan struct{})}
	b.appends = b.newAppends()
	if err := b.counts.load(ctx, b); err != nil {
		return nil, fmt.Errorf("inbox %s: %w", o.System, err)
	}
	told, err := read[Receipts](ctx, o.Facts, receiptsKey(o.System))
	if err != nil {
		return nil, fmt.Errorf("inbox %s: %w", o.System, err)
	}
	if told != nil {
		b.counts.told.kept = *told
	}
	b.last = b.counts.Seq
	b.next = b.last + 1
	if err := b.catchUp(ctx); err != nil {
		return nil, fmt.Errorf("inbox %s: %w", o.System, err)
	}
	return b, nil
}

// catchUp finds what is in the log by now.
func (b *Box) catchUp(ctx context.Context) error {
	b.reading.Lock()
	defer b.reading.Unlock()
	return b.recover(ctx, 0)
}

// page is how many entries are read at once where only their heads are needed.
const page = 64

// recover finds the entries after last, and below end if that is not 0: those of
// other processes, and those of an append whose outcome was not known. The caller
// holds reading.
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
			b.enter(entry.Seq, &slot{id: e.ID, size: int64(len(entry.Data)), at: e.At, decided: true, found: time.Now()})
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

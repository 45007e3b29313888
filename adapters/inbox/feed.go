package inbox

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/adapters/ingest"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

// A Setup is how the messages of a feed are read and mapped: what can be changed
// while it runs.
type Setup struct {
	Format  adapters.Format
	Options adapters.Options
	Mapper  flow.Mapper
}

// A Feed brings the messages of a box into a store, for as long as it runs.
type Feed struct {
	Box *Box
	// Pipeline makes a pipeline of the system, without format, mapper and Each,
	// which are the feed's.
	Pipeline func() *ingest.Pipeline
	// Ping says whether the store can serve: what fails although it can is the
	// message's fault.
	Ping func(context.Context) error
	// Paused says whether the feed is not to process; nil: never.
	Paused func() bool
	// Held and Term say whether this process is the one that processes, and in which
	// term of its lease: what an earlier holder still does afterwards is refused by
	// the store. nil: no other process does.
	Held func() error
	Term func() int64
	// Tally is told of every item that is durable; nil: nobody is.
	Tally func(*flow.Mapped, flow.Outcome)
	Log   *slog.Logger // nil: none

	setup atomic.Pointer[Setup]
	mu    sync.Mutex
	works map[string]*work  // under way, by name
	named map[string]uint64 // their numbers, by id
	bySeq map[uint64]*work
	later map[uint64]*mark // deferred, by number
	fails map[uint64]int
	retry Retry
	done  chan *work
	ahead map[uint64]*work // settled, and something before them is not
}

// A Retry says that a feed waits because something failed.
type Retry struct {
	Since time.Time `json:"since"`
	Tries int       `json:"tries"`
	Next  time.Time `json:"next"`
	Code  string    `json:"code"` // "store-failed"
}

// A work is one message under way.
type work struct {
	seq       uint64
	id        string
	name      string // as positions show it
	collision bool
	arrived   time.Time
	mark      *mark
	deferred  bool // it was, and is tried again
	lost      bool
	known     bool // an earlier process has settled it
	park      bool // it is to be deferred
}

// Use sets how messages are read and mapped from now on. It must be called
// before Run, and may be called again.
func (f *Feed) Use(s *Setup) { f.setup.Store(s) }

// Run processes messages until the context ends. What fails is tried again.
func (f *Feed) Run(ctx context.Context) error {
	if f.setup.Load() == nil || f.Box == nil || f.Pipeline == nil {
		return errors.New("inbox: a feed without box, pipeline or setup")
	}
	if f.Log == nil {
		f.Log = slog.New(slog.DiscardHandler)
	}
	if err := f.Box.takePlace(ctx, f.Term); err != nil {
		return err
	}
	defer f.Box.leavePlace()
	if err := f.loadDeferred(ctx); err != nil {
		return err
	}
	for {
		before := f.Box.counts.durable()
		err := f.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if lost := f.held(); lost != nil {
			return lost
		}
		if f.Box.counts.durable() > before {
			f.clearRetry()
		}
		if err := f.failed(ctx, err); err != nil {
			return nil // the context's end
		}
	}
}

// once runs the pipeline until it fails, and settles what it has done.
func (f *Feed) once(ctx context.Context) error {
	if err := f.resume(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	f.works, f.bySeq, f.named = map[string]*work{}, map[uint64]*work{}, map[string]uint64{}
	f.mu.Unlock()
	f.done, f.ahead = make(chan *work, 1024), map[uint64]*work{}
	settled := make(chan error, 1)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		err := f.settle(context.WithoutCancel(ctx))
		if err != nil {
			stop(err)
		}
		settled <- err
	}()
	p := f.Pipeline()
	src := &source{f: f}
	p.Format = adapters.Format{Name: f.setup.Load().Format.Name, Open: func(context.Context, adapters.Input, adapters.Options) (adapters.Source, error) {
		return src, nil // the box knows the place
	}}
	p.Mapper, p.Each = f, func(m *flow.Mapped, o flow.Outcome) error { return f.each(ctx, m, o) }
	_, err := p.Run(ctx, adapters.Input{Name: "inbox " + f.Box.o.System})
	close(f.done)
	return errors.Join(err, <-settled)
}

// Apply implements flow.Mapper with the mapping that is in use, as of when the
// message came.
func (f *Feed) Apply(rec *tree.Record, opts mappings.Options) (*mappings.Result, error) {
	s := f.setup.Load()
	opts.Source.Adapter, opts.Source.Name = s.Format.Name, rec.Pos.Source
	f.mu.Lock()
	w := f.works[rec.Pos.Source]
	if w != nil {
		opts.Received = w.arrived
		if w.mark.Parsed.IsZero() {
			w.mark.Parsed = f.Box.clock().UTC()
		}
	}
	f.mu.Unlock()
	res, err := s.Mapper.Apply(rec, opts)
	if w != nil && err == nil && res != nil && res.Action != mappings.Reject {
		f.mu.Lock()
		if w.mark.Mapped.IsZero() {
			w.mark.Mapped = f.Box.clock().UTC()
		}
		f.mu.Unlock()
	}
	return res, err
}

// begin makes a message of the log ready to be read; nil if there is nothing to
// read in it.
func (f *Feed) begin(ctx context.Context, entry store.Entry, sl *slot) (*work, []byte, error) {
	if err := f.held(); err != nil {
		return nil, nil, err
	}
	e, err := decode(f.Box.stream, entry)
	if err != nil {
		return nil, nil, err
	}
	w := &work{seq: entry.Seq, id: e.ID, collision: e.Collision, arrived: e.At, deferred: sl == nil,
		name: messageName(e.Source, entry.Seq)}
	if w.mark, err = f.Box.settledMark(ctx, e.ID, sl); err != nil {
		return nil, nil, err
	}
	var body []byte
	switch {
	case sl != nil && sl.lost || w.mark == nil || w.mark.Gone || w.mark.Seq > 0 && w.mark.Seq != w.seq || f.twice(w):
		w.lost = true
	case w.mark.settled(), w.mark.State == Deferred && sl != nil:
		w.known = true
	default:
		_, body, err = f.Box.open(e, w.mark)
		if errors.Is(err, errLost) {
			w.lost, err = true, nil
		}
		if err != nil {
			return nil, nil, err
		}
	}
	f.mu.Lock()
	f.bySeq[w.seq] = w
	park := f.fails[w.seq] >= maxFails && sl != nil && !w.lost && !w.known
	if !w.lost && !w.known && !park {
		w.mark.Counts, w.mark.State, w.mark.Code = Counts{}, "", ""
		f.works[w.name], f.named[w.id] = w, w.seq
	}
	f.mu.Unlock()
	if w.lost || w.known || park {
		w.park = park
		return nil, nil, f.finished(ctx, w)
	}
	return w, body, nil
}

// held says whether this process may go on.
func (f *Feed) held() error {
	if f.Held == nil {
		return nil
	}
	return f.Held()
}

// twice says whether the same message is under way from another entry: two processes
// have appended it.
func (f *Feed) twice(w *work) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	seq, known := f.named[w.id]
	return known && seq != w.seq
}

// messageName is how positions name a message.
func messageName(source string, seq uint64) string {
	if source == "" {
		source = "inbox"
	}
	return source + " message " + itoa(seq)
}

// each takes note of an item whose outcome is durable.
func (f *Feed) each(ctx context.Context, m *flow.Mapped, o flow.Outcome) error {
	seq, last, err := place(m.Cursor)
	if err != nil {
		return err
	}
	f.mu.Lock()
	w := f.bySeq[seq]
	w.mark.Counts.add(o)
	if o == flow.Rejected && w.mark.State != Rejected {
		w.mark.State, w.mark.Code = Rejected, flow.RejectOf(m).Code
	}
	f.mu.Unlock()
	if f.Tally != nil {
		f.Tally(m, o)
	}
	if !last {
		return nil
	}
	return f.finished(ctx, w)
}

// finished hands a message over to be settled.
func (f *Feed) finished(ctx context.Context, w *work) error {
	select {
	case f.done <- w:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// whilePaused waits until the feed may process.
func (f *Feed) whilePaused(ctx context.Context) error {
	for f.Paused != nil && f.Paused() {
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

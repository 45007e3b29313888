package inbox

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/handoff-health/handoff/fhir/store"
)

const (
	settleTogether = 256 // messages settled at once
	settleSide     = 32  // of them side by side
)

// settle makes durable what became of messages: first each mark, which destroys
// the key, then the place with the counts. It ends when done is closed. If the
// process dies between the two, the next one finds the marks and counts them.
func (f *Feed) settle(ctx context.Context) error {
	batch := make([]*work, 0, settleTogether)
	for w := range f.done {
		batch = append(batch[:0], w)
	gather:
		for len(batch) < settleTogether {
			select {
			case w, ok := <-f.done:
				if !ok {
					break gather
				}
				batch = append(batch, w)
			default:
				break gather
			}
		}
		if err := f.settleAll(ctx, batch); err != nil {
			return fmt.Errorf("settling messages: %w", err)
		}
	}
	return nil
}

func (f *Feed) settleAll(ctx context.Context, batch []*work) error {
	if err := f.held(); err != nil {
		return err
	}
	g, side := errgroup.WithContext(ctx)
	g.SetLimit(settleSide)
	for _, w := range batch {
		if w.lost || w.known {
			continue
		}
		g.Go(func() error { return f.close(side, w) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	seqs := f.advance(batch)
	if err := f.Box.counts.save(ctx, f.Box); err != nil {
		return err
	}
	f.Box.finish(seqs)
	f.forget(batch)
	return nil
}

// advance moves the place over messages that are settled, and counts them. What
// needed no reading comes here before what is under way: it waits for its turn.
func (f *Feed) advance(batch []*work) (seqs []uint64) {
	p := &f.Box.counts
	for _, w := range batch {
		if w.deferred {
			p.settled(w)
		} else {
			f.ahead[w.seq] = w
		}
	}
	for {
		w := f.ahead[p.at()+1]
		if w == nil {
			return seqs
		}
		delete(f.ahead, w.seq)
		seqs = append(seqs, w.seq)
		p.settled(w)
	}
}

// close writes the end of a message into its mark and destroys its key; of one
// that is to be deferred, when it is tried again.
func (f *Feed) close(ctx context.Context, w *work) error {
	b, m := f.Box, w.mark
	m.Seq = w.seq
	if w.park {
		return f.deferLater(ctx, w)
	}
	if m.State == "" {
		m.State = Stored
	}
	m.Done, m.Key, m.Next = b.clock().UTC(), nil, time.Time{}
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if m.fact, err = b.o.Facts.CompareAndSet(ctx, m.fact.Key, m.fact.Version, raw, b.clock().Add(b.o.Remember)); err != nil {
		return err
	}
	if w.deferred {
		return b.o.Facts.Delete(ctx, b.deferredKey(w.seq))
	}
	return nil
}

// forget drops what is remembered of messages under way.
func (f *Feed) forget(batch []*work) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range batch {
		delete(f.works, w.name)
		if f.named[w.id] == w.seq {
			delete(f.named, w.id)
		}
		delete(f.bySeq, w.seq)
		delete(f.fails, w.seq)
		if w.deferred && !w.park {
			delete(f.later, w.seq)
		}
	}
	f.retry = Retry{}
}

// resume lets the next source begin after what is settled, as the store has it. What
// could not be kept is done as by a process that finds it: the marks tell what became
// of it. What was kept although nobody said so is not counted again.
func (f *Feed) resume(ctx context.Context) error {
	b, p := f.Box, &f.Box.counts
	if err := p.load(ctx, b); err != nil {
		return fmt.Errorf("inbox %s: %w", b.o.System, err)
	}
	p.mu.Lock()
	seq, term, kept, later := p.Seq, p.Term, p.unsure == nil, maps.Clone(p.later)
	p.unsure = nil
	p.mu.Unlock()
	if f.Term != nil && term != f.Term() {
		return fmt.Errorf("inbox %s: another process has the place: %w", b.o.System, store.ErrConflict)
	}
	f.mu.Lock()
	maps.DeleteFunc(f.later, func(at uint64, _ *mark) bool { return kept && !later[at] })
	later = make(map[uint64]bool, len(f.later))
	for at := range f.later {
		later[at] = true
	}
	f.mu.Unlock()
	p.setAside(later)
	b.forgetUntil(seq)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next = seq + 1
	return nil
}

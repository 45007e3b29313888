package inbox

import (
	"context"
	"sync"
)

// maxTogether bounds how many messages are appended at once.
const maxTogether = 512

// An appender joins messages that come at the same time into one append: whoever
// comes while one is under way goes with the next. Many connections share a sync
// of the disk that way, and one alone does not wait for others.
type appender struct {
	box     *Box
	mu      sync.Mutex
	waiting []*addition
	busy    bool
}

type addition struct {
	data []byte
	slot *slot
	seq  uint64
	err  error
	done chan struct{}
}

// add appends one message and enters it. A sequence number of 0 goes with an
// error.
func (a *appender) add(ctx context.Context, data []byte, s *slot) (uint64, error) {
	x := &addition{data: data, slot: s, done: make(chan struct{})}
	a.mu.Lock()
	a.waiting = append(a.waiting, x)
	lead := !a.busy
	a.busy = true
	a.mu.Unlock()
	if lead {
		a.lead(ctx)
	}
	<-x.done
	return x.seq, x.err
}

// lead appends until nobody waits.
func (a *appender) lead(ctx context.Context) {
	for {
		a.mu.Lock()
		n := min(len(a.waiting), maxTogether)
		batch := a.waiting[:n:n]
		a.waiting = a.waiting[n:]
		a.busy = n > 0
		a.mu.Unlock()
		if n == 0 {
			return
		}
		err := a.box.append(ctx, batch)
		for _, x := range batch {
			x.err = err
			close(x.done)
		}
	}
}

// append writes a batch. After a failure the log may hold what was not
// acknowledged: it is looked for before anything else is written.
func (b *Box) append(ctx context.Context, batch []*addition) error {
	b.reading.Lock()
	defer b.reading.Unlock()
	b.mu.Lock()
	missing := b.missing
	b.mu.Unlock()
	if missing {
		if err := b.recover(ctx, 0); err != nil {
			return err
		}
		b.mu.Lock()
		b.missing = false
		b.mu.Unlock()
	}
	data := make([][]byte, len(batch))
	for i, x := range batch {
		data[i] = x.data
	}
	first, err := b.o.Log.Append(ctx, b.stream, data...)
	if err == nil && first != b.last+1 { // other processes append too; who holds reading moves last
		err = b.recover(ctx, first)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.missing = true
		return err
	}
	for i, x := range batch {
		x.seq = first + uint64(i)
		b.enter(x.seq, x.slot)
	}
	return nil
}

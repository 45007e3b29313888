package inbox

import (
	"context"

	"github.com/handoff-health/handoff/fhir/store/join"
)

// maxTogether bounds how many messages are appended at once.
const maxTogether = 512

// appends joins messages that come at the same time into one append. A store may join
// appends itself; what is shared here is also the look at what others have appended.
type appends = join.Queue[*addition]

type addition struct {
	data []byte
	slot *slot
	seq  uint64
	err  error
}

func (b *Box) newAppends() *appends {
	return &appends{Room: join.AtMost[*addition](maxTogether), Together: func(ctx context.Context, batch []*addition) {
		err := b.append(ctx, batch)
		for _, x := range batch {
			x.err = err
		}
	}}
}

// enqueue appends one message and enters it. A sequence number of 0 goes with an
// error.
func (b *Box) enqueue(ctx context.Context, data []byte, s *slot) (uint64, error) {
	x := &addition{data: data, slot: s}
	b.appends.Do(ctx, x)
	return x.seq, x.err
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

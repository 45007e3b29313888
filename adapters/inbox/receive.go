package inbox

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/handoff-health/handoff/fhir/store"
)

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
	for range takeTries {
		r, again, err := b.tryTake(ctx, a, id, body, collision)
		if !again {
			return r, err
		}
	}
	return Receipt{}, fmt.Errorf("inbox %s: several processes take the same message all the time: %w", b.o.System, ErrBusy)
}

const takeTries = 5

// tryTake keeps an arrival under an id, or finds it there. again: another process
// was faster, and what it did is to be looked at.
func (b *Box) tryTake(ctx context.Context, a *Arrival, id, body string, collision bool) (r Receipt, again bool, err error) {
	m, err := b.mark(ctx, id)
	if err != nil {
		return Receipt{}, false, err
	}
	fresh := mark{Body: body, At: a.At.UTC()}
	switch {
	case m == nil:
		r, err = b.keep(ctx, a, id, fresh, collision)
	case m.Gone: // its first entry counts as never acknowledged
		r, err = b.keepAgain(ctx, a, id, fresh, m, collision)
	case m.Body != body:
		return Receipt{}, false, ErrCollision
	default:
		seq, here, err := b.find(ctx, id, m)
		if here || err != nil {
			return Receipt{Seq: seq, Duplicate: true}, false, err
		}
		// Settled since the mark was read, its message is waited for no more.
		now, err := b.mark(ctx, id)
		if err != nil || now == nil || now.fact.Version != m.fact.Version {
			return Receipt{}, err == nil, err
		}
		// A mark without a message: a process ended between the two, or is between
		// them. Under the mark's own key it is one message, whoever appends it.
		r, err := b.add(ctx, a, id, m.Key, collision)
		return r, false, err
	}
	return r, errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict), err
}

// find says whether a marked message is in the log, and where.
func (b *Box) find(ctx context.Context, id string, m *mark) (uint64, bool, error) {
	if m.Seq > 0 {
		return m.Seq, true, nil
	}
	if seq, here := b.known(id); here {
		return seq, true, nil
	}
	if err := b.catchUp(ctx); err != nil { // another process may have appended it
		return 0, false, fmt.Errorf("inbox %s: %w", b.o.System, err)
	}
	seq, here := b.known(id)
	return seq, here, nil
}

func (b *Box) known(id string) (uint64, bool) {
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
// store's commits. No source takes the message before both are decided. ErrExists:
// another process has put a mark meanwhile, and this entry counts for nothing.
func (b *Box) keep(ctx context.Context, a *Arrival, id string, m mark, collision bool) (Receipt, error) {
	key, raw, err := newMark(&m)
	if err != nil {
		return Receipt{}, err
	}
	entry, size, err := b.room(id, a, key, collision)
	if err != nil {
		return Receipt{}, err
	}
	ctx = context.WithoutCancel(ctx) // what was begun ends: its outcome must be known
	var seq uint64
	var g errgroup.Group
	g.Go(func() (err error) {
		seq, err = b.enqueue(ctx, entry, &slot{id: id, size: size, at: m.At})
		return err
	})
	g.Go(func() error {
		_, err := b.o.Facts.PutIfAbsent(ctx, b.markKey(id), raw, time.Time{})
		return err
	})
	err = g.Wait()
	if seq == 0 { // no entry, as far as is known
		b.release(size)
	} else {
		b.decide(seq, err)
	}
	if err != nil {
		return Receipt{}, fmt.Errorf("inbox %s: %w", b.o.System, err)
	}
	b.counts.received(a.At)
	return Receipt{Seq: seq}, nil
}

// keepAgain is keep for a message whose mark says that it is gone: the mark first,
// so that no other process finds the entry without it.
func (b *Box) keepAgain(ctx context.Context, a *Arrival, id string, m mark, gone *mark, collision bool) (Receipt, error) {
	key, raw, err := newMark(&m)
	if err != nil {
		return Receipt{}, err
	}
	if _, err := b.o.Facts.CompareAndSet(ctx, gone.fact.Key, gone.fact.Version, raw, time.Time{}); err != nil {
		return Receipt{}, fmt.Errorf("inbox %s: %w", b.o.System, err)
	}
	return b.add(ctx, a, id, key, collision)
}

// add appends a message whose mark is durable.
func (b *Box) add(ctx context.Context, a *Arrival, id string, key []byte, collision bool) (Receipt, error) {
	entry, size, err := b.room(id, a, key, collision)
	if err != nil {
		return Receipt{}, err
	}
	seq, err := b.enqueue(context.WithoutCancel(ctx), entry, &slot{id: id, size: size, at: a.At.UTC(), decided: true})
	if err != nil {
		b.release(size)
		return Receipt{}, fmt.Errorf("inbox %s: %w", b.o.System, err)
	}
	b.counts.received(a.At)
	return Receipt{Seq: seq}, nil
}

// newMark gives a mark a key.
func newMark(m *mark) (key, raw []byte, err error) {
	m.Key = make([]byte, 32)
	if _, err := rand.Read(m.Key); err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	raw, err = json.Marshal(m)
	return m.Key, raw, err
}

// room makes a log entry of an arrival and takes room for it.
func (b *Box) room(id string, a *Arrival, key []byte, collision bool) (entry []byte, size int64, err error) {
	if entry, err = b.seal(id, a, key, collision); err != nil {
		return nil, 0, err
	}
	size = int64(len(entry))
	return entry, size, b.reserve(size)
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

// decide says what became of a message's mark. Another's stands: this entry counts for
// nothing. Any other failure: the mark may have come to be, or may yet, and then another
// process tells the sender that the message was taken; so it is looked for.
func (b *Box) decide(seq uint64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.waiting[seq]; s != nil {
		s.decided, s.lost = true, errors.Is(err, store.ErrExists)
		if err != nil {
			s.found = time.Now()
		}
	}
	b.wake()
}

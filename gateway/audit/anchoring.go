package audit

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// anchoring sends checkpoints to the anchor beside the writer, so that a slow
// anchor holds no record up.
type anchoring struct {
	due    chan struct{}
	stop   chan struct{}
	done   sync.WaitGroup
	last   Checkpoint    // the newest that the anchor has; of the loop alone
	reread bool          // an Append failed: only the anchor knows whether it has it
	count  atomic.Uint64 // covered by last
	since  atomic.Int64  // since when it fails, as nanoseconds; 0: it does not
}

// anchorTimeout bounds one attempt.
const anchorTimeout = 10 * time.Second

// startAnchoring anchors what Open found and noted, then starts the loop. A
// trail that cannot be anchored at the start is not opened.
func (t *Trail) startAnchoring(last Checkpoint) error {
	a := &t.anchoring
	a.due, a.stop, a.last = make(chan struct{}, 1), make(chan struct{}), last
	a.count.Store(last.Count)
	if err := t.checkpoint(context.Background()); err != nil {
		return err
	}
	a.done.Go(func() {
		tick := time.NewTicker(t.o.CheckpointEvery)
		defer tick.Stop()
		for {
			select {
			case <-a.stop:
				return
			case <-a.due:
			case <-tick.C:
			}
			_ = t.checkpoint(context.Background()) // it alerts, and is tried again
		}
	})
	return nil
}

// advance wakes the loop when a checkpoint is due.
func (a *anchoring) advance(count, every uint64) {
	if a.due == nil || count < a.count.Load()+every {
		return
	}
	select {
	case a.due <- struct{}{}:
	default:
	}
}

func (a *anchoring) overdue(now time.Time, grace time.Duration) error {
	since := a.since.Load()
	if since == 0 || now.Sub(time.Unix(0, since)) < grace {
		return nil
	}
	return fmt.Errorf("%w: since %s", ErrUnanchored, time.Unix(0, since).UTC().Format(time.RFC3339))
}

// stopAnchoring ends the loop and anchors what is left.
func (t *Trail) stopAnchoring() error {
	close(t.anchoring.stop)
	t.anchoring.done.Wait()
	return t.checkpoint(context.Background())
}

// checkpoint signs the end of the log and anchors it, if there is anything new.
func (t *Trail) checkpoint(ctx context.Context) error {
	a := &t.anchoring
	ctx, cancel := context.WithTimeout(ctx, anchorTimeout)
	defer cancel()
	err := t.anchor(ctx)
	if err == nil {
		a.since.Store(0)
		return nil
	}
	a.reread = true
	a.since.CompareAndSwap(0, t.o.Now().UnixNano())
	err = fmt.Errorf("anchor the audit trail: %w", err)
	t.o.Alert(err)
	return err
}

func (t *Trail) anchor(ctx context.Context) error {
	a := &t.anchoring
	if a.reread {
		all, err := t.o.Anchor.Checkpoints(ctx)
		if err != nil {
			return err
		}
		if len(all) > 0 {
			a.last = all[len(all)-1]
		}
		a.reread = false
	}
	end := t.end()
	if end.count == a.last.Count {
		return nil
	}
	c := Checkpoint{
		Number: a.last.Number + 1, Trail: t.id, Count: end.count, Head: end.head,
		At: t.o.Now().UTC().Truncate(time.Microsecond), Prev: noHash,
	}
	if a.last.Number > 0 {
		c.Prev = a.last.hash()
	}
	if err := c.sign(t.o.Key); err != nil {
		return err
	}
	if err := t.o.Anchor.Append(ctx, c); err != nil {
		return err
	}
	a.last = c
	a.count.Store(c.Count)
	return nil
}

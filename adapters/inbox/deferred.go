package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-health/handoff/adapters/ingest"
	"github.com/handoff-health/handoff/fhir/store"
)

const (
	// maxFails is how often a message may fail, while the store works, before it
	// is set aside so that others need not wait for it.
	maxFails    = 3
	maxDeferred = 1000
	firstRetry  = 100 * time.Millisecond
	longestWait = 30 * time.Second
	firstDefer  = 30 * time.Second
	longestHour = time.Hour
)

func itoa(n uint64) string { return strconv.FormatUint(n, 10) }

func (b *Box) deferredKey(seq uint64) string { return b.prefix + "d/" + seqKey(seq) }

// loadDeferred finds the messages that an earlier process deferred.
func (f *Feed) loadDeferred(ctx context.Context) error {
	b, after, all := f.Box, "", map[uint64]bool{}
	f.mu.Lock()
	f.later, f.fails = map[uint64]*mark{}, map[uint64]int{}
	f.mu.Unlock()
	for {
		facts, err := b.o.Facts.Scan(ctx, b.prefix+"d/", after, 200)
		if err != nil {
			return fmt.Errorf("inbox %s: %w", b.o.System, err)
		}
		for _, fact := range facts {
			after = fact.Key
			seq, err := strconv.ParseUint(strings.TrimPrefix(fact.Key, b.prefix+"d/"), 10, 64)
			if err != nil {
				return fmt.Errorf("%w: %s", store.ErrDamaged, fact.Key)
			}
			m, err := b.mark(ctx, string(fact.Value))
			if err != nil {
				return err
			}
			if m == nil || m.settled() { // a process ended before it had tidied up
				if err := b.o.Facts.Delete(ctx, fact.Key); err != nil {
					return err
				}
				continue
			}
			f.mu.Lock()
			f.later[seq] = m
			f.mu.Unlock()
			all[seq] = true
		}
		if len(facts) < 200 {
			b.counts.setAside(all)
			return nil
		}
	}
}

// deferLater sets a message aside.
func (f *Feed) deferLater(ctx context.Context, w *work) error {
	b, m := f.Box, w.mark
	m.State, m.Code, m.Tries = Deferred, "store-failed", m.Tries+1
	m.Next = b.clock().Add(backoff(firstDefer, longestHour, m.Tries)).UTC()
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	// The list first: a message that is on it and not deferred is done in order.
	if _, err := b.o.Facts.PutIfAbsent(ctx, b.deferredKey(w.seq), []byte(w.id), time.Time{}); err != nil && !errors.Is(err, store.ErrExists) {
		return err
	}
	if m.fact, err = b.o.Facts.CompareAndSet(ctx, m.fact.Key, m.fact.Version, raw, time.Time{}); err != nil {
		return err
	}
	f.mu.Lock()
	f.later[w.seq] = m
	f.mu.Unlock()
	f.Log.Warn("a message could not be stored and is deferred", "system", b.o.System, "message", w.seq, "tries", m.Tries, "next", m.Next)
	return nil
}

// backoff doubles a time with each try.
func backoff(first, most time.Duration, tries int) time.Duration {
	d := first
	for range tries - 1 {
		if d *= 2; d >= most {
			return most
		}
	}
	return d
}

// dueIn is how long the source may wait before it looks for other work.
func (f *Feed) dueIn() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := time.Second
	for _, m := range f.later {
		d = min(d, m.Next.Sub(f.Box.clock()))
	}
	return max(d, time.Millisecond)
}

// due is a deferred message whose time has come, the oldest first.
func (f *Feed) due() (uint64, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var best uint64
	for seq, m := range f.later {
		if _, underWay := f.bySeq[seq]; !underWay && !m.Next.After(f.Box.clock()) && (best == 0 || seq < best) {
			best = seq
		}
	}
	return best, best > 0
}

// Retrying says why the feed waits; the zero value if it does not.
func (f *Feed) Retrying() Retry {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.retry
}

func (f *Feed) clearRetry() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.retry = Retry{}
}

// failed takes note of a failure and waits before the next try. Its error is the
// context's end.
func (f *Feed) failed(ctx context.Context, cause error) error {
	var at *ingest.ItemError
	var seq uint64
	if errors.As(cause, &at) {
		if n, _, err := place(at.Cursor); err == nil {
			seq = n
		}
	}
	works := f.Ping == nil || f.Ping(ctx) == nil
	f.mu.Lock()
	if f.retry.Tries == 0 {
		f.retry.Since = f.Box.clock().UTC()
	}
	f.retry.Tries++
	f.retry.Code = "store-failed"
	wait := backoff(firstRetry, longestWait, f.retry.Tries)
	f.retry.Next = f.Box.clock().Add(wait).UTC()
	m, deferred := f.later[seq]
	switch {
	case deferred: // others go on; this one later
		m.Tries++
		m.Next = f.Box.clock().Add(backoff(firstDefer, longestHour, m.Tries)).UTC()
	case seq > 0 && works && len(f.later) < maxDeferred:
		f.fails[seq]++
	}
	f.mu.Unlock()
	f.Log.Error("a feed could not go on and tries again", "system", f.Box.o.System, "message", seq, "wait", wait, "error", cause)
	return pause(ctx, wait)
}

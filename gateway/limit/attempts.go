package limit

import (
	"context"
	"sync"
	"time"

	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/guard"
)

// attempts are those of addresses that are being judged. Each has taken what it may
// cost, and gives it back if it proves a name; so whoever finds nothing left waits for
// those of its address here before it is refused.
type attempts struct {
	mu sync.Mutex
	m  map[string]*judging
}

type judging struct {
	n       int           // those that have taken, or are about to
	settled chan struct{} // closed when one of them was judged, or none is left
}

// admitTime is how long an attempt waits for others of its address.
const admitTime = 2 * time.Second

// begin is for one that is about to take. next is closed when it is worth a look.
func (t *attempts) begin(key string) (next <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	j := t.m[key]
	if j == nil {
		if t.m == nil {
			t.m = map[string]*judging{}
		}
		j = &judging{settled: make(chan struct{})}
		t.m[key] = j
	}
	j.n++
	return j.settled
}

// end is for one that was judged.
func (t *attempts) end(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	j := t.m[key]
	close(j.settled)
	j.settled = make(chan struct{})
	if j.n--; j.n == 0 {
		delete(t.m, key)
	}
}

// failed is for one that has found nothing to take, and says whether nobody may have
// given anything back since it began, nor will.
func (t *attempts) failed(key string, next <-chan struct{}) (alone bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	j := t.m[key]
	if j.n--; j.n > 0 {
		return false
	}
	delete(t.m, key)
	alone = j.settled == next
	close(j.settled) // who waits is alone too
	return alone
}

// Admit implements auth.Limiter: before anything is proven.
func (l *Limits) Admit(ctx context.Context, source string) (settle func(proven bool), err error) {
	if guard.Off(guard.ClientRate) {
		return func(bool) {}, nil
	}
	key := network(source)
	ctx, stop := context.WithTimeout(ctx, admitTime)
	defer stop()
	for {
		next := l.attempts.begin(key)
		wait, ok := l.address.Take(key)
		if ok {
			return func(proven bool) {
				if proven {
					l.address.giveBack(key)
				}
				l.attempts.end(key)
			}, nil
		}
		if l.attempts.failed(key, next) {
			return nil, auth.TooMany(wait)
		}
		select {
		case <-next:
		case <-ctx.Done():
			return nil, auth.TooMany(wait)
		}
	}
}

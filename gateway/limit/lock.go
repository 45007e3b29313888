package limit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/guard"
)

// factLock is a client that is locked out at an address: both as hashes, since they
// are what a stranger sent.
const factLock = "limit/lock/"

// factFailures counts the wrong secrets of a client at an address, where several
// gateways serve.
const factFailures = "limit/fail/"

func hashed(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

func lockKey(client, source string) string {
	return factLock + hashed(client) + "/" + hashed(network(source))
}

// failures counts wrong secrets by client and address, whether there is such a
// client or not: what is counted tells nobody which there are.
type failures struct {
	mu sync.Mutex
	m  map[string]streak
}

type streak struct {
	n     int
	until time.Time
}

const maxStreaks = 65536

// Locked implements auth.Limiter.
func (l *Limits) Locked(ctx context.Context, client, source string) (wait time.Duration, locked bool, err error) {
	f, err := l.o.Facts.Get(ctx, lockKey(client, source))
	if errors.Is(err, store.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("locks: %w", err)
	}
	return f.Expires.Sub(l.o.Now()), !guard.Off(guard.ClientLock), nil
}

// Failed implements auth.Limiter. The last of the failures that are allowed locks;
// every node reads the lock.
func (l *Limits) Failed(ctx context.Context, client, source string) (locked bool, err error) {
	now, key := l.o.Now(), lockKey(client, source)
	var many bool
	if l.o.Shared != nil && l.o.Shared() {
		many, err = l.failedShared(ctx, client, source, now)
	} else {
		many = l.failures.add(key, now, l.o.Window, l.o.Failures)
	}
	if err != nil || !many {
		return false, err
	}
	_, err = l.o.Facts.PutIfAbsent(ctx, key, []byte("1"), now.Add(l.o.Window))
	if err != nil && !errors.Is(err, store.ErrExists) {
		return false, fmt.Errorf("lock a client: %w", err)
	}
	return true, nil
}

// failedShared counts one failure in a fact, so that guesses at several gateways add
// up. One that cannot be counted is no failure but an error: nobody guesses
// uncounted.
func (l *Limits) failedShared(ctx context.Context, client, source string, now time.Time) (bool, error) {
	key := factFailures + hashed(client) + "/" + hashed(network(source))
	// What was counted before there was another gateway counts on, although one may have
	// begun a count meanwhile.
	own, until := l.failures.take(lockKey(client, source), now, l.o.Window)
	for range shareTries {
		f, err := l.o.Facts.Get(ctx, key)
		switch {
		case errors.Is(err, store.ErrNotFound):
			if own+1 >= l.o.Failures {
				return true, nil
			}
			_, err = l.o.Facts.PutIfAbsent(ctx, key, []byte(strconv.Itoa(own+1)), until)
		case err == nil:
			n, bad := strconv.Atoi(string(f.Value))
			if bad != nil {
				return false, fmt.Errorf("%w: %s", store.ErrDamaged, key)
			}
			if n += own + 1; n >= l.o.Failures {
				return true, l.o.Facts.Delete(ctx, key)
			}
			_, err = l.o.Facts.CompareAndSet(ctx, key, f.Version, []byte(strconv.Itoa(n)), f.Expires)
		}
		switch {
		case err == nil:
			return false, nil
		case !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound):
			return false, fmt.Errorf("count a failure: %w", err)
		}
	}
	return false, errors.New("count a failure: others count all the time")
}

// take ends a streak of this process and says how long it was.
func (f *failures) take(key string, now time.Time, window time.Duration) (n int, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, known := f.m[key]
	delete(f.m, key)
	if !known || !now.Before(s.until) {
		return 0, now.Add(window)
	}
	return s.n, s.until
}

// add counts one failure; it says whether it was one too many, and then begins
// again.
func (f *failures) add(key string, now time.Time, window time.Duration, most int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, known := f.m[key]
	if !now.Before(s.until) {
		s = streak{until: now.Add(window)}
	}
	if s.n++; s.n >= most {
		delete(f.m, key)
		return true
	}
	if !known && len(f.m) >= maxStreaks {
		f.evict(now)
	}
	f.m[key] = s
	return false
}

// evict forgets streaks that are over, or else some. Forgetting gives another few
// guesses at 256 bits.
func (f *failures) evict(now time.Time) {
	for k, s := range f.m {
		if !now.Before(s.until) {
			delete(f.m, k)
		}
	}
	for k := range f.m {
		if len(f.m) < maxStreaks*7/8 {
			break
		}
		delete(f.m, k)
	}
}

// Succeeded implements auth.Limiter: the count begins again.
func (l *Limits) Succeeded(client, source string) {
	l.failures.mu.Lock()
	delete(l.failures.m, lockKey(client, source))
	l.failures.mu.Unlock()
	if l.o.Shared == nil || !l.o.Shared() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), shareTime)
	defer cancel()
	key := factFailures + hashed(client) + "/" + hashed(network(source))
	_, err := l.o.Facts.Get(ctx, key)
	if err == nil { // most have none: nothing is written for them
		err = l.o.Facts.Delete(ctx, key)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		l.o.Logger.Warn("the failures of a client could not be forgotten; they count on", "error", err)
	}
}

// Unlock lets a client in again wherever it is locked out, and says at how many
// addresses it was.
func (l *Limits) Unlock(ctx context.Context, client string) (int, error) {
	return Unlock(ctx, l.o.Facts, client)
}

// Unlock is [Limits.Unlock] for whoever has no Limits: the command line.
func Unlock(ctx context.Context, facts store.Facts, client string) (int, error) {
	n := 0
	for {
		page, err := facts.Scan(ctx, factLock+hashed(client)+"/", "", 500)
		if err != nil {
			return n, fmt.Errorf("locks: %w", err)
		}
		if len(page) == 0 {
			return n, nil
		}
		for _, f := range page {
			if err := facts.Delete(ctx, f.Key); err != nil {
				return n, fmt.Errorf("unlock: %w", err)
			}
			n++
		}
	}
}

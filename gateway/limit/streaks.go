package limit

import (
	"sync"
	"time"
)

// failures counts wrong secrets in the memory of a process that is alone, by client and
// address, whether there is such a client or not: what is counted tells nobody which
// there are.
type failures struct {
	mu sync.Mutex
	m  map[string]streak
}

type streak struct {
	n     int
	until time.Time
}

const maxStreaks = 65536

// known says how long a streak is, and until when it counts: a new one from now.
func (f *failures) known(key string, now time.Time, window time.Duration) (n int, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, known := f.m[key]
	if !known || !now.Before(s.until) {
		return 0, now.Add(window)
	}
	return s.n, s.until
}

// add counts one failure.
func (f *failures) add(key string, now time.Time, window time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, known := f.m[key]
	if !now.Before(s.until) {
		s = streak{until: now.Add(window)}
	}
	s.n++
	if !known && len(f.m) >= maxStreaks {
		f.evict(now)
	}
	f.m[key] = s
}

// forget ends a streak: what it counted stands elsewhere, or counts no more.
func (f *failures) forget(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.m, key)
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

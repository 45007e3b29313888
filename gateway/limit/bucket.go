package limit

import (
	"hash/maphash"
	"sync"
	"time"
)

const shards = 32

// Buckets hold one bucket for each key. A bucket holds as much as it gets in a
// minute, so a caller that was quiet may ask a minute's worth at once. The zero
// value of a key's bucket is full, so full buckets need not be kept.
type Buckets struct {
	every time.Duration // one token; 0: no limit
	span  time.Duration // an empty bucket is full again
	now   func() time.Time
	most  int // buckets of one shard
	seed  maphash.Seed
	shard [shards]shard
	pool  *pool // nil: they are this process's alone
}

type shard struct {
	mu sync.Mutex
	// full is when each bucket will be full again: the "theoretical arrival time" of
	// the generic cell rate algorithm, in nanoseconds.
	full map[string]int64
}

// NewBuckets makes buckets of perMinute tokens each, at most most of them at a time;
// perMinute below 1 is no limit.
func NewBuckets(perMinute, most int, now func() time.Time) *Buckets {
	b := &Buckets{now: now, span: time.Minute, most: max(1, most/shards), seed: maphash.MakeSeed()}
	if perMinute > 0 {
		b.every = time.Minute / time.Duration(perMinute)
	}
	for i := range b.shard {
		b.shard[i].full = map[string]int64{}
	}
	return b
}

// Take takes one token. If there is none it takes nothing and says how long to wait.
func (b *Buckets) Take(key string) (wait time.Duration, ok bool) {
	if b.pool != nil {
		if b.pool.on() {
			return b.takeShared(key)
		}
		b.pool.close(key)
	}
	return b.take(key, b.every)
}

// giveBack puts a token back that was taken. What is full stays so.
func (b *Buckets) giveBack(key string) {
	if b.every == 0 {
		return
	}
	if b.pool != nil && b.pool.on() {
		b.giveBackShared(key)
		return
	}
	b.refill(key)
}

func (b *Buckets) refill(key string) {
	s := &b.shard[maphash.String(b.seed, key)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, known := s.full[key]; known {
		s.full[key] = at - int64(b.every)
	}
}

// Peek says whether there is a token, and takes none.
func (b *Buckets) Peek(key string) (wait time.Duration, ok bool) { return b.take(key, 0) }

func (b *Buckets) take(key string, cost time.Duration) (time.Duration, bool) {
	if b.every == 0 {
		return 0, true
	}
	now := b.now().UnixNano()
	s := &b.shard[maphash.String(b.seed, key)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	at, known := s.full[key]
	at = max(at, now)
	if wait := time.Duration(at-now) + b.every - b.span; wait > 0 {
		return wait, false
	}
	if cost == 0 {
		return 0, true
	}
	if !known && len(s.full) >= b.most {
		s.evict(now, b.most)
	}
	s.full[key] = at + int64(cost)
	return 0, true
}

// fullAt is when a bucket will be full again.
func (b *Buckets) fullAt(key string) int64 {
	s := &b.shard[maphash.String(b.seed, key)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.full[key]
}

// set says when a bucket will be full again, as it was found in the store.
func (b *Buckets) set(key string, full int64) {
	s := &b.shard[maphash.String(b.seed, key)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.full[key]; !known && len(s.full) >= b.most {
		s.evict(b.now().UnixNano(), b.most)
	}
	s.full[key] = full
}

// evict lets buckets go that are full again, or else an eighth of them, whichever
// come first in the map's random order: what bounds memory may let somebody ask
// more often, and never somebody less often.
func (s *shard) evict(now int64, most int) {
	for k, at := range s.full {
		if at <= now {
			delete(s.full, k)
		}
	}
	for k := range s.full {
		if len(s.full) <= most-max(1, most/8) {
			break
		}
		delete(s.full, k)
	}
}

// Len counts the buckets that are kept.
func (b *Buckets) Len() int {
	n := 0
	for i := range b.shard {
		b.shard[i].mu.Lock()
		n += len(b.shard[i].full)
		b.shard[i].mu.Unlock()
	}
	return n
}

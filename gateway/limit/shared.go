package limit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// factRate is a bucket that gateways share: when it will be full again, in
// nanoseconds by the store's clock. It goes a while after that.
const factRate = "limit/rate/"

const (
	// chunkParts is how many parts of a minute's worth a process reports one by one.
	chunkParts = 64
	shareTries = 16
	shareTime  = 2 * time.Second
	rateGrace  = time.Minute
)

// A pool is where the buckets of one kind meet those of other gateways. A process
// lets a caller spend a chunk, a 64th of a minute's worth, by what it knows itself,
// and then reports it by one compare-and-set and learns what the others reported.
// So a write comes with a chunk of requests, not with each, and
//
//	limit - N(chunk-1)  <=  what N gateways admit in a burst  <=  limit + N(chunk-1)
//
// while what they admit in the long run is the limit. A limit below 128 a minute
// has a chunk of one request, and is exact.
//
// A store that cannot be reached is not waited for: the process holds the caller to
// the limit by itself and reports later. Nothing else is served then either.
type pool struct {
	facts  store.Facts
	prefix string
	on     func() bool // whether there is another gateway
	chunk  int64       // nanoseconds of bucket
	log    *slog.Logger

	mu       sync.Mutex
	accounts map[string]*account
	most     int
}

// An account is what this process has not reported of one bucket.
type account struct {
	mu   sync.Mutex
	debt int64 // nanoseconds of bucket; below 0: what was reported and given back
	fact store.Fact
	full int64 // what fact said
}

// share lets the buckets meet those of other gateways whenever on says so.
func (b *Buckets) share(facts store.Facts, kind string, on func() bool, log *slog.Logger) {
	if b.every == 0 || on == nil {
		return
	}
	b.pool = &pool{facts: facts, prefix: factRate + kind + "/", on: on, most: b.most * shards, log: log, accounts: map[string]*account{},
		chunk: int64(b.every) * max(1, int64(b.span/b.every)/chunkParts)}
}

// account finds or opens one. A full pool lets any go: what bounds memory may let
// somebody ask more often, and never less.
func (p *pool) account(key string, debt func() int64) *account {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.accounts[key]
	if a != nil {
		return a
	}
	for k := range p.accounts {
		if len(p.accounts) < p.most {
			break
		}
		delete(p.accounts, k)
	}
	// What was spent before there was another gateway is reported too.
	a = &account{debt: debt()}
	p.accounts[key] = a
	return a
}

// close ends an account of this process when it is alone again: what it admits then is
// in the bucket alone, and all of that is owed when another gateway comes.
func (p *pool) close(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.accounts, key)
}

// takeShared takes one token of a bucket that other gateways share.
func (b *Buckets) takeShared(key string) (time.Duration, bool) {
	p := b.pool
	a := p.account(key, func() int64 { return max(0, b.fullAt(key)-b.now().UnixNano()) })
	a.mu.Lock()
	defer a.mu.Unlock()
	// What was given back is worth no more than what the others still see of it.
	a.debt = max(a.debt, -max(0, a.full-b.now().UnixNano()))
	if wait, ok := b.take(key, 0); !ok {
		return wait, false
	}
	if a.debt+int64(b.every) >= p.chunk {
		wait, ok, err := p.report(b, key, a)
		if err == nil {
			return wait, ok
		}
		p.log.Warn("a rate could not be shared with the other gateways; this one goes on by itself", "error", err)
	}
	wait, ok := b.take(key, b.every)
	if ok {
		a.debt += int64(b.every)
	}
	return wait, ok
}

// giveBackShared owes one token less, and less than none where the one was reported.
func (b *Buckets) giveBackShared(key string) {
	a := b.pool.account(key, func() int64 { return max(0, b.fullAt(key)-b.now().UnixNano()) })
	a.mu.Lock()
	defer a.mu.Unlock()
	b.refill(key)
	a.debt -= int64(b.every)
}

// report adds what is owed to the shared bucket and takes one token from it, if
// there is one.
func (p *pool) report(b *Buckets, key string, a *account) (time.Duration, bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), shareTime)
	defer cancel()
	name := p.prefix + hashed(key)
	known := a.fact.Key != ""
	for try := 0; ; try++ {
		now := b.now().UnixNano()
		before := max(b.fullAt(key), now) // nobody else has reported since
		if !known || !a.fact.Expires.After(b.now()) {
			moved, err := p.read(ctx, name, a)
			if err != nil {
				return 0, false, err
			}
			if moved { // the order of what all have spent is not known: it adds up
				before = max(a.full, now) + a.debt
				b.set(key, before)
			}
		}
		wait := time.Duration(before-now) + b.every - b.span
		if wait > 0 && a.debt == 0 {
			b.set(key, before)
			return wait, false, nil
		}
		after := before
		if wait <= 0 {
			after += int64(b.every)
		}
		err := p.write(ctx, name, a, after)
		if err == nil {
			a.debt = 0
			b.set(key, after)
			return max(wait, 0), wait <= 0, nil
		}
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrNotFound) {
			return 0, false, err
		}
		known = false
		if err := pause(ctx, try); err != nil {
			return 0, false, fmt.Errorf("others change the same rate all the time: %w", err)
		}
	}
}

// pause waits at random, longer with each try: else whoever is slow is never first.
func pause(ctx context.Context, try int) error {
	t := time.NewTimer(rand.N(100 * time.Microsecond << min(try, 10)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// read learns what others have reported. moved: something, since this process last
// knew.
func (p *pool) read(ctx context.Context, name string, a *account) (moved bool, err error) {
	f, err := p.facts.Get(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		a.fact, a.full = store.Fact{}, 0
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("rates: %w", err)
	}
	if len(f.Value) != 8 {
		return false, fmt.Errorf("%w: %s", store.ErrDamaged, name)
	}
	moved = f.Version != a.fact.Version
	a.fact, a.full = f, int64(binary.BigEndian.Uint64(f.Value)) //nolint:gosec // written by write
	return moved, nil
}

func (p *pool) write(ctx context.Context, name string, a *account, full int64) (err error) {
	value := binary.BigEndian.AppendUint64(nil, uint64(full)) //nolint:gosec // nanoseconds since 1970
	expires := time.Unix(0, full).Add(rateGrace).UTC()
	var f store.Fact
	if a.fact.Key == "" {
		f, err = p.facts.PutIfAbsent(ctx, name, value, expires)
	} else {
		f, err = p.facts.CompareAndSet(ctx, name, a.fact.Version, value, expires)
	}
	if err != nil {
		return fmt.Errorf("rates: %w", err)
	}
	a.fact, a.full = f, full
	return nil
}

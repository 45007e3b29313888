package broker

import (
	"sync"
	"time"
)

// BreakerOptions say when a system that fails is left alone.
type BreakerOptions struct {
	Failures int           // that open it; 0: 5
	Window   time.Duration // within which they count; 0: 10 s
	Open     time.Duration // how long it then stays open before one request probes; 0: 10 s
}

// result is what a request told about the system's health.
type result uint8

const (
	abandoned result = iota // nothing: the request was given up
	success
	failure
)

// A breaker keeps requests from a system that fails, so that a request does
// not wait for it and the system is not kept from recovering.
type breaker struct {
	o   BreakerOptions
	now func() time.Time

	mu      sync.Mutex
	times   []time.Time // of recent failures, oldest first
	opened  time.Time   // zero: closed
	probing bool
	epoch   int // counts openings and closings; results of requests from before do not count
}

func newBreaker(o BreakerOptions, now func() time.Time) *breaker {
	if o.Failures <= 0 {
		o.Failures = 5
	}
	if o.Window <= 0 {
		o.Window = 10 * time.Second
	}
	if o.Open <= 0 {
		o.Open = 10 * time.Second
	}
	return &breaker{o: o, now: now}
}

// allow says whether a request may go out. Its result must be told to done.
func (b *breaker) allow() (done func(result), ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	probe := false
	if !b.opened.IsZero() {
		if b.probing || b.now().Sub(b.opened) < b.o.Open {
			return nil, false
		}
		b.probing, probe = true, true
	}
	epoch := b.epoch
	return func(r result) { b.done(r, probe, epoch) }, true
}

func (b *breaker) done(r result, probe bool, epoch int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
	}
	if epoch != b.epoch {
		return
	}
	now := b.now()
	switch {
	case probe && r == success:
		b.opened, b.times = time.Time{}, b.times[:0]
		b.epoch++
	case probe && r == failure:
		b.opened = now
		b.epoch++
	case r == failure && b.opened.IsZero():
		for len(b.times) > 0 && now.Sub(b.times[0]) >= b.o.Window {
			b.times = b.times[1:]
		}
		if b.times = append(b.times, now); len(b.times) >= b.o.Failures {
			b.opened, b.times = now, nil
			b.epoch++
		}
	}
}

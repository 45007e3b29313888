package join

import (
	"context"
	"sync"
)

// A Queue is where callers wait. Its fields are set before the first call and not
// changed; it is safe for concurrent use.
type Queue[T any] struct {
	// Together does what some callers want, one at least, in the order in which they
	// came, and tells each in its T how that ended. The context has the values of the
	// one that led, and no end: what was begun ends, so that its outcome is known.
	Together func(ctx context.Context, calls []T)
	// Room, if set, is asked before each time how much fits. What it gives is asked for
	// one caller after the other whether there is room for that one too; the first goes
	// in any case. Who finds none waits for the next time, and is the first then or
	// nearer to it.
	Room func() func(T) bool

	mu      sync.Mutex
	waiting []waiter[T]
	busy    bool
}

type waiter[T any] struct {
	call T
	done chan struct{}
}

// Do returns when x was done, together with others or alone.
func (q *Queue[T]) Do(ctx context.Context, x T) {
	w := waiter[T]{x, make(chan struct{})}
	q.mu.Lock()
	q.waiting = append(q.waiting, w)
	lead := !q.busy
	q.busy = true
	q.mu.Unlock()
	if lead {
		go q.run(context.WithoutCancel(ctx)) // not this caller, who would have to stay for others
	}
	<-w.done
}

// run goes on until nobody waits.
func (q *Queue[T]) run(ctx context.Context) {
	for {
		now := q.next()
		if len(now) == 0 {
			return
		}
		calls := make([]T, len(now))
		for i, w := range now {
			calls[i] = w.call
		}
		q.Together(ctx, calls)
		for _, w := range now {
			close(w.done)
		}
	}
}

// next takes out of the queue those for whom there is room.
func (q *Queue[T]) next() []waiter[T] {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.waiting
	q.busy, q.waiting = len(all) > 0, nil
	if q.Room == nil || len(all) == 0 {
		return all
	}
	var now []waiter[T]
	fits := q.Room()
	for i, w := range all {
		if fits(w.call) || i == 0 {
			now = append(now, w)
		} else {
			q.waiting = append(q.waiting, w)
		}
	}
	return now
}

// AtMost is a Room for so many.
func AtMost[T any](n int) func() func(T) bool {
	return func() func(T) bool {
		taken := 0
		return func(T) bool {
			taken++
			return taken <= n
		}
	}
}

package limit

import (
	"context"
	"sync"
)

// turns let one at a time go on for each key.
type turns struct {
	mu sync.Mutex
	m  map[string]*queue // of keys that somebody is at or waits for
}

type queue struct {
	place chan struct{} // holds whose turn it is
	n     int           // who is there, waiting or not
}

// take waits for its turn. done ends it.
func (t *turns) take(ctx context.Context, key string) (done func(), err error) {
	q := t.enter(key)
	select {
	case q.place <- struct{}{}:
		return func() { <-q.place; t.leave(key, q) }, nil
	case <-ctx.Done():
		t.leave(key, q)
		return nil, ctx.Err()
	}
}

func (t *turns) enter(key string) *queue {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.m[key]
	if q == nil {
		q = &queue{place: make(chan struct{}, 1)}
		if t.m == nil {
			t.m = map[string]*queue{}
		}
		t.m[key] = q
	}
	q.n++
	return q
}

func (t *turns) leave(key string, q *queue) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q.n--; q.n == 0 {
		delete(t.m, key)
	}
}

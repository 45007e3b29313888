package ingest

import (
	"context"
	"sync"

	"github.com/handoff-health/handoff/fhir/store"
)

// maxTogether bounds how many resources, or texts, are written at once.
const maxTogether = 1000

// A combiner joins what several workers write at the same time into one write of
// the store: whoever comes while one is under way waits and goes with the next.
// Each worker's part is written whole or not at all.
type combiner[T, R any] struct {
	mu      sync.Mutex
	waiting []*part[T, R]
	busy    bool
	// key, if set, names what an item is about: no two of one key in one write.
	key func(*T) string
	do  func(ctx context.Context, items []T) ([]R, error)
}

type part[T, R any] struct {
	items []T
	out   []R
	err   error
	done  chan struct{}
}

// write writes items and returns what the store made of them.
func (c *combiner[T, R]) write(ctx context.Context, items []T) ([]R, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &part[T, R]{items: items, done: make(chan struct{})}
	c.mu.Lock()
	c.waiting = append(c.waiting, p)
	lead := !c.busy
	c.busy = true
	c.mu.Unlock()
	if lead {
		c.lead(context.WithoutCancel(ctx))
	}
	<-p.done // what was begun ends: its outcome must be known
	return p.out, p.err
}

// lead writes until nobody waits.
func (c *combiner[T, R]) lead(ctx context.Context) {
	for {
		c.mu.Lock()
		parts := c.take()
		c.busy = len(parts) > 0
		c.mu.Unlock()
		if len(parts) == 0 {
			return
		}
		c.together(ctx, parts)
	}
}

// take picks waiting parts that can be written together.
func (c *combiner[T, R]) take() []*part[T, R] {
	var parts, rest []*part[T, R]
	seen := map[string]bool{}
	n := 0
next:
	for _, p := range c.waiting {
		if len(parts) > 0 && n+len(p.items) > maxTogether {
			rest = append(rest, p)
			continue
		}
		if c.key != nil {
			for i := range p.items {
				if seen[c.key(&p.items[i])] {
					rest = append(rest, p)
					continue next
				}
			}
			for i := range p.items {
				seen[c.key(&p.items[i])] = true
			}
		}
		n += len(p.items)
		parts = append(parts, p)
	}
	c.waiting = rest
	return parts
}

// together writes the parts as one, or, if that fails, each by itself, so that
// nobody gets another's error.
func (c *combiner[T, R]) together(ctx context.Context, parts []*part[T, R]) {
	if len(parts) > 1 {
		var all []T
		for _, p := range parts {
			all = append(all, p.items...)
		}
		if out, err := c.do(ctx, all); err == nil {
			for _, p := range parts {
				n := min(len(p.items), len(out))
				p.out, out = out[:n:n], out[n:]
				close(p.done)
			}
			return
		}
	}
	var wg sync.WaitGroup
	for _, p := range parts {
		wg.Go(func() {
			p.out, p.err = c.do(ctx, p.items)
			close(p.done)
		})
	}
	wg.Wait()
}

// combine makes the run's combiners.
func (p *Pipeline) combine() {
	p.units = &combiner[store.Write, *store.Record]{do: p.Store.Apply, key: func(w *store.Write) string { return w.Key.String() }}
	p.texts = map[string]*combiner[[]byte, struct{}]{}
	for _, stream := range []string{RawStream(p.Origin.System), RejectStream(p.Origin.System)} {
		p.texts[stream] = &combiner[[]byte, struct{}]{do: func(ctx context.Context, texts [][]byte) ([]struct{}, error) {
			_, err := p.Log.Append(ctx, stream, texts...)
			return nil, err
		}}
	}
}

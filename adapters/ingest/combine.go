package ingest

import (
	"context"
	"sync"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/join"
)

// maxTogether bounds how many resources, or texts, are written at once.
const maxTogether = 1000

// A combiner joins what several workers write at the same time into one write of
// the store. Each worker's part is written whole or not at all.
type combiner[T, R any] struct {
	queue join.Queue[*part[T, R]]
	do    func(ctx context.Context, items []T) ([]R, error)
}

type part[T, R any] struct {
	items []T
	out   []R
	err   error
}

// newCombiner makes a combiner. key, if not nil, names what an item is about: no two
// of one key go into one write.
func newCombiner[T, R any](key func(*T) string, do func(context.Context, []T) ([]R, error)) *combiner[T, R] {
	c := &combiner[T, R]{do: do}
	c.queue.Together = c.together
	c.queue.Room = func() func(*part[T, R]) bool { return apart[T, R](key) }
	return c
}

// apart is the room for parts that can be written together.
func apart[T, R any](key func(*T) string) func(*part[T, R]) bool {
	n, seen := 0, map[string]bool{}
	return func(p *part[T, R]) bool {
		if n > 0 && n+len(p.items) > maxTogether {
			return false
		}
		if key != nil {
			for i := range p.items {
				if seen[key(&p.items[i])] {
					return false
				}
			}
			for i := range p.items {
				seen[key(&p.items[i])] = true
			}
		}
		n += len(p.items)
		return true
	}
}

// write writes items and returns what the store made of them.
func (c *combiner[T, R]) write(ctx context.Context, items []T) ([]R, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &part[T, R]{items: items}
	c.queue.Do(ctx, p)
	return p.out, p.err
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
			}
			return
		}
	}
	var wg sync.WaitGroup
	for _, p := range parts {
		wg.Go(func() { p.out, p.err = c.do(ctx, p.items) })
	}
	wg.Wait()
}

// combine makes the run's combiners.
func (p *Pipeline) combine() {
	p.units = newCombiner(func(w *store.Write) string { return w.Key.String() }, p.Store.Apply)
	p.texts = map[string]*combiner[[]byte, struct{}]{}
	for _, stream := range []string{RawStream(p.Origin.System), RejectStream(p.Origin.System)} {
		p.texts[stream] = newCombiner(nil, func(ctx context.Context, texts [][]byte) ([]struct{}, error) {
			_, err := p.Log.Append(ctx, stream, texts...)
			return nil, err
		})
	}
}

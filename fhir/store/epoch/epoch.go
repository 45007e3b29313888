package epoch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// A Backend is a store that can be cached.
type Backend interface {
	store.Store
	store.Facts
	store.Epocher
}

// A Cache is a Backend's Store and Facts with memory. It is safe for concurrent
// use.
type Cache struct {
	Backend
	now   func() time.Time
	max   int
	along []string // keys of facts

	mu    sync.Mutex
	epoch int64
	size  int
	kept  map[string]kept
}

// DefaultBytes is how much a Cache keeps, counted in bytes of records and facts.
const DefaultBytes = 16 << 20

// New makes a cache. maxBytes 0 is DefaultBytes; a nil clock is time.Now, by
// which facts expire.
func New(b Backend, maxBytes int, now func() time.Time) *Cache {
	if maxBytes == 0 {
		maxBytes = DefaultBytes
	}
	if now == nil {
		now = time.Now
	}
	return &Cache{Backend: b, now: now, max: maxBytes, kept: map[string]kept{}}
}

// Along names facts that nearly every request reads. They are read together with the
// first fact that a request finds changed, in one step. It is called before the Cache
// is used.
func (c *Cache) Along(keys ...string) {
	if _, ok := c.Backend.(store.Gatherer); ok {
		c.along = keys
	}
}

// kept is the answer to one read. Exactly one of its fields counts; an absence
// is kept as err.
type kept struct {
	record *store.Record
	page   store.Page
	fact   store.Fact
	facts  []store.Fact
	err    error // store.ErrNotFound
}

type pinKey struct{}

// A pin is a request's epoch. A request that has tried to write reads from the
// store from then on: it must see its own writes, and those of others that made
// its own fail.
type pin struct {
	epoch int64
	wrote atomic.Bool
}

func pinned(ctx context.Context) *pin {
	p, _ := ctx.Value(pinKey{}).(*pin)
	return p
}

// writes notes that the request writes.
func writes(ctx context.Context) {
	if p := pinned(ctx); p != nil {
		p.wrote.Store(true)
	}
}

// Pin reads the epoch and returns a context under which reads may be answered
// from memory. An error means that the store cannot tell, and is not hidden.
func (c *Cache) Pin(ctx context.Context) (context.Context, error) {
	e, err := c.Backend.Epoch(ctx)
	if err != nil {
		return ctx, fmt.Errorf("epoch of the store: %w", err)
	}
	return context.WithValue(ctx, pinKey{}, &pin{epoch: e}), nil
}

// Unpinned returns a context under which nothing is answered from memory: for what must
// be as new as something that was read from the store itself.
func Unpinned(ctx context.Context) context.Context {
	return context.WithValue(ctx, pinKey{}, (*pin)(nil))
}

// Pinned returns the epoch of a pinned context, 0 without one.
func (c *Cache) Pinned(ctx context.Context) int64 {
	if p := pinned(ctx); p != nil {
		return p.epoch
	}
	return 0
}

// look returns what is kept under key for the context's epoch. ask says that
// the answer may be kept afterwards.
func (c *Cache) look(ctx context.Context, key string) (k kept, found, ask bool) {
	p := pinned(ctx)
	if p == nil || p.wrote.Load() {
		return kept{}, false, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.epoch != c.epoch { // an older request than the newest epoch keeps out of the way
		return kept{}, false, true
	}
	k, found = c.kept[key]
	return k, found, true
}

// keep stores an answer that was read after the context's epoch was taken: it
// is at least as new as that epoch, so it holds while the epoch stands.
func (c *Cache) keep(ctx context.Context, key string, k kept) {
	p := pinned(ctx)
	if p == nil {
		return
	}
	e, size := p.epoch, len(key)+k.bytes()
	c.mu.Lock()
	defer c.mu.Unlock()
	if e < c.epoch || size > c.max/8 {
		return
	}
	if e > c.epoch || c.size+size > c.max {
		c.epoch, c.size, c.kept = e, 0, map[string]kept{}
	}
	if _, there := c.kept[key]; !there {
		c.kept[key] = k
		c.size += size
	}
}

const overhead = 256 // bytes of structures around an answer

func (k *kept) bytes() int {
	n := overhead + len(k.fact.Value)
	for _, f := range k.facts {
		n += overhead + len(f.Key) + len(f.Value)
	}
	if k.record != nil {
		n += recordBytes(k.record)
	}
	for _, r := range k.page.Records {
		n += recordBytes(r)
	}
	return n
}

func recordBytes(r *store.Record) int {
	n := overhead + len(r.Raw)
	for _, s := range r.Index {
		n += len(s) + 16
	}
	return n
}

// Read implements store.Store.
func (c *Cache) Read(ctx context.Context, k store.Key) (*store.Record, error) {
	key := "r " + k.Type + "/" + k.ID
	if m, found, ask := c.look(ctx, key); found {
		return m.record, m.err
	} else if !ask {
		return c.Backend.Read(ctx, k)
	}
	r, err := c.Backend.Read(ctx, k)
	if err == nil || errors.Is(err, store.ErrNotFound) {
		c.keep(ctx, key, kept{record: r, err: err})
	}
	return r, err
}

// Search implements store.Store.
func (c *Cache) Search(ctx context.Context, p store.Plan) (store.Page, error) {
	plan, err := json.Marshal(p)
	if err != nil {
		return store.Page{}, fmt.Errorf("search plan: %w", err)
	}
	key := "s " + string(plan)
	m, found, ask := c.look(ctx, key)
	if found {
		return store.Page{Records: slices.Clone(m.page.Records), Next: m.page.Next}, nil
	}
	page, err := c.Backend.Search(ctx, p)
	if err == nil && ask {
		c.keep(ctx, key, kept{page: store.Page{Records: slices.Clone(page.Records), Next: page.Next}})
	}
	return page, err
}

// Get implements store.Facts. A fact that expires while it is kept is absent,
// as in the store.
func (c *Cache) Get(ctx context.Context, key string) (store.Fact, error) {
	name := "f " + key
	m, found, ask := c.look(ctx, name)
	switch {
	case found && m.err != nil:
		return store.Fact{}, m.err
	case found && !m.fact.Expires.IsZero() && !c.now().Before(m.fact.Expires):
		return store.Fact{}, fmt.Errorf("fact: %w", store.ErrNotFound)
	case found:
		return m.fact, nil
	}
	if ask && len(c.lacking(ctx, []string{key})) > 0 {
		return c.getAlong(ctx, key)
	}
	f, err := c.Backend.Get(ctx, key)
	if ask && (err == nil || errors.Is(err, store.ErrNotFound)) {
		c.keep(ctx, name, kept{fact: f, err: err})
	}
	return f, err
}

// getAlong is Get together with what else is lacking.
func (c *Cache) getAlong(ctx context.Context, key string) (store.Fact, error) {
	fs, err := c.Gather(ctx, []string{key})
	switch {
	case err != nil:
		return store.Fact{}, err
	case len(fs) == 0:
		return store.Fact{}, fmt.Errorf("fact: %w", store.ErrNotFound)
	}
	return fs[0], nil
}

// lacking are the facts to be read along with those of keys: those that are neither
// among them nor kept.
func (c *Cache) lacking(ctx context.Context, keys []string) (out []string) {
	for _, key := range c.along {
		if _, found, _ := c.look(ctx, "f "+key); !found && !slices.Contains(keys, key) {
			out = append(out, key)
		}
	}
	return out
}

// Gather implements store.Gatherer: what is not kept is read from the store in one
// step.
func (c *Cache) Gather(ctx context.Context, keys []string) ([]store.Fact, error) {
	var out []store.Fact
	var missing []string
	keep := false
	for _, key := range keys {
		m, found, ask := c.look(ctx, "f "+key)
		keep = keep || ask
		switch {
		case !found:
			missing = append(missing, key)
		case m.err == nil && (m.fact.Expires.IsZero() || c.now().Before(m.fact.Expires)):
			out = append(out, m.fact)
		}
	}
	if len(missing) == 0 {
		return out, nil
	}
	asked := len(missing)
	if keep {
		missing = append(missing, c.lacking(ctx, missing)...)
	}
	read, err := store.Gather(ctx, c.Backend, missing)
	if err != nil {
		return nil, err
	}
	for n, key := range missing {
		k := kept{err: store.ErrNotFound}
		if i := slices.IndexFunc(read, func(f store.Fact) bool { return f.Key == key }); i >= 0 {
			if k = (kept{fact: read[i]}); n < asked {
				out = append(out, read[i])
			}
		}
		if keep {
			c.keep(ctx, "f "+key, k)
		}
	}
	return out, nil
}

// Scan implements store.Facts.
func (c *Cache) Scan(ctx context.Context, prefix, after string, limit int) ([]store.Fact, error) {
	key := fmt.Sprintf("p %q %q %d", prefix, after, limit)
	m, found, ask := c.look(ctx, key)
	if found && !slices.ContainsFunc(m.facts, func(f store.Fact) bool { return !f.Expires.IsZero() && !c.now().Before(f.Expires) }) {
		return slices.Clone(m.facts), nil
	}
	fs, err := c.Backend.Scan(ctx, prefix, after, limit)
	if err == nil && ask && !found {
		c.keep(ctx, key, kept{facts: slices.Clone(fs)})
	}
	return fs, err
}

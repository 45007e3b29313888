package storetest

import (
	"context"
	"sync"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// Halting are Facts on which a process stands still between its steps, as one does that
// is halted by its machine or waits for the store, while something happens elsewhere.
type Halting struct {
	store.Facts

	mu     sync.Mutex
	before func(step int, key string)
	step   int
}

// From counts steps from 1 again and calls before in front of each one, with the first
// key that it is about; nil: nobody. What before does goes to other Facts.
func (h *Halting) From(before func(step int, key string)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.before, h.step = before, 0
}

func (h *Halting) halt(key string) {
	h.mu.Lock()
	h.step++
	step, before := h.step, h.before
	h.mu.Unlock()
	if before != nil {
		before(step, key)
	}
}

// Get implements store.Facts.
func (h *Halting) Get(ctx context.Context, key string) (store.Fact, error) {
	h.halt(key)
	return h.Facts.Get(ctx, key)
}

// Gather implements store.Gatherer.
func (h *Halting) Gather(ctx context.Context, keys []string) ([]store.Fact, error) {
	if len(keys) > 0 {
		h.halt(keys[0])
	}
	return store.Gather(ctx, h.Facts, keys)
}

// PutIfAbsent implements store.Facts.
func (h *Halting) PutIfAbsent(ctx context.Context, key string, value []byte, expires time.Time) (store.Fact, error) {
	h.halt(key)
	return h.Facts.PutIfAbsent(ctx, key, value, expires)
}

// CompareAndSet implements store.Facts.
func (h *Halting) CompareAndSet(ctx context.Context, key string, version int64, value []byte, expires time.Time) (store.Fact, error) {
	h.halt(key)
	return h.Facts.CompareAndSet(ctx, key, version, value, expires)
}

// Delete implements store.Facts.
func (h *Halting) Delete(ctx context.Context, key string) error {
	h.halt(key)
	return h.Facts.Delete(ctx, key)
}

// Scan implements store.Facts.
func (h *Halting) Scan(ctx context.Context, prefix, after string, limit int) ([]store.Fact, error) {
	h.halt(prefix)
	return h.Facts.Scan(ctx, prefix, after, limit)
}

package epoch

import (
	"context"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// The writes of a Cache go to the store as they are; the request that makes one
// is not answered from memory any more, whether it succeeded or not.

// Write implements store.Store.
func (c *Cache) Write(ctx context.Context, w store.Write) (*store.Record, error) {
	writes(ctx)
	return c.Backend.Write(ctx, w)
}

// Apply implements store.Store.
func (c *Cache) Apply(ctx context.Context, ws []store.Write) ([]*store.Record, error) {
	writes(ctx)
	return c.Backend.Apply(ctx, ws)
}

// Expunge implements store.Store.
func (c *Cache) Expunge(ctx context.Context, k store.Key) error {
	writes(ctx)
	return c.Backend.Expunge(ctx, k)
}

// PutIfAbsent implements store.Facts.
func (c *Cache) PutIfAbsent(ctx context.Context, key string, value []byte, expires time.Time) (store.Fact, error) {
	writes(ctx)
	return c.Backend.PutIfAbsent(ctx, key, value, expires)
}

// CompareAndSet implements store.Facts.
func (c *Cache) CompareAndSet(ctx context.Context, key string, version int64, value []byte, expires time.Time) (store.Fact, error) {
	writes(ctx)
	return c.Backend.CompareAndSet(ctx, key, version, value, expires)
}

// Delete implements store.Facts.
func (c *Cache) Delete(ctx context.Context, key string) error {
	writes(ctx)
	return c.Backend.Delete(ctx, key)
}

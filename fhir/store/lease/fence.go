package lease

import (
	"context"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// A Fence is a store that is written to only while check allows it: what a holder
// began before it was stopped ends with an error when it goes on after another has
// taken over. What it reads it may always read.
type Fence struct {
	Store store.Store
	Facts store.Facts
	Log   store.Log
	Check func() error
}

// Fenced returns the parts of the store behind the fence.
func (f Fence) Fenced() (store.Store, store.Facts, store.Log) {
	return fencedStore{f.Store, f.Check}, fencedFacts{f.Facts, f.Check}, fencedLog{f.Log, f.Check}
}

type fencedStore struct {
	store.Store
	check func() error
}

// Write implements store.Store.
func (f fencedStore) Write(ctx context.Context, w store.Write) (*store.Record, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	return f.Store.Write(ctx, w)
}

// Apply implements store.Store.
func (f fencedStore) Apply(ctx context.Context, ws []store.Write) ([]*store.Record, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	return f.Store.Apply(ctx, ws)
}

// Expunge implements store.Store. It is never held back: an order to expunge counts
// whoever carries it out.
func (f fencedStore) Expunge(ctx context.Context, k store.Key) error {
	return f.Store.Expunge(ctx, k)
}

type fencedFacts struct {
	store.Facts
	check func() error
}

// PutIfAbsent implements store.Facts.
func (f fencedFacts) PutIfAbsent(ctx context.Context, key string, value []byte, expires time.Time) (store.Fact, error) {
	if err := f.check(); err != nil {
		return store.Fact{}, err
	}
	return f.Facts.PutIfAbsent(ctx, key, value, expires)
}

// CompareAndSet implements store.Facts.
func (f fencedFacts) CompareAndSet(ctx context.Context, key string, version int64, value []byte, expires time.Time) (store.Fact, error) {
	if err := f.check(); err != nil {
		return store.Fact{}, err
	}
	return f.Facts.CompareAndSet(ctx, key, version, value, expires)
}

// Delete implements store.Facts.
func (f fencedFacts) Delete(ctx context.Context, key string) error {
	if err := f.check(); err != nil {
		return err
	}
	return f.Facts.Delete(ctx, key)
}

// Gather implements store.Gatherer.
func (f fencedFacts) Gather(ctx context.Context, keys []string) ([]store.Fact, error) {
	return store.Gather(ctx, f.Facts, keys)
}

type fencedLog struct {
	store.Log
	check func() error
}

// Append implements store.Log.
func (f fencedLog) Append(ctx context.Context, stream string, data ...[]byte) (uint64, error) {
	if err := f.check(); err != nil {
		return 0, err
	}
	return f.Log.Append(ctx, stream, data...)
}

// Checkpoint implements store.Log.
func (f fencedLog) Checkpoint(ctx context.Context, stream, reader string, seq uint64) error {
	if err := f.check(); err != nil {
		return err
	}
	return f.Log.Checkpoint(ctx, stream, reader, seq)
}

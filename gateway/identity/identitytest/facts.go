// Package identitytest has a store.Facts in memory for tests of what is built
// on links and ids. Stores themselves are tested by storetest.
package identitytest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// Facts keeps facts in memory. Fail, when set, is what every write answers.
type Facts struct {
	Fail          atomic.Pointer[error]
	Writes, Reads atomic.Int64

	mu    sync.Mutex
	facts map[string]store.Fact
}

var _ store.Facts = (*Facts)(nil)

func (f *Facts) write() error {
	f.Writes.Add(1)
	if err := f.Fail.Load(); err != nil {
		return *err
	}
	return nil
}

// Get implements store.Facts.
func (f *Facts) Get(_ context.Context, key string) (store.Fact, error) {
	f.Reads.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	v, ok := f.facts[key]
	if !ok {
		return store.Fact{}, store.ErrNotFound
	}
	return v, nil
}

// PutIfAbsent implements store.Facts.
func (f *Facts) PutIfAbsent(_ context.Context, key string, value []byte, expires time.Time) (store.Fact, error) {
	if err := f.write(); err != nil {
		return store.Fact{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.facts[key]; ok {
		return store.Fact{}, store.ErrExists
	}
	if f.facts == nil {
		f.facts = map[string]store.Fact{}
	}
	v := store.Fact{Key: key, Value: slices.Clone(value), Version: 1, Expires: expires}
	f.facts[key] = v
	return v, nil
}

// CompareAndSet implements store.Facts.
func (f *Facts) CompareAndSet(_ context.Context, key string, version int64, value []byte, expires time.Time) (store.Fact, error) {
	if err := f.write(); err != nil {
		return store.Fact{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.facts[key].Version != version {
		return store.Fact{}, store.ErrConflict
	}
	v := store.Fact{Key: key, Value: slices.Clone(value), Version: version + 1, Expires: expires}
	f.facts[key] = v
	return v, nil
}

// Delete implements store.Facts.
func (f *Facts) Delete(_ context.Context, key string) error {
	if err := f.write(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.facts, key)
	return nil
}

// Scan implements store.Facts.
func (f *Facts) Scan(_ context.Context, prefix, after string, limit int) ([]store.Fact, error) {
	f.Reads.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []store.Fact
	for k, v := range f.facts {
		if strings.HasPrefix(k, prefix) && k > after {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b store.Fact) int { return strings.Compare(a.Key, b.Key) })
	return out[:min(limit, len(out))], nil
}

// Keys returns all keys, sorted.
func (f *Facts) Keys() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for k := range f.facts {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

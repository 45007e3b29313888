package presence

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// memory are facts that expire by the test's time.
type memory struct {
	mu      sync.Mutex
	version int64
	facts   map[string]store.Fact
	failing bool
	hangs   time.Duration // how long a write goes on, whatever its context says
}

func (m *memory) Get(_ context.Context, key string) (store.Fact, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.get(key)
}

func (m *memory) get(key string) (store.Fact, error) {
	f, ok := m.facts[key]
	switch {
	case m.failing:
		return f, fmt.Errorf("the store is away")
	case !ok || !f.Expires.After(time.Now()):
		return store.Fact{}, store.ErrNotFound
	}
	return f, nil
}

func (m *memory) put(key string, value []byte, expires time.Time) store.Fact {
	m.version++
	m.facts[key] = store.Fact{Key: key, Value: value, Version: m.version, Expires: expires}
	return m.facts[key]
}

func (m *memory) PutIfAbsent(_ context.Context, key string, value []byte, expires time.Time) (store.Fact, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.get(key); err == nil {
		return store.Fact{}, store.ErrExists
	} else if m.failing {
		return store.Fact{}, err
	}
	return m.put(key, value, expires), nil
}

func (m *memory) CompareAndSet(_ context.Context, key string, version int64, value []byte, expires time.Time) (store.Fact, error) {
	time.Sleep(m.hangs)
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.get(key)
	switch {
	case m.failing:
		return f, err
	case err != nil || f.Version != version:
		return f, store.ErrConflict
	}
	return m.put(key, value, expires), nil
}

func (m *memory) Delete(_ context.Context, key string) error {
	time.Sleep(m.hangs)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.facts, key)
	return nil
}

func (m *memory) Scan(_ context.Context, prefix, _ string, _ int) ([]store.Fact, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []store.Fact
	for _, key := range slices.Sorted(maps.Keys(m.facts)) {
		if f, err := m.get(key); err == nil && strings.HasPrefix(key, prefix) {
			out = append(out, f)
		}
	}
	return out, nil
}

func TestAProcessIsPresentWhileItLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{facts: map[string]store.Fact{}}
		present := func(want int, when string) {
			t.Helper()
			hs, err := Present(t.Context(), m)
			if err != nil || len(hs) != want {
				t.Errorf("%s: %v, %v; want %d", when, hs, err, want)
			}
			if want > 0 && !strings.Contains(Names(hs), "'handoff serve'") {
				t.Errorf("%s: %s", when, Names(hs))
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		l, err := Announce(ctx, m, time.Now, "serve")
		if err != nil {
			t.Fatal(err)
		}
		present(1, "at once")
		cancel() // it is End that ends it
		time.Sleep(10 * time.Minute)
		present(1, "after ten minutes")
		m.mu.Lock()
		m.failing = true
		m.mu.Unlock()
		time.Sleep(2 * lease)
		m.mu.Lock()
		m.failing = false
		m.mu.Unlock()
		time.Sleep(renewed + time.Second)
		present(1, "after the store was away")
		if err := l.End(); err != nil {
			t.Error(err)
		}
		present(0, "after its end")
		dead, err := Announce(t.Context(), m, time.Now, "serve")
		if err != nil {
			t.Fatal(err)
		}
		dead.stop() // as if it was killed
		present(1, "a moment after a kill")
		time.Sleep(lease)
		present(0, "a minute after a kill")
	})
}

// A process ends although its store is away, and does not give up a write.
func TestAProcessEndsWithoutItsStore(t *testing.T) {
	for name, after := range map[string]time.Duration{"while it renews": renewed + time.Second, "otherwise": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &memory{facts: map[string]store.Fact{}, hangs: 30 * time.Second}
				l, err := Announce(t.Context(), m, time.Now, "serve")
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(after)
				began := time.Now()
				if err := l.End(); err == nil || time.Since(began) != endWithin {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
				time.Sleep(2 * time.Minute) // until nothing is under way
			})
		})
	}
}

func TestAProcessIsNotAmongTheOthers(t *testing.T) {
	m := &memory{facts: map[string]store.Fact{}}
	mine, err := Announce(t.Context(), m, time.Now, "ingest")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mine.End() }()
	if hs, err := mine.Others(t.Context()); err != nil || len(hs) > 0 {
		t.Error(hs, err)
	}
	other, err := Announce(t.Context(), m, time.Now, "serve")
	if err != nil {
		t.Fatal(err)
	}
	if hs, err := mine.Others(t.Context()); err != nil || len(hs) != 1 || hs[0].What != "serve" {
		t.Error(hs, err)
	}
	if err := other.End(); err != nil {
		t.Fatal(err)
	}
	if hs, err := mine.Others(t.Context()); err != nil || len(hs) > 0 {
		t.Error(hs, err)
	}
}

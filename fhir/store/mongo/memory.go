package mongo

import (
	"sync"
	"time"
)

// A memory keeps something of searches, up to a bound. What is forgotten is found out
// again: answers are the same without.
type memory[V any] struct {
	mu sync.Mutex
	of map[string]V // by plan.Hash
}

const mostRemembered = 4096

func (m *memory[V]) get(key string) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.of[key]
	return v, ok
}

func (m *memory[V]) set(key string, v V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of == nil || len(m.of) >= mostRemembered {
		m.of = map[string]V{}
	}
	m.of[key] = v
}

// A plenty remembers for a while of which searches find more than a few heads, and
// whether the type is walked for them: to find that out for each page costs more than
// the page. The answer is the same whichever way is taken.
type plenty struct{ ways memory[way] }

type way struct {
	walk bool
	at   time.Time
}

const plentyFor = time.Minute

func (p *plenty) get(key string) (walk, known bool) {
	w, known := p.ways.get(key)
	return w.walk, known && time.Since(w.at) < plentyFor
}

func (p *plenty) set(key string, walk bool) { p.ways.set(key, way{walk, time.Now()}) }

package mongo

import (
	"sync"
	"time"
)

// A plenty remembers for a while of which searches find more than a few heads, and
// whether the type is walked for them: to find that out for each page costs more than
// the page. The answer is the same whichever way is taken.
type plenty struct {
	mu sync.Mutex
	of map[string]way // by plan.Hash
}

type way struct {
	walk bool
	at   time.Time
}

const (
	plentyFor  = time.Minute
	mostPlenty = 4096
)

func (p *plenty) get(key string) (walk, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, known := p.of[key]
	return w.walk, known && time.Since(w.at) < plentyFor
}

func (p *plenty) set(key string, walk bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil || len(p.of) >= mostPlenty {
		p.of = map[string]way{}
	}
	p.of[key] = way{walk, time.Now()}
}

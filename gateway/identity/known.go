package identity

import "sync"

// known is a bounded memory of mappings that are stored. It keeps two
// generations and drops the older when the newer is full.
type known struct {
	mu       sync.RWMutex
	new, old generation
}

type generation struct {
	forward  map[remote]string
	backward map[string]remote // "Type/opaque"
}

const generationSize = 1 << 14

func newGeneration() generation {
	return generation{map[remote]string{}, map[string]remote{}}
}

func newKnown() *known { return &known{new: newGeneration(), old: newGeneration()} }

func (k *known) forward(r remote) (string, bool) {
	k.mu.RLock()
	opaque, ok := k.new.forward[r]
	var aged bool
	if !ok {
		opaque, aged = k.old.forward[r]
	}
	k.mu.RUnlock()
	if aged {
		k.add(r, opaque)
	}
	return opaque, ok || aged
}

func (k *known) backward(typ, opaque string) (remote, bool) {
	key := typ + "/" + opaque
	k.mu.RLock()
	defer k.mu.RUnlock()
	r, ok := k.new.backward[key]
	if !ok {
		r, ok = k.old.backward[key]
	}
	return r, ok
}

func (k *known) add(r remote, opaque string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.new.forward) >= generationSize {
		k.old, k.new = k.new, newGeneration()
	}
	k.new.forward[r] = opaque
	k.new.backward[r.Type+"/"+opaque] = r
}

func (k *known) forget(typ, opaque string) {
	key := typ + "/" + opaque
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, g := range []generation{k.new, k.old} {
		if r, ok := g.backward[key]; ok {
			delete(g.forward, r)
			delete(g.backward, key)
		}
	}
}

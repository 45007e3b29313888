package identity

import "sync"

// known is a bounded memory of mappings that are stored. It keeps two
// generations and drops the older when the newer is full. All of it holds for one
// count of expunges (see counts): with another, of whichever process, it is
// forgotten.
type known struct {
	mu       sync.RWMutex
	count    int64
	new, old generation
}

// A noted is a mapping with the Patient for whom it was stored.
type noted struct {
	remote
	of string // opaque id; "" for what is nobody's
}

type generation struct {
	forward  map[noted]string
	backward map[string]remote // "Type/opaque"
}

const generationSize = 1 << 14

func newGeneration() generation {
	return generation{map[noted]string{}, map[string]remote{}}
}

func newKnown() *known { return &known{new: newGeneration(), old: newGeneration()} }

// renew forgets everything if the count is another.
func (k *known) renew(count int64) {
	k.mu.RLock()
	same := k.count == count
	k.mu.RUnlock()
	if same {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.count != count {
		k.count, k.new, k.old = count, newGeneration(), newGeneration()
	}
}

// drop forgets everything.
func (k *known) drop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.new, k.old = newGeneration(), newGeneration()
}

// asOf is the count for which the memory holds.
func (k *known) asOf() int64 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.count
}

func (k *known) forward(n noted) (string, bool) {
	k.mu.RLock()
	opaque, ok := k.new.forward[n]
	var aged bool
	if !ok {
		opaque, aged = k.old.forward[n]
	}
	count := k.count
	k.mu.RUnlock()
	if aged {
		k.add(count, n, opaque)
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

// add notes what was stored by somebody who began at a count. If the memory holds
// for another by now, what was stored may be gone again.
func (k *known) add(count int64, n noted, opaque string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.count != count {
		return
	}
	if len(k.new.forward) >= generationSize {
		k.old, k.new = k.new, newGeneration()
	}
	k.new.forward[n] = opaque
	k.new.backward[n.Type+"/"+opaque] = n.remote
}

// addBack notes the way back alone: for whom it was stored is not known.
func (k *known) addBack(count int64, r remote, opaque string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.count != count {
		return
	}
	if len(k.new.backward) >= generationSize {
		k.old, k.new = k.new, newGeneration()
	}
	k.new.backward[r.Type+"/"+opaque] = r
}

package policy

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// dutiesOf are the obligations of a ground for these data.
func (s *Session) dutiesOf(g *ground, m *matter) dutySet {
	set := g.duties
	for _, r := range g.obliges {
		if s.all(r.dynamic, true, g, m) {
			set |= r.duties
		}
	}
	return set
}

// dutyLists are the lists that sets of obligations come to; of a Law there are
// few. Readers take no lock.
type dutyLists struct {
	mu    sync.Mutex
	lists atomic.Pointer[map[dutySet][]Obligation]
}

// maxLists bounds how many are kept; a set beyond is listed anew each time.
const maxLists = 4096

// list returns the obligations of a set, in the order of the law. It must not
// be changed.
func (l *Law) list(set dutySet) []Obligation {
	if known := l.duties.lists.Load(); known != nil {
		if list, ok := (*known)[set]; ok {
			return list
		}
	}
	list := make([]Obligation, 0, bits.OnesCount64(uint64(set)))
	for i, o := range l.obligations {
		if set&(1<<i) != 0 {
			list = append(list, o)
		}
	}
	list = list[:len(list):len(list)]
	l.duties.mu.Lock()
	defer l.duties.mu.Unlock()
	next := map[dutySet][]Obligation{set: list}
	if known := l.duties.lists.Load(); known != nil {
		if len(*known) >= maxLists {
			return list
		}
		for k, v := range *known {
			next[k] = v
		}
	}
	l.duties.lists.Store(&next)
	return list
}

package hl7v2

import (
	"hash/fnv"

	"github.com/handoff-health/handoff/mappings/tree"
)

// maxNamed is how many messages back a control id is known: a sender that begins
// to count again is not taken to repeat itself, and memory stays flat.
const maxNamed = 1 << 16

// named knows the contents of the latest messages by MSH-3, MSH-4 and MSH-10, as
// digests.
type named struct {
	contents map[uint64]uint64
	ring     []uint64 // the names, in order of arrival
	next     int
}

// differs notes a message and says whether one of its name had another content.
func (n *named) differs(root *tree.Node, segs []segment) bool {
	msh := root.First("MSH")
	if msh.First("10").Value() == "" {
		return false
	}
	h := fnv.New64a()
	for _, f := range []string{"3", "4", "10"} {
		field := msh.First(f)
		for _, part := range []string{field.Part("1").Value(), field.First("2").Value(), field.First("3").Value()} {
			_, _ = h.Write(append([]byte(part), 0))
		}
	}
	name := h.Sum64()
	h.Reset()
	for i := range segs {
		_, _ = h.Write(append(segs[i].body[:len(segs[i].body):len(segs[i].body)], '\r'))
	}
	content := h.Sum64()
	before, known := n.contents[name]
	if !known {
		n.keep(name)
	}
	n.contents[name] = content
	return known && before != content
}

// keep makes room for a name in place of the oldest.
func (n *named) keep(name uint64) {
	switch {
	case n.contents == nil:
		n.contents = map[uint64]uint64{}
		fallthrough
	case len(n.ring) < maxNamed:
		n.ring = append(n.ring, name)
		return
	}
	delete(n.contents, n.ring[n.next])
	n.ring[n.next] = name
	n.next = (n.next + 1) % maxNamed
}

package convert

import (
	"encoding/binary"
	"slices"
)

// groups says which records are in a group. Every record is in one, and hardly
// ever somebody asks: so it is small rather than quick.
type groups struct {
	chunks [][]member
	n      int
	heads  []uint32 // the last member of each bucket, from 1; 0: none
}

// A member is a record in a group.
type member struct {
	group  name
	record uint32 // its place in the table of records
	before uint32 // the member before it in its bucket; 0: none
}

func (g *groups) member(place uint32) *member { return &g.chunks[(place-1)/chunk][(place-1)%chunk] }

func (g *groups) bucket(group name) *uint32 {
	return &g.heads[binary.LittleEndian.Uint64(group[:])&uint64(len(g.heads)-1)]
}

// join puts a record into a group.
func (g *groups) join(group name, record uint32) {
	if g.n >= len(g.heads) {
		g.heads = make([]uint32, max(64, 2*len(g.heads)))
		for at := uint32(1); int(at) <= g.n; at++ {
			m := g.member(at)
			head := g.bucket(m.group)
			m.before, *head = *head, at
		}
	}
	if g.n%chunk == 0 {
		g.chunks = append(g.chunks, make([]member, 0, chunk))
	}
	head := g.bucket(group)
	last := &g.chunks[len(g.chunks)-1]
	*last = append(*last, member{group: group, record: record, before: *head})
	g.n++
	*head = uint32(g.n) //nolint:gosec // four thousand million records do not fit
}

// of are the records of a group, in the order in which they joined it.
func (g *groups) of(group name) (records []uint32) {
	if g.n == 0 {
		return nil
	}
	for at := *g.bucket(group); at != 0; at = g.member(at).before {
		if m := g.member(at); m.group == group {
			records = append(records, m.record)
		}
	}
	slices.Reverse(records)
	return records
}

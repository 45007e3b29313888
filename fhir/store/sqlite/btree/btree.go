// Package btree finds what nothing refers to in a b-tree page of SQLite's file format
// (sqlite.org/fileformat2.html, 1.6), and clears it: bytes there are copies of cells
// that have moved to another page. A page of which it is not sure in everything is left
// as it is. It reads no file and knows no table; package sqlite calls it.
package btree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// The kinds of b-tree pages: the first byte of a page's header.
const (
	InteriorIndex = 2
	InteriorTable = 5
	LeafIndex     = 10
	LeafTable     = 13
)

// FileHeader is how many bytes stand before the header of the first page.
const FileHeader = 100

// ErrStructure is of a page that is not what its first byte says.
var ErrStructure = errors.New("not a sound b-tree page")

func unsound(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrStructure, fmt.Sprintf(format, args...))
}

// A Layout says where the pages of a file have their parts.
type Layout struct {
	PageSize int // 512 to 65536
	Reserved int // bytes at the end of each page that are not SQLite's
}

// A span of a page, from its first byte to the one after its last.
type span struct{ from, to int }

// Clear zeroes the bytes of a b-tree page that no cell, pointer or header occupies, and
// says how many of them were not zero. A page of another kind has none. The page is
// changed only if there is no error; an error is an ErrStructure.
func (l Layout) Clear(page []byte, number int64) (cleared int, err error) {
	free, err := l.unoccupied(page, number)
	for _, s := range free {
		for _, b := range page[s.from:s.to] {
			if b != 0 {
				cleared++
			}
		}
		clear(page[s.from:s.to])
	}
	return cleared, err
}

// Dirty says whether Clear would clear anything. It leaves the page as it is.
func (l Layout) Dirty(page []byte, number int64) (bool, error) {
	free, err := l.unoccupied(page, number)
	for _, s := range free {
		for _, b := range page[s.from:s.to] {
			if b != 0 {
				return true, err
			}
		}
	}
	return false, err
}

// A page is one that is being read.
type page struct {
	data   []byte // without what is reserved
	header int    // where the b-tree's header begins
	kind   byte
	taken  []span // in the area of cells
}

func (l Layout) unoccupied(data []byte, number int64) ([]span, error) {
	if len(data) != l.PageSize || l.PageSize < 512 || l.PageSize > 65536 || l.Reserved < 0 || l.PageSize-l.Reserved < 480 {
		return nil, unsound("%d bytes, %d of them reserved", len(data), l.Reserved)
	}
	p := page{data: data[:l.PageSize-l.Reserved]}
	if number == 1 {
		p.header = FileHeader
	}
	switch p.kind = p.data[p.header]; p.kind {
	case InteriorIndex, InteriorTable, LeafIndex, LeafTable:
		return p.gaps()
	}
	return nil, nil
}

func (p *page) u16(at int) int { return int(binary.BigEndian.Uint16(p.data[at:])) }

func (p *page) interior() bool { return p.kind == InteriorIndex || p.kind == InteriorTable }

// gaps reads the whole page and compares what it says of itself.
func (p *page) gaps() ([]span, error) {
	pointers := p.header + 8
	if p.interior() {
		pointers += 4
	}
	cells := p.u16(p.header + 3)
	content := p.u16(p.header + 5)
	if content == 0 {
		content = 65536
	}
	end := pointers + 2*cells
	if end > content || content > len(p.data) {
		return nil, unsound("%d cells, whose area begins at %d", cells, content)
	}
	p.taken = make([]span, 0, cells+8)
	for i := range cells {
		at := p.u16(pointers + 2*i)
		if at < content {
			return nil, unsound("cell %d stands at %d, before the area of cells", i, at)
		}
		size, err := p.cell(at)
		if err != nil {
			return nil, err
		}
		p.taken = append(p.taken, span{at, at + size})
	}
	bodies, err := p.freeblocks(content)
	if err != nil {
		return nil, err
	}
	fragments, err := p.between(content)
	if err != nil {
		return nil, err
	}
	return append(append(bodies, span{end, content}), fragments...), nil
}

// freeblocks follows the chain of free blocks: ascending, each with its successor and
// its size in its first four bytes. It returns what follows those.
func (p *page) freeblocks(content int) (bodies []span, err error) {
	last := 0
	for at := p.u16(p.header + 1); at != 0; at = p.u16(at) {
		if at < content || at < last || at+4 > len(p.data) {
			return nil, unsound("a free block at %d", at)
		}
		size := p.u16(at + 2)
		if size < 4 || at+size > len(p.data) {
			return nil, unsound("a free block of %d bytes at %d", size, at)
		}
		p.taken = append(p.taken, span{at, at + size})
		bodies = append(bodies, span{at + 4, at + size})
		last = at + size
	}
	return bodies, nil
}

// between returns the fragments between cells and free blocks; there must be as many
// bytes of them as the header says, and no two parts may overlap.
func (p *page) between(content int) (out []span, err error) {
	slices.SortFunc(p.taken, func(a, b span) int { return a.from - b.from })
	at, total := content, 0
	add := func(to int) {
		if to > at {
			out = append(out, span{at, to})
			total += to - at
		}
	}
	for _, s := range p.taken {
		if s.from < at {
			return nil, unsound("two parts overlap at %d", s.from)
		}
		add(s.from)
		at = s.to
	}
	add(len(p.data))
	if fragments := int(p.data[p.header+7]); total != fragments {
		return nil, unsound("%d bytes in fragments, the header says %d", total, fragments)
	}
	return out, nil
}

// cell returns the size of the cell at a place: what stands in the page of it.
func (p *page) cell(at int) (int, error) {
	pos := at
	if p.interior() {
		pos += 4
	}
	var size int
	switch p.kind {
	case InteriorTable:
		n, ok := p.skipVarint(pos)
		if !ok {
			return 0, unsound("the cell at %d is cut off", at)
		}
		size = pos + n - at
	default:
		payload, n, ok := p.varint(pos)
		pos += n
		if ok && p.kind == LeafTable {
			n, ok = p.skipVarint(pos)
			pos += n
		}
		// SQLite writes no payload of 2 GiB and more.
		if !ok || payload > 1<<31-1 {
			return 0, unsound("the cell at %d is cut off", at)
		}
		size = pos - at + p.local(int(payload))
	}
	size = max(size, 4) // no cell is smaller
	if at+size > len(p.data) {
		return 0, unsound("the cell at %d ends beyond the page", at)
	}
	return size, nil
}

// local is how many bytes of a payload stand in the page, with the number of the first
// overflow page.
func (p *page) local(payload int) int {
	u := len(p.data)
	most, least := (u-12)*64/255-23, (u-12)*32/255-23
	if p.kind == LeafTable {
		most = u - 35
	}
	if payload <= most {
		return payload
	}
	if k := least + (payload-least)%(u-4); k <= most {
		return k + 4
	}
	return least + 4
}

func (p *page) skipVarint(at int) (n int, ok bool) {
	_, n, ok = p.varint(at)
	return n, ok
}

// varint reads one of SQLite's: 1 to 9 bytes, the largest first.
func (p *page) varint(at int) (v uint64, n int, ok bool) {
	for n < 9 && at+n < len(p.data) {
		b := p.data[at+n]
		n++
		if n == 9 {
			return v<<8 | uint64(b), n, true
		}
		v = v<<7 | uint64(b&0x7f)
		if b < 0x80 {
			return v, n, true
		}
	}
	return 0, n, false
}

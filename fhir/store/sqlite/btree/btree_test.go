package btree_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/handoff-health/handoff/fhir/store/sqlite/btree"
)

// A drawn page is made from its cells, so that what is occupied is known.
type drawn struct {
	page     []byte
	occupied []bool
}

func varint(v uint64) (out []byte) {
	out = []byte{byte(v & 0x7f)}
	for v >>= 7; v > 0; v >>= 7 {
		out = append([]byte{byte(v&0x7f) | 0x80}, out...)
	}
	return out
}

// cell makes a cell of a kind of page, as the file format says, with a payload of a
// length of which a part stands elsewhere if it is too long.
func cell(kind byte, usable, payload int, r *rand.Rand) []byte {
	var out []byte
	if kind == btree.InteriorIndex || kind == btree.InteriorTable {
		out = binary.BigEndian.AppendUint32(out, 1+r.Uint32N(1000))
	}
	if kind == btree.InteriorTable {
		return append(out, varint(r.Uint64N(1<<60))...)
	}
	out = append(out, varint(uint64(payload))...)
	most := (usable-12)*64/255 - 23
	if kind == btree.LeafTable {
		out = append(out, varint(r.Uint64N(1<<40))...)
		most = usable - 35
	}
	here := payload
	if payload > most {
		least := (usable-12)*32/255 - 23
		if here = least + (payload-least)%(usable-4); here > most {
			here = least
		}
		here += 4 // the overflow page
	}
	out = append(out, bytes.Repeat([]byte{'c'}, here)...)
	for len(out) < 4 {
		out = append(out, 0)
	}
	return out
}

// draw makes a sound page whose unoccupied bytes are not zero.
func draw(kind byte, number int64, l btree.Layout, r *rand.Rand) drawn {
	d := drawn{page: bytes.Repeat([]byte{'!'}, l.PageSize), occupied: make([]bool, l.PageSize)}
	put := func(at int, b ...byte) {
		copy(d.page[at:], b)
		for i := range b {
			d.occupied[at+i] = true
		}
	}
	put(l.PageSize-l.Reserved, bytes.Repeat([]byte{'r'}, l.Reserved)...)
	header := 0
	if number == 1 {
		put(0, bytes.Repeat([]byte{'h'}, btree.FileHeader)...)
		header = btree.FileHeader
	}
	pointers := header + 8
	if kind == btree.InteriorIndex || kind == btree.InteriorTable {
		pointers += 4
		put(header+8, 0, 0, 0, 9)
	}
	usable := l.PageSize - l.Reserved
	top, fragments, next, cells := usable, 0, 0, []int{}
	for range r.IntN(60) {
		switch free := top - pointers - 2*len(cells); r.IntN(8) {
		case 0: // a free block
			if size := 4 + r.IntN(20); size+2 < free && (len(cells) > 0 || next == 0) {
				top -= size
				put(top, byte(next>>8), byte(next), byte(size>>8), byte(size))
				next = top
			}
		case 1: // a fragment
			if size := 1 + r.IntN(3); size+2 < free && fragments+size < 60 {
				top -= size
				fragments += size
			}
		default:
			payload := r.IntN(60)
			if r.IntN(6) == 0 {
				payload = r.IntN(3 * l.PageSize)
			}
			if c := cell(kind, usable, payload, r); len(c)+2 < free {
				top -= len(c)
				put(top, c...)
				cells = append(cells, top)
			}
		}
	}
	r.Shuffle(len(cells), func(i, j int) { cells[i], cells[j] = cells[j], cells[i] })
	put(header, kind, byte(next>>8), byte(next), byte(len(cells)>>8), byte(len(cells)), byte(top>>8), byte(top), byte(fragments))
	for i, at := range cells {
		put(pointers+2*i, byte(at>>8), byte(at))
	}
	return d
}

var layouts = []btree.Layout{{PageSize: 4096}, {PageSize: 1024, Reserved: 32}, {PageSize: 512}, {PageSize: 65536}}

func TestWhatIsOccupiedStaysAndAllElseIsZero(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 4000 {
		l := layouts[r.IntN(len(layouts))]
		kind := []byte{btree.InteriorIndex, btree.InteriorTable, btree.LeafIndex, btree.LeafTable}[r.IntN(4)]
		number := 1 + r.Int64N(3)
		d := draw(kind, number, l, r)
		page := slices.Clone(d.page)
		if dirty, err := l.Dirty(page, number); err != nil || !dirty {
			t.Fatalf("kind %d: %v, %v", kind, dirty, err)
		}
		cleared, err := l.Clear(page, number)
		if err != nil {
			t.Fatalf("kind %d: %v", kind, err)
		}
		for i, b := range page {
			switch {
			case d.occupied[i] && b != d.page[i]:
				t.Fatalf("kind %d: byte %d, which is occupied, was %d and is %d", kind, i, d.page[i], b)
			case !d.occupied[i] && b != 0:
				t.Fatalf("kind %d: byte %d, which nothing refers to, is %d", kind, i, b)
			case !d.occupied[i]:
				cleared--
			}
		}
		if cleared != 0 {
			t.Fatalf("kind %d: %d bytes miscounted", kind, cleared)
		}
		if dirty, err := l.Dirty(page, number); err != nil || dirty {
			t.Fatalf("kind %d, cleared: %v, %v", kind, dirty, err)
		}
	}
}

func TestAPageThatIsNotSoundStaysAsItIs(t *testing.T) {
	l := layouts[0]
	sound := draw(btree.LeafIndex, 2, l, rand.New(rand.NewPCG(3, 3))).page
	for name, change := range map[string]func([]byte){
		"more cells than there are":        func(p []byte) { p[4]++ },
		"fewer":                            func(p []byte) { p[4]-- },
		"cells begin before their area":    func(p []byte) { p[5], p[6] = 0x0f, 0xff },
		"cells begin behind the page":      func(p []byte) { p[5], p[6] = 0x10, 1 },
		"fragments are miscounted":         func(p []byte) { p[7]++ },
		"a cell stands in the header":      func(p []byte) { p[8], p[9] = 0, 2 },
		"a cell stands at the end":         func(p []byte) { p[8], p[9] = 0x0f, 0xff },
		"two pointers to one cell":         func(p []byte) { copy(p[8:10], p[10:12]) },
		"a free block beyond the page":     func(p []byte) { p[1], p[2] = 0x0f, 0xfe },
		"a free block in the header":       func(p []byte) { p[1], p[2] = 0, 3 },
		"another kind than the cells have": func(p []byte) { p[0] = btree.LeafTable },
	} {
		page := slices.Clone(sound)
		change(page)
		before := slices.Clone(page)
		cleared, err := l.Clear(page, 2)
		if !errors.Is(err, btree.ErrStructure) || cleared != 0 || !bytes.Equal(page, before) {
			t.Errorf("%s: %d cleared, %v", name, cleared, err)
		}
	}
	for _, other := range [][]byte{make([]byte, 4096), bytes.Repeat([]byte{0, 'x'}, 2048)} {
		before := slices.Clone(other)
		if cleared, err := l.Clear(other, 2); err != nil || cleared != 0 || !bytes.Equal(other, before) {
			t.Errorf("a page of another kind: %d, %v", cleared, err)
		}
	}
	if _, err := l.Clear(sound[:100], 2); !errors.Is(err, btree.ErrStructure) {
		t.Error("a page that is cut off:", err)
	}
}

func FuzzClear(f *testing.F) {
	r := rand.New(rand.NewPCG(2, 2))
	for _, kind := range []byte{btree.InteriorIndex, btree.InteriorTable, btree.LeafIndex, btree.LeafTable} {
		f.Add(draw(kind, 2, layouts[2], r).page, int64(2), uint8(0))
		f.Add(draw(kind, 1, layouts[1], r).page, int64(1), uint8(32))
	}
	f.Fuzz(func(t *testing.T, page []byte, number int64, reserved uint8) {
		l := btree.Layout{PageSize: len(page), Reserved: int(reserved)}
		before := slices.Clone(page)
		dirty, derr := l.Dirty(page, number)
		if !bytes.Equal(page, before) {
			t.Fatal("looking has changed the page")
		}
		cleared, err := l.Clear(page, number)
		if (err == nil) != (derr == nil) || dirty != (cleared > 0) {
			t.Fatalf("%v, %v; %d, %v", dirty, derr, cleared, err)
		}
		if err != nil && !bytes.Equal(page, before) {
			t.Fatal("a page that is not sound was changed")
		}
		for i := range page {
			if page[i] != before[i] && page[i] != 0 {
				t.Fatalf("byte %d became %d", i, page[i])
			}
		}
		if err != nil {
			return
		}
		// What refers to something stands still, so the page says what it said.
		if again, err := l.Dirty(page, number); err != nil || again {
			t.Fatalf("once more: %v, %v", again, err)
		}
		occupied(t, l, number, before, page)
	})
}

// occupied reads the cells' first bytes by the pointers, and compares them.
func occupied(t *testing.T, l btree.Layout, number int64, before, after []byte) {
	header := 0
	if number == 1 {
		header = btree.FileHeader
	}
	first := 8
	switch before[header] {
	case btree.InteriorIndex, btree.InteriorTable:
		first = 12
	case btree.LeafIndex, btree.LeafTable:
	default:
		if !bytes.Equal(before, after) {
			t.Fatal("a page of another kind was changed")
		}
		return
	}
	n := int(binary.BigEndian.Uint16(before[header+3:]))
	if end := header + first + 2*n; !bytes.Equal(before[:end], after[:end]) {
		t.Fatal("the header or the pointers were changed")
	}
	for i := range n {
		at := int(binary.BigEndian.Uint16(before[header+first+2*i:]))
		if !bytes.Equal(before[at:at+4], after[at:at+4]) {
			t.Fatalf("the cell at %d was changed", at)
		}
	}
	if end := l.PageSize - l.Reserved; !bytes.Equal(before[end:], after[end:]) {
		t.Fatal("reserved bytes were changed")
	}
}

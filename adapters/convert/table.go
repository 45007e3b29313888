package convert

import (
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/handoff-health/handoff/adapters/flow"
)

// A seen is the newest version of a record or resource.
type seen struct {
	version  string
	digest   string // as short gives it
	expunged bool
	mute     bool // sealed by its key alone: nothing of it comes out
	out      bool // written already: a content can come back
	stub     bool // only merges name this Patient so far
	// restrictions, until when they hold, and what was lifted: see flow.Known
	restrictions         flow.Restrictions
	held                 string // "": as long as the version
	lifted, liftedDigest string
	by                   uint32 // of a shared resource: the place of the record that told it, from 1; 0: several did
}

// hidden says that nothing of the record comes out.
func (x *seen) hidden() bool { return x.expunged || x.mute }

// short is the beginning of a digest in hex, enough to tell two apart and to
// order them.
func short(digest string) string {
	return strings.TrimRight(digest[:min(len(digest), 32)], "\x00")
}

// A table keeps a seen for each name, small and without pointers: a run holds one
// for every record of its input, and reading a large input is to cost little.
type table struct {
	words  *words
	chunks [][]row
	n      int
	index  []uint32        // places in chunks by hash, from 1; 0: free
	rare   map[uint32]rare // by place
}

// A row is a seen as a table keeps it.
type row struct {
	name         name
	digest       [16]byte
	version      stamp
	by           uint32
	flags        byte
	restrictions flow.Restrictions
}

// rare is what few of many have.
type rare struct{ held, lifted, liftedDigest string }

const (
	isExpunged = 1 << iota
	isMute
	isOut
	isStub
	isText // the digest is no hex: it stands among the words
)

const chunk = 1 << 10

func newTable(w *words) *table { return &table{words: w, rare: map[uint32]rare{}} }

func (t *table) row(place uint32) *row { return &t.chunks[(place-1)/chunk][(place-1)%chunk] }

// place finds a name, from 1; 0 if it is not here.
func (t *table) place(k name) uint32 {
	if len(t.index) == 0 {
		return 0
	}
	return t.index[t.slot(k)]
}

// slot is where a name stands in the index, or would.
func (t *table) slot(k name) int {
	mask := uint64(len(t.index) - 1)
	i := binary.LittleEndian.Uint64(k[:]) & mask
	for t.index[i] != 0 && t.row(t.index[i]).name != k {
		i = (i + 1) & mask
	}
	return int(i)
}

// get returns what is known under a name, and whether anything is.
func (t *table) get(k name) (seen, bool) {
	at := t.place(k)
	if at == 0 {
		return seen{}, false
	}
	r := t.row(at)
	x := seen{version: t.words.version(r.version), expunged: r.flags&isExpunged != 0, mute: r.flags&isMute != 0, out: r.flags&isOut != 0,
		stub: r.flags&isStub != 0, restrictions: r.restrictions, by: r.by}
	if r.flags&isText != 0 {
		x.digest = t.words.all.list[binary.LittleEndian.Uint32(r.digest[:])]
	} else {
		x.digest = hex.EncodeToString(r.digest[:])
	}
	if r.restrictions != 0 {
		x.held = x.version
	}
	if more, ok := t.rare[at]; ok {
		x.lifted, x.liftedDigest = more.lifted, more.liftedDigest
		if more.held != "" {
			x.held = more.held
		}
	}
	return x, true
}

// put keeps what is known under a name.
func (t *table) put(k name, x *seen) {
	at := t.place(k)
	if at == 0 {
		at = t.add(k)
	}
	r := t.row(at)
	r.version, r.by, r.restrictions = t.words.stamp(x.version), x.by, x.restrictions
	r.flags = flag(isExpunged, x.expunged) | flag(isMute, x.mute) | flag(isOut, x.out) | flag(isStub, x.stub)
	r.digest = [16]byte{}
	if raw, err := hex.DecodeString(x.digest); err == nil && len(raw) == len(r.digest) && hex.EncodeToString(raw) == x.digest {
		copy(r.digest[:], raw)
	} else {
		r.flags |= isText
		binary.LittleEndian.PutUint32(r.digest[:], t.words.all.index(x.digest))
	}
	more := rare{lifted: x.lifted, liftedDigest: x.liftedDigest}
	if x.restrictions != 0 && x.held != x.version {
		more.held = x.held
	}
	if more != (rare{}) {
		t.rare[at] = more
	} else {
		delete(t.rare, at)
	}
}

func flag(bit byte, set bool) byte {
	if set {
		return bit
	}
	return 0
}

func (t *table) add(k name) uint32 {
	if 4*(t.n+1) > 3*len(t.index) {
		t.index = make([]uint32, max(64, 2*len(t.index)))
		for at := uint32(1); int(at) <= t.n; at++ {
			t.index[t.slot(t.row(at).name)] = at
		}
	}
	if t.n%chunk == 0 {
		t.chunks = append(t.chunks, make([]row, 0, chunk))
	}
	last := &t.chunks[len(t.chunks)-1]
	*last = append(*last, row{name: k})
	t.n++
	at := uint32(t.n) //nolint:gosec // four thousand million records do not fit
	t.index[t.slot(k)] = at
	return at
}

// once says, once for each name, whether its content is the one that is known.
func (t *table) once(k name, digest string) bool {
	x, ok := t.get(k)
	if !ok || x.expunged || x.out || x.digest != short(digest) {
		return false
	}
	t.row(t.place(k)).flags |= isOut
	return true
}

// hidden are the records of which nothing comes out; nil if there is none.
func (t *table) hidden() map[name]bool {
	var out map[name]bool
	for _, rows := range t.chunks {
		for i := range rows {
			if rows[i].flags&(isExpunged|isMute) == 0 {
				continue
			}
			if out == nil {
				out = map[name]bool{}
			}
			out[rows[i].name] = true
		}
	}
	return out
}

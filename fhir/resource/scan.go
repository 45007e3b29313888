package resource

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// The scan is the quick way to index a document. It knows the whole grammar of
// JSON and is strict as jsontext is, but it explains nothing: what it does not
// take is read again by jsontext, which has the last word and the reason. It
// must never take what jsontext refuses (FuzzScan).

// maxMembers is the largest object whose names are compared with each other;
// jsontext reads larger ones.
const maxMembers = 64

// A scanner is the state of one scan.
type scanner struct {
	raw   []byte
	nodes []entry
	// The name of the value that comes next.
	key     uint32
	nameLen uint16
	named   bool

	escapes, wide bool // a backslash, a byte beyond ASCII was read

	depth int
	open  [MaxDepth]container
}

// A container is an object or array that has not ended.
type container struct {
	node    uint32
	members uint32
	names   uint64 // a bit for every name so far, by a hash of six bits
	closing byte
}

// scan indexes d.raw. It says whether it could; if not, d.nodes is empty.
func (d *Document) scan() bool {
	s := scanner{raw: d.raw, nodes: d.nodes[:0]}
	ok := s.document()
	d.nodes, d.escapes, d.wide = s.nodes, s.escapes, s.wide
	if !ok {
		d.nodes = d.nodes[:0]
	}
	return ok
}

// document reads value after value; an offset of -1 is what cannot be read.
func (s *scanner) document() bool {
	for i := s.space(0); ; {
		if i >= len(s.raw) {
			return false
		}
		n := s.add(i)
		switch c := s.raw[i]; c {
		case '{', '[':
			var holds bool
			if i, holds = s.enter(i, c, n); holds {
				continue
			}
		case '"':
			n.kind = String
			i, n.escaped = s.str(i)
			n.end = uint32(i)
		default:
			i, n.kind = s.scalar(i, c)
			n.end = uint32(i)
		}
		if i < 0 {
			return false
		}
		if i = s.after(i); i < 0 || s.depth == 0 {
			return i == len(s.raw)
		}
	}
}

// add makes the entry of the value at i. Its fields are set one by one, since
// copying a struct that was just written in parts stalls.
func (s *scanner) add(i int) *entry {
	k := len(s.nodes)
	if k == cap(s.nodes) {
		s.nodes = append(s.nodes, entry{})
	}
	s.nodes = s.nodes[:k+1]
	n := &s.nodes[k]
	n.start, n.end = uint32(i), 0
	n.next, n.parent = uint32(k+1), 0
	if s.depth > 0 {
		n.parent = s.open[s.depth-1].node
	}
	n.key, n.nameLen, n.named = s.key, s.nameLen, s.named
	n.kind, n.escaped, n.escapedKey = Absent, false, false
	s.key, s.nameLen, s.named = 0, 0, false
	return n
}

// enter opens the container at i and goes to the first value inside; holds is
// false if there is none: then it has ended as well.
func (s *scanner) enter(i int, c byte, n *entry) (next int, holds bool) {
	if s.depth == MaxDepth {
		return -1, false
	}
	closing := c + 2 // '[' and ']', '{' and '}' stand two apart
	if n.kind = Array; c == '{' {
		n.kind = Object
	}
	o := &s.open[s.depth]
	o.node, o.members, o.names, o.closing = uint32(len(s.nodes)-1), 0, 0, closing
	s.depth++
	i = s.space(i + 1)
	switch {
	case i >= len(s.raw):
		return -1, false
	case s.raw[i] == closing:
		return s.leave(i), false
	case c == '{':
		i = s.name(i)
		return i, i >= 0
	}
	return i, true
}

// leave ends the innermost container at its closing byte.
func (s *scanner) leave(i int) int {
	s.depth--
	n := &s.nodes[s.open[s.depth].node]
	n.end, n.next = uint32(i+1), uint32(len(s.nodes))
	return i + 1
}

// after goes from the end of one value to the start of the next, through what
// ends there.
func (s *scanner) after(i int) int {
	for {
		i = s.space(i)
		if s.depth == 0 {
			return i
		}
		if i >= len(s.raw) {
			return -1
		}
		switch closing := s.open[s.depth-1].closing; s.raw[i] {
		case ',':
			if i = s.space(i + 1); closing == '}' {
				return s.name(i)
			}
			return i
		case closing:
			i = s.leave(i)
		default:
			return -1
		}
	}
}

// name reads a member's name and the colon, and goes to the value. Names with an
// escape are left to jsontext: they compare as what they mean.
func (s *scanner) name(i int) int {
	if i >= len(s.raw) || s.raw[i] != '"' {
		return -1
	}
	end, escaped := s.str(i)
	n := end - i - 2
	if end < 0 || escaped || n > maxName || s.repeats(s.raw[i+1:end-1]) {
		return -1
	}
	s.key, s.nameLen, s.named = uint32(i), uint16(n), true
	if i = end; i < len(s.raw) && s.raw[i] != ':' {
		i = s.space(i)
	}
	if i >= len(s.raw) || s.raw[i] != ':' {
		return -1
	}
	return s.space(i + 1)
}

// repeats says whether the innermost object has the name already, or has too
// many members to compare them.
func (s *scanner) repeats(name []byte) bool {
	o := &s.open[s.depth-1]
	if o.members++; o.members > maxMembers {
		return true
	}
	h := uint(len(name))
	if h > 0 {
		h += uint(name[0])*7 + uint(name[h-1])*13 + uint(name[h/2])*31
	}
	bit := uint64(1) << (h % 64)
	if o.names&bit == 0 {
		o.names |= bit
		return false
	}
	for k := o.node + 1; k < uint32(len(s.nodes)); k = s.nodes[k].next {
		n := &s.nodes[k]
		if int(n.nameLen) == len(name) && string(s.raw[n.key+1:n.key+1+uint32(n.nameLen)]) == string(name) {
			return true
		}
	}
	return false
}

// scalar reads a number or a literal; end is -1 if it is neither.
func (s *scanner) scalar(i int, c byte) (end int, k Kind) {
	switch c {
	case 't':
		return s.literal(i, "true"), True
	case 'f':
		return s.literal(i, "false"), False
	case 'n':
		return s.literal(i, "null"), Null
	}
	return s.number(i), Number
}

func (s *scanner) literal(i int, word string) int {
	if len(s.raw)-i < len(word) || string(s.raw[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

// number: https://www.rfc-editor.org/rfc/rfc8259#section-6
func (s *scanner) number(i int) int {
	if s.is(i, '-') {
		i++
	}
	if s.is(i, '0') {
		i++
	} else if i = s.digits(i); i < 0 {
		return -1
	}
	if s.is(i, '.') {
		if i = s.digits(i + 1); i < 0 {
			return -1
		}
	}
	if s.is(i, 'e') || s.is(i, 'E') {
		i++
		if s.is(i, '+') || s.is(i, '-') {
			i++
		}
		return s.digits(i)
	}
	return i
}

func (s *scanner) is(i int, c byte) bool { return i < len(s.raw) && s.raw[i] == c }

func (s *scanner) digits(i int) int {
	from := i
	for i < len(s.raw) && s.raw[i]-'0' < 10 {
		i++
	}
	if i == from {
		return -1
	}
	return i
}

func (s *scanner) space(i int) int {
	for i < len(s.raw) && s.raw[i] <= ' ' && (s.raw[i] == ' ' || s.raw[i] == '\n' || s.raw[i] == '\r' || s.raw[i] == '\t') {
		i++
	}
	return i
}

// str returns the offset after the string that starts at i, -1 if it is none.
func (s *scanner) str(i int) (end int, escaped bool) {
	b := s.raw
	i++
	for {
		if i = plain(b, i); i >= len(b) {
			return -1, false
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1, escaped
		case c == '\\':
			escaped, s.escapes = true, true
			if i = s.escape(i); i < 0 {
				return -1, false
			}
		case c < ' ':
			return -1, false
		default:
			s.wide = true
			_, n := utf8.DecodeRune(b[i:])
			if n == 1 { // not UTF-8
				return -1, false
			}
			i += n
		}
	}
}

// escape returns the offset after the escape at i. Half a surrogate pair is none.
func (s *scanner) escape(i int) int {
	if i+1 >= len(s.raw) {
		return -1
	}
	switch s.raw[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
	default:
		return -1
	}
	switch v := s.hex(i + 2); {
	case v < 0, v >= 0xdc00 && v < 0xe000:
		return -1
	case v >= 0xd800 && v < 0xdc00:
		if low := s.hex(i + 8); s.is(i+6, '\\') && s.is(i+7, 'u') && low >= 0xdc00 && low < 0xe000 {
			return i + 12
		}
		return -1
	}
	return i + 6
}

// hex reads four hexadecimal digits; -1 if they are not.
func (s *scanner) hex(i int) int {
	if i+4 > len(s.raw) {
		return -1
	}
	v := 0
	for _, c := range s.raw[i : i+4] {
		switch {
		case c-'0' < 10:
			v = v<<4 | int(c-'0')
		case c|0x20-'a' < 6:
			v = v<<4 | int(c|0x20-'a'+10)
		default:
			return -1
		}
	}
	return v
}

// plain returns the offset of the first byte that ends a run of plain ASCII
// within a string: a quote, a backslash, a control byte or one beyond ASCII. It
// looks at eight bytes at once; a borrow can only falsify bytes after the first
// that is found.
func plain(b []byte, i int) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		found := ((w - ones*' ') | ((w ^ ones*'"') - ones) | ((w ^ ones*'\\') - ones) | w) & high
		if found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			break
		}
	}
	return i
}

package convert

import (
	"encoding/binary"
	"encoding/json"

	"github.com/handoff-health/handoff/mappings"
)

// A packer writes slots small: a conversion holds those of every resource of its
// input. Names of slots and elements, which the mapping gives, stand in a table.
type packer struct {
	words []string
	index map[string]uint64
}

// maxWords is far beyond what a mapping has. Labels name their slot by their
// content, which a message may choose.
const maxWords = 5000

func (p *packer) word(b []byte, s string) []byte {
	i, ok := p.index[s]
	if !ok && len(p.words) < maxWords {
		if p.index == nil {
			p.index = map[string]uint64{}
		}
		i = uint64(len(p.words))
		p.words, p.index[s], ok = append(p.words, s), i, true
	}
	if ok {
		return binary.AppendUvarint(b, i+1)
	}
	return text(append(b, 0), s)
}

func text[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func list(b []byte, values []json.RawMessage) []byte {
	b = binary.AppendUvarint(b, uint64(len(values)))
	for _, v := range values {
		b = text(b, v)
	}
	return b
}

// pack writes slots. Each version and digest stands once: a message sets many.
func (p *packer) pack(s mappings.Slots) []byte {
	type stamp struct{ version, digest string }
	var stamps []stamp
	which := make([]int, len(s))
	for i := range s {
		at := stamp{s[i].Version, s[i].Digest}
		k := 0
		for k < len(stamps) && stamps[k] != at {
			k++
		}
		if k == len(stamps) {
			stamps = append(stamps, at)
		}
		which[i] = k
	}
	b := binary.AppendUvarint(make([]byte, 0, 512), uint64(len(stamps)))
	for _, at := range stamps {
		b = text(text(b, at.version), at.digest)
	}
	for i := range s {
		x := &s[i]
		b = p.word(p.word(b, x.Name), x.Element)
		b = binary.AppendUvarint(b, uint64(which[i]))
		b = binary.AppendUvarint(b, uint64(x.Place))
		flags := byte(0)
		if x.Default {
			flags = 1
		}
		b = list(list(text(append(b, flags), x.Absent), x.Values), x.Contained)
	}
	return append(make([]byte, 0, len(b)), b...)
}

// unpack reads what pack wrote, and nothing else.
type unpack struct{ b []byte }

func (u *unpack) number() int {
	n, size := binary.Uvarint(u.b)
	u.b = u.b[size:]
	return int(n)
}

func (u *unpack) text() []byte {
	n := u.number()
	s := u.b[:n:n]
	u.b = u.b[n:]
	return s
}

func (u *unpack) list() []json.RawMessage {
	n := u.number()
	if n == 0 {
		return nil
	}
	out := make([]json.RawMessage, n)
	for i := range out {
		out[i] = u.text()
	}
	return out
}

func (p *packer) unword(u *unpack) string {
	if i := u.number(); i > 0 {
		return p.words[i-1]
	}
	return string(u.text())
}

func (p *packer) unpack(b []byte) mappings.Slots {
	if len(b) == 0 {
		return nil
	}
	u := &unpack{b}
	versions := make([][2]string, u.number())
	for i := range versions {
		versions[i] = [2]string{string(u.text()), string(u.text())}
	}
	var out mappings.Slots
	for len(u.b) > 0 {
		x := mappings.Slot{Name: p.unword(u), Element: p.unword(u)}
		at := versions[u.number()]
		x.Version, x.Digest, x.Place = at[0], at[1], u.number()
		x.Default = u.b[0] == 1
		u.b = u.b[1:]
		x.Absent, x.Values, x.Contained = string(u.text()), u.list(), u.list()
		out = append(out, x)
	}
	return out
}

package csv

import (
	"bytes"
	"errors"
	"hash/crc64"
	"io"

	"github.com/handoff-health/handoff/adapters/charset"
)

// A line is one physical line. Its terminator (CR LF, LF or CR) belongs to it.
type line struct {
	raw   []byte // with the terminator; cut at the cap
	body  int    // length of raw without the terminator
	no    int    // from 1
	end   int64  // offset in the input after the line
	sum   uint64 // checksum of the input up to end
	long  bool   // longer than the cap: raw is its beginning
	final bool   // ended by the end of the input, not by a terminator
}

var table = crc64.MakeTable(crc64.ECMA)

// lines splits an input into physical lines with a buffer of bounded size.
type lines struct {
	r     io.Reader
	enc   charset.Encoding
	limit int // bytes of a line that are kept
	buf   []byte
	start int // of the unread part of buf
	eof   bool
	no    int
	off   int64
	sum   uint64
}

const block = 64 << 10

func newLines(r io.Reader, limit int) *lines {
	return &lines{r: r, limit: limit, no: 1}
}

// peek returns up to n unread bytes without consuming them.
func (l *lines) peek(n int) ([]byte, error) {
	for !l.eof && len(l.buf)-l.start < n {
		if err := l.fill(); err != nil {
			return nil, err
		}
	}
	return l.buf[l.start:min(len(l.buf), l.start+n)], nil
}

// skip consumes n bytes that peek has shown.
func (l *lines) skip(n int) {
	l.sum = crc64.Update(l.sum, table, l.buf[l.start:l.start+n])
	l.start += n
	l.off += int64(n)
}

func (l *lines) fill() error {
	if l.start > 0 && (l.start == len(l.buf) || l.start >= block) {
		l.buf = append(l.buf[:0], l.buf[l.start:]...)
		l.start = 0
	}
	n := len(l.buf)
	if cap(l.buf)-n < block {
		grown := make([]byte, n, 2*cap(l.buf)+2*block)
		copy(grown, l.buf)
		l.buf = grown
	}
	m, err := l.r.Read(l.buf[n : n+block])
	l.buf = l.buf[:n+m]
	if errors.Is(err, io.EOF) {
		l.eof = true
		return nil
	}
	return err
}

// next returns the next line, io.EOF at the end. The bytes are the caller's.
func (l *lines) next() (line, error) {
	out := line{no: l.no}
	seen := 0 // bytes of the unread part in which there is no terminator
	for {
		rest := l.buf[l.start:]
		i, size := l.terminator(rest, seen)
		switch {
		case i >= 0 && size > 0:
			out.take(l, i+size, size)
			l.no++
			return out, nil
		case l.eof && len(rest) == 0 && len(out.raw) == 0:
			return line{}, io.EOF
		case l.eof:
			out.final = true
			out.take(l, len(rest), 0)
			l.no++
			return out, nil
		}
		if len(rest) > l.limit { // too long: keep the beginning, drop the middle
			keep := len(rest) - len(rest)%2
			if i >= 0 {
				keep = i - i%2
			}
			out.long = true
			out.take(l, keep, 0)
			rest = l.buf[l.start:]
		}
		seen = max(0, len(rest)-4)
		seen -= seen % 2
		if err := l.fill(); err != nil {
			return line{}, err
		}
	}
}

// take consumes n bytes, the last t of which are a terminator.
func (o *line) take(l *lines, n, t int) {
	part := l.buf[l.start : l.start+n]
	if room := l.limit - len(o.raw); o.raw == nil || room > 0 {
		body := part[:n-t]
		if len(body) > max(room, 0) {
			body, o.long = body[:max(room, 0)], true
		}
		o.raw = append(o.raw, body...)
	} else if n > t {
		o.long = true
	}
	o.body = len(o.raw)
	if !o.long {
		o.raw = append(o.raw, part[n-t:]...)
	}
	l.skip(n)
	o.end, o.sum = l.off, l.sum
}

// terminator finds the first line end in rest from byte from on: its place and
// length. A CR at the end of what was read so far has length 0: the next byte
// may be its LF. Without any, the place is -1.
func (l *lines) terminator(rest []byte, from int) (int, int) {
	if l.enc.Wide() {
		return l.wideTerminator(rest, from)
	}
	i := bytes.IndexAny(rest[from:], "\r\n")
	if i < 0 {
		return -1, 0
	}
	i += from
	if rest[i] == '\n' {
		return i, 1
	}
	if i+1 < len(rest) {
		if rest[i+1] == '\n' {
			return i, 2
		}
		return i, 1
	}
	if l.eof {
		return i, 1
	}
	return i, 0
}

func (l *lines) wideTerminator(rest []byte, from int) (int, int) {
	unit := func(i int) uint16 {
		if l.enc == charset.UTF16LE {
			return uint16(rest[i]) | uint16(rest[i+1])<<8
		}
		return uint16(rest[i])<<8 | uint16(rest[i+1])
	}
	for i := from; i+1 < len(rest); i += 2 {
		switch unit(i) {
		case '\n':
			return i, 2
		case '\r':
			if i+3 < len(rest) {
				if unit(i+2) == '\n' {
					return i, 4
				}
				return i, 2
			}
			if l.eof {
				return i, 2
			}
			return i, 0
		}
	}
	return -1, 0
}

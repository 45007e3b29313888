package hl7v2

import (
	"bufio"
	"errors"
	"hash/crc64"
	"io"
)

// The framing bytes of MLLP.
const (
	startBlock = 0x0B
	endBlock   = 0x1C
)

// A segment is one stretch of input up to and including a line end or an MLLP
// end block.
type segment struct {
	raw   []byte // all bytes, or the beginning if long
	body  []byte // raw without line end and framing
	line  int    // physical line, from 1
	lf    bool   // ended by a line feed alone
	block bool   // ended by an end block: the message ends here
	final bool   // ended by the end of the input
	long  bool
	end   int64
	sum   uint64
}

var table = crc64.MakeTable(crc64.ECMA)

// scanner splits an input into segments.
type scanner struct {
	r     *bufio.Reader
	limit int
	line  int
	off   int64
	sum   uint64
}

func newScanner(r io.Reader, limit int) *scanner {
	return &scanner{r: bufio.NewReaderSize(r, 64<<10), limit: limit, line: 1}
}

// next returns the next segment, io.EOF at the end.
func (s *scanner) next() (segment, error) {
	seg := segment{line: s.line}
	var tail [4]byte // line end and framing after the body
	n := 0
	for {
		c, err := s.r.ReadByte()
		if errors.Is(err, io.EOF) {
			if seg.end == 0 && n == 0 && len(seg.raw) == 0 {
				return segment{}, io.EOF
			}
			seg.final = true
			break
		}
		if err != nil {
			return segment{}, err
		}
		if c == '\r' || c == '\n' || c == endBlock {
			n = s.terminator(c, &tail, &seg)
			break
		}
		if len(seg.raw) >= s.limit {
			seg.long = true
			s.count([]byte{c})
			continue
		}
		seg.raw = append(seg.raw, c)
		if c == startBlock && len(seg.raw) > 1 && len(trimFrame(seg.raw[:len(seg.raw)-1])) > 0 {
			// A new frame begins where the last one was not ended.
			seg.raw = seg.raw[:len(seg.raw)-1]
			if err := s.r.UnreadByte(); err != nil {
				return segment{}, err
			}
			seg.block = true
			break
		}
	}
	seg.body = trimFrame(seg.raw)
	if !seg.long {
		seg.raw = append(seg.raw, tail[:n]...)
		seg.body = trimFrame(seg.raw[:len(seg.raw)-n])
		s.count(seg.raw)
	} else {
		s.count(seg.raw)
		s.count(tail[:n])
	}
	seg.end, seg.sum = s.off, s.sum
	return seg, nil
}

// terminator reads what belongs to a line end: CR LF, or an end block with the
// CR that MLLP wants after it.
func (s *scanner) terminator(c byte, tail *[4]byte, seg *segment) int {
	tail[0] = c
	n := 1
	next := func(want byte) bool {
		p, err := s.r.Peek(1)
		if err != nil || p[0] != want {
			return false
		}
		_, _ = s.r.Discard(1)
		tail[n] = want
		n++
		return true
	}
	switch c {
	case '\r':
		next('\n')
	case '\n':
		seg.lf = true
	case endBlock:
		seg.block = true
		if next('\r') {
			next('\n')
		} else if !next('\n') {
			return n
		}
	}
	s.line++
	return n
}

func (s *scanner) count(b []byte) {
	s.sum = crc64.Update(s.sum, table, b)
	s.off += int64(len(b))
}

// trimFrame cuts framing bytes, NULs and blanks off the ends.
func trimFrame(b []byte) []byte {
	for len(b) > 0 && (b[0] == startBlock || b[0] == 0 || b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == 0 || b[len(b)-1] == 0x1A) {
		b = b[:len(b)-1]
	}
	return b
}

// name is the segment's three-character name, "" if it has none.
func (s *segment) name() string {
	b := s.body
	if len(b) < 3 || len(b) > 3 && isName(b[3]) {
		return ""
	}
	for i := range 3 {
		if !isName(b[i]) || i == 0 && b[i] < 'A' {
			return ""
		}
	}
	return string(b[:3])
}

func isName(c byte) bool { return c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' }

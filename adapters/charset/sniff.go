package charset

import (
	"bytes"
	"io"
	"unicode/utf8"
)

// BOM looks at the first bytes of an input: the encoding that a byte order mark
// states and the mark's length; an undecided encoding if there is none.
func BOM(head []byte) (Encoding, int) {
	switch {
	case bytes.HasPrefix(head, []byte{0xEF, 0xBB, 0xBF}):
		return UTF8, 3
	case bytes.HasPrefix(head, []byte{0xFF, 0xFE}):
		return UTF16LE, 2
	case bytes.HasPrefix(head, []byte{0xFE, 0xFF}):
		return UTF16BE, 2
	}
	return Encoding{}, 0
}

// A Sniffer guesses an encoding from all bytes that it is shown, so that an
// 8-bit byte late in a file counts as much as one in the first block.
type Sniffer struct {
	total, nuls [2]int // of bytes at even and odd places
	valid, bad  int    // UTF-8 sequences of two or more bytes; bytes that are none
	rest        []byte // a sequence cut by the end of a block
	at          int
	control     int
}

// Write takes the next bytes. It never fails.
func (s *Sniffer) Write(p []byte) (int, error) {
	n := len(p)
	for _, c := range p {
		k := s.at & 1
		s.total[k]++
		switch {
		case c == 0:
			s.nuls[k]++
		case c < 0x20 && (c < 7 || c > 13) && c != 0x1A && c != 0x1B && c != 0x1C:
			s.control++
		}
		s.at++
	}
	if len(s.rest) > 0 {
		p = append(s.rest, p...)
		s.rest = nil
	}
	for len(p) > 0 {
		if p[0] < utf8.RuneSelf {
			p = p[1:]
			continue
		}
		if !utf8.FullRune(p) {
			s.rest = bytes.Clone(p)
			break
		}
		r, size := utf8.DecodeRune(p)
		if r == utf8.RuneError && size == 1 {
			s.bad++
		} else {
			s.valid++
		}
		p = p[size:]
	}
	return n, nil
}

// Guess returns the encoding that fits, undecided if all bytes were ASCII.
// complete says that nothing follows. UTF-8 wins over Windows-1252 if more
// sequences are valid than not: text in an 8-bit encoding is hardly ever valid
// UTF-8 by accident.
func (s *Sniffer) Guess(complete bool) Encoding {
	bad := s.bad
	if complete {
		bad += len(s.rest)
	}
	switch {
	case s.nuls[1] > s.total[1]/3 && s.nuls[0] <= s.total[0]/20:
		return UTF16LE
	case s.nuls[0] > s.total[0]/3 && s.nuls[1] <= s.total[1]/20:
		return UTF16BE
	case s.valid == 0 && bad == 0:
		return Encoding{}
	case s.valid > bad:
		return UTF8
	}
	return Windows1252
}

// UTF8 says that the bytes seen are valid UTF-8 throughout and not ASCII alone:
// text in an 8-bit encoding hardly ever looks like that, whatever somebody has
// configured. complete is as for Guess.
func (s *Sniffer) UTF8(complete bool) bool {
	return s.valid > 0 && s.bad == 0 && (!complete || len(s.rest) == 0)
}

// Binary says that the bytes seen cannot be text of any encoding known here:
// more than one in twenty is a control character that text does not have, not
// counting NULs, with which fields of fixed length are filled up; or nearly all
// are NULs.
func (s *Sniffer) Binary() bool {
	if s.Guess(false).Wide() {
		return s.control*3 > s.at
	}
	nuls := s.nuls[0] + s.nuls[1]
	return s.control*20 > s.at-nuls || nuls*10 > s.at*9
}

// Seen is the number of bytes that the sniffer was shown.
func (s *Sniffer) Seen() int { return s.at }

// Sniff reads r to its end through a sniffer.
func Sniff(r io.Reader) (*Sniffer, error) {
	s := new(Sniffer)
	_, err := io.CopyBuffer(struct{ io.Writer }{s}, r, make([]byte, 64<<10))
	return s, err
}

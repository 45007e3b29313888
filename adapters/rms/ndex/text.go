package ndex

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"unicode/utf8"

	"github.com/handoff-health/handoff/adapters/charset"
)

// text gives an input as UTF-8, in pieces, and knows how long a piece was before.
type text struct {
	in    io.Reader
	enc   charset.Encoding
	rest  []byte // the beginning of a character that the last read cut
	chunk []byte
	odd   int  // bytes that the last character lacks: the input ended inside it
	lossy bool // some byte means nothing in the encoding
	eof   bool
}

var declaredEncoding = regexp.MustCompile(`<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9._:-]+)["']`)

// encodingOf finds an input's encoding from its first bytes: the byte order mark,
// the pattern of "<" in UTF-16, the declaration, the profile, UTF-8. mark is the
// length of the byte order mark. note is a finding, "" for none.
func encodingOf(head []byte, configured string) (enc charset.Encoding, mark int, note string, err error) {
	if enc, mark = charset.BOM(head); mark == 0 {
		switch {
		case bytes.HasPrefix(head, []byte("<\x00")):
			enc = charset.UTF16LE
		case bytes.HasPrefix(head, []byte("\x00<")):
			enc = charset.UTF16BE
		}
	}
	probe := head
	if enc.Wide() {
		s, _ := enc.Decode(head[mark : len(head)-(len(head)-mark)%2])
		probe = []byte(s)
	}
	m := declaredEncoding.FindSubmatch(probe)
	var declared charset.Encoding
	switch {
	case m != nil:
		if declared, err = charset.Lookup(string(m[1])); err != nil {
			return enc, mark, "", err
		}
	case configured != "":
		if declared, err = charset.Lookup(configured); err != nil {
			return enc, mark, "", err
		}
	default:
		declared = charset.UTF8
	}
	switch {
	case !enc.Decided() && declared.Wide():
		// Programs that write "utf-16" into text which is then saved otherwise.
		return charset.UTF8, mark, "the declaration says UTF-16, the bytes are not: they were read as UTF-8", nil
	case !enc.Decided():
		enc = declared
	case m != nil && enc.Wide() != declared.Wide():
		note = "the declaration says another encoding than the byte order mark: the mark was believed"
	}
	if enc.String() != charset.UTF8.String() && !enc.Wide() && !enc.SingleByte() {
		return enc, mark, "", errors.New("the encoding " + enc.String() + " is not read here: UTF-8, UTF-16 or one of a byte a character")
	}
	return enc, mark, note, nil
}

// read returns the next piece of text, io.EOF at the end.
func (t *text) read() ([]byte, error) {
	if t.eof {
		return nil, io.EOF
	}
	if t.chunk == nil {
		t.chunk = make([]byte, 32<<10)
	}
	copy(t.chunk, t.rest)
	n := len(t.rest)
	k, err := t.in.Read(t.chunk[n:])
	n += k
	t.rest = t.rest[:0]
	if errors.Is(err, io.EOF) {
		t.eof = true
		err = nil
		if n == 0 {
			return nil, io.EOF
		}
	}
	if err != nil {
		return nil, err
	}
	whole := n
	if !t.eof {
		whole = t.whole(t.chunk[:n])
		t.rest = append(t.rest, t.chunk[whole:n]...)
	} else if t.enc.Wide() && n%2 == 1 {
		t.odd = 1
	}
	if t.enc.String() == charset.UTF8.String() { // its validity is judged where it is parsed
		return t.chunk[:whole], nil
	}
	s, ok := t.enc.Decode(t.chunk[:whole])
	t.lossy = t.lossy || !ok
	return []byte(s), nil
}

// whole is how many of the bytes are whole characters.
func (t *text) whole(b []byte) int {
	n := len(b)
	switch {
	case t.enc.Wide():
		n -= n % 2
		if n >= 2 {
			high := b[n-1]
			if t.enc.String() == charset.UTF16BE.String() {
				high = b[n-2]
			}
			if high >= 0xD8 && high < 0xDC {
				n -= 2
			}
		}
	case t.enc.String() == charset.UTF8.String():
		for k := 1; k < utf8.UTFMax && k <= n; k++ {
			if utf8.RuneStart(b[n-k]) {
				if !utf8.FullRune(b[n-k:]) {
					return n - k
				}
				break
			}
		}
	}
	return n
}

// size is the number of bytes that a piece of the text had in the input.
func (t *text) size(s []byte) int {
	switch {
	case t.enc.Wide():
		n := 0
		for _, r := range string(s) {
			if n += 2; r >= 0x10000 {
				n += 2
			}
		}
		return n
	case t.enc.SingleByte():
		return utf8.RuneCount(s)
	}
	return len(s)
}

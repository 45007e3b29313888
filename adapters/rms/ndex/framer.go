package ndex

import (
	"bytes"
	"errors"
	"hash/crc64"
	"io"
)

// A mark is what the framer sees in a text of XML.
type mark uint8

const (
	markNone    mark = iota
	markStart        // a start tag
	markEmpty        // an empty-element tag
	markEnd          // an end tag
	markDeclare      // an XML declaration
	markDoctype      // a document type declaration
	markText         // the first character of text that is not blank
	markBroken       // a tag that never ended; the text goes on with the next "<"
)

// states of the framer, in the middle of markup.
const (
	inText = iota
	inOpen // after "<"
	inTag
	inQuote
	inComment
	inData // CDATA
	inPI
	inDoctype
)

const (
	maxName = 200      // bytes of an element's name
	maxTag  = 64 << 10 // bytes of one tag that are kept where the item is too long
)

// A framer goes through XML byte by byte and tells markup from text. It knows no
// grammar: well-formedness is judged where a report is parsed. What it has read
// of the item at hand stands in buf, as far as limit lets it.
type framer struct {
	in    text
	limit int

	ahead []byte // read and not gone through yet
	buf   []byte // of the item at hand
	long  bool   // the item is longer than buf
	lost  int    // bytes of the input that buf does not hold
	off   int64  // bytes of the input before the item
	sum   uint64 // over the text before the item
	line  int    // at the beginning of the item
	col   int

	state   int
	at      int // in the item: where the markup at hand begins
	past    int // text bytes of the item so far, also those that buf lost
	name    []byte
	end     bool // the tag is an end tag
	named   bool // its name is complete
	slash   bool // the byte before was a slash
	quote   byte
	tail    [2]byte // the last two bytes
	depth   int     // brackets of a document type declaration
	spoken  bool    // the text at hand was told
	curLine int
	curCol  int
	markAt  [2]int // line and column of the markup at hand
	tag     []byte // the markup at hand, whatever buf lost
	inMark  bool
}

var table = crc64.MakeTable(crc64.ECMA)

func newFramer(in text, limit int) *framer {
	return &framer{in: in, limit: limit, line: 1, col: 1, curLine: 1, curCol: 1}
}

// next goes on to the next mark. name is the element's name as written; at
// io.EOF the rest stands in buf.
func (f *framer) next() (mark, string, error) {
	for {
		if len(f.ahead) == 0 {
			b, err := f.in.read()
			if err != nil {
				return markNone, "", err
			}
			f.ahead = b
			continue
		}
		if f.state == inText && f.spoken { // most of a file is text: go through it at once
			n := bytes.IndexByte(f.ahead, '<')
			if n < 0 {
				n = len(f.ahead)
			}
			if n > 0 {
				f.inMark = false
				f.take(f.ahead[:n])
				f.ahead = f.ahead[n:]
				continue
			}
		}
		c := f.ahead[0]
		if c == '<' && (f.state == inTag || f.state == inQuote || f.state == inOpen) {
			f.state, f.spoken = inText, true
			return markBroken, string(f.name), nil
		}
		m := f.step(c)
		f.take(f.ahead[:1])
		f.ahead = f.ahead[1:]
		if m != markNone {
			return m, string(f.name), nil
		}
	}
}

// take moves bytes into the item.
func (f *framer) take(b []byte) {
	f.past += len(b)
	for _, c := range b {
		if c == '\n' {
			f.curLine++
			f.curCol = 1
		} else if c&0xC0 != 0x80 {
			f.curCol++
		}
		f.tail[0], f.tail[1] = f.tail[1], c
	}
	if f.inMark && len(f.tag) < maxTag {
		f.tag = append(f.tag, b...)
	}
	if f.long || len(f.buf)+len(b) > f.limit {
		f.long = true
		f.lost += f.in.size(b)
		f.sum = crc64.Update(f.sum, table, b)
		return
	}
	f.buf = append(f.buf, b...)
}

// step looks at one byte.
func (f *framer) step(c byte) mark {
	switch f.state {
	case inText:
		switch {
		case c == '<':
			f.state, f.at, f.markAt = inOpen, f.past, [2]int{f.curLine, f.curCol}
			f.name, f.end, f.named, f.slash, f.spoken = f.name[:0], false, false, false, false
			f.tag, f.inMark = f.tag[:0], true
		case c != ' ' && c != '\t' && c != '\r' && c != '\n' && !f.spoken:
			f.spoken, f.markAt, f.at = true, [2]int{f.curLine, f.curCol}, f.past
			f.inMark = false
			return markText
		default:
			f.inMark = false
		}
	case inOpen:
		return f.opened(c)
	case inTag:
		return f.inTag(c)
	case inQuote:
		if c == f.quote {
			f.state = inTag
		}
	case inComment:
		if c == '>' && f.tail == [2]byte{'-', '-'} && f.past-f.at >= 6 {
			f.state = inText
		}
	case inData:
		if c == '>' && f.tail == [2]byte{']', ']'} {
			f.state = inText
		}
	case inPI:
		return f.inPI(c)
	case inDoctype:
		return f.inDoctype(c)
	}
	return markNone
}

// opened looks at what follows a "<".
func (f *framer) opened(c byte) mark {
	f.name = append(f.name, c)
	switch s := string(f.name); {
	case s == "?":
		f.state, f.name = inPI, f.name[:0]
	case s == "!--":
		f.state = inComment
	case s == "![CDATA[":
		f.state, f.name = inData, f.name[:0]
		if !f.spoken {
			f.spoken = true
			return markText
		}
	case s == "!DOCTYPE":
		f.state, f.depth = inDoctype, 0
	case s == "/":
		f.end, f.name, f.state = true, f.name[:0], inTag
	case s[0] == '!':
		if len(s) > len("![CDATA[") || c == '>' {
			f.state = inText
			return markBroken
		}
	default:
		f.name, f.state = f.name[:0], inTag
		return f.inTag(c)
	}
	return markNone
}

func (f *framer) inTag(c byte) mark {
	switch {
	case c == '>':
		f.state = inText
		switch {
		case f.end:
			return markEnd
		case f.slash:
			return markEmpty
		}
		return markStart
	case c == '"' || c == '\'':
		f.state, f.quote, f.named = inQuote, c, true
	case c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '/':
		f.named = true
	case !f.named && len(f.name) < maxName:
		f.name = append(f.name, c)
	}
	f.slash = c == '/'
	return markNone
}

func (f *framer) inPI(c byte) mark {
	if c == '>' && f.tail[1] == '?' {
		f.state = inText
		if string(f.name) == "xml" {
			return markDeclare
		}
		return markNone
	}
	if blank(c) || c == '?' {
		f.named = true
	} else if !f.named && len(f.name) < maxName {
		f.name = append(f.name, c)
	}
	return markNone
}

func (f *framer) inDoctype(c byte) mark {
	switch c {
	case '[':
		f.depth++
	case ']':
		f.depth--
	case '>':
		if f.depth <= 0 {
			f.state = inText
			return markDoctype
		}
	}
	return markNone
}

func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// A piece is a stretch of the input that became an item.
type piece struct {
	text      []byte // as UTF-8, cut if long
	size      int    // bytes of the input
	line, col int
	long      bool
}

// trim leaves out blanks before the text; they stay with its size.
func (p *piece) trim() {
	text := bytes.TrimLeft(p.text, " \t\r\n")
	for _, c := range p.text[:len(p.text)-len(text)] {
		if p.col++; c == '\n' {
			p.line, p.col = p.line+1, 1
		}
	}
	p.text = text
}

// cut ends the item before its byte n, which stands at line and col, and begins
// the next one there. n is the item's end, or the beginning of the markup at
// hand; of an item that is not too long any other place in it.
func (f *framer) cut(n, line, col int) piece {
	p := piece{line: f.line, col: f.col, long: f.long}
	var next []byte
	if keep := f.past - n; !f.long {
		p.text = append([]byte(nil), f.buf[:len(f.buf)-keep]...)
		next = f.buf[len(f.buf)-keep:]
	} else {
		p.text = append([]byte(nil), f.buf...)
		next = f.tag[:min(keep, len(f.tag))]
		f.lost -= f.in.size(next)
	}
	p.size = f.in.size(p.text) + f.lost
	f.sum = crc64.Update(f.sum, table, p.text)
	f.off += int64(p.size)
	f.buf = append(f.buf[:0], next...)
	f.past, f.at = len(f.buf), f.at-n
	f.long, f.lost = false, 0
	f.line, f.col = line, col
	return p
}

// all ends the item here.
func (f *framer) all() piece { return f.cut(f.past, f.curLine, f.curCol) }

// rest ends the last item, at the end of the input.
func (f *framer) rest() piece {
	p := f.all()
	p.size -= f.in.odd
	f.off -= int64(f.in.odd)
	f.in.odd = 0
	return p
}

func ended(err error) bool { return errors.Is(err, io.EOF) }

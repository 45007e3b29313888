package csv

import "strings"

// A cell is one field of a record.
type cell struct {
	text string
	line int // physical line on which it begins
}

type state uint8

const (
	atStart  state = iota // before a field's first character
	unquoted              // inside a field without quotes
	quoted                // inside a quoted field
	closed                // after a quote that may close the field
)

// parser splits lines into cells. It reads RFC 4180 and, beyond it: blanks
// around a quoted field; a quote inside an unquoted field is that character;
// a quote inside a quoted field that no delimiter follows is that character too,
// and then the record is no longer strict.
type parser struct {
	delim  string // one character or several, none of them a quote
	cells  []cell
	val    string          // the field so far, while it is one piece of a line
	cur    strings.Builder // the field so far, once it has several pieces
	blanks int             // after a closing quote
	state  state
	line   int
	broken int // 1 + index of the first cell with a broken quote; 0: none
}

func (p *parser) reset() {
	p.cells = p.cells[:0]
	p.val = ""
	p.cur.Reset()
	p.state, p.broken, p.blanks, p.line = atStart, 0, 0, 0
}

// strict says that every quote stood where RFC 4180 allows it.
func (p *parser) strict() bool { return p.broken == 0 }

// open says that the line fed last ended inside quotes.
func (p *parser) open() bool { return p.state == quoted }

// feed takes the next physical line of the record, without its terminator.
func (p *parser) feed(text string, no int) {
	if p.state == quoted {
		p.put("\n")
	} else {
		p.state = atStart
		p.line = no
	}
	for i := 0; i < len(text); {
		switch p.state {
		case atStart:
			i = p.begin(text, i, no)
		case unquoted:
			end := strings.Index(text[i:], p.delim)
			if end < 0 {
				p.put(text[i:])
				i = len(text)
				continue
			}
			p.put(text[i : i+end])
			p.end(no)
			i += end + len(p.delim)
		case quoted:
			q := strings.IndexByte(text[i:], '"')
			if q < 0 {
				p.put(text[i:])
				i = len(text)
				continue
			}
			p.put(text[i : i+q])
			p.state, p.blanks = closed, 0
			i += q + 1
		case closed:
			i = p.afterQuote(text, i, no)
		}
	}
	if p.state != quoted {
		p.end(no)
		p.state = atStart
	}
}

// begin looks at a field's first characters.
func (p *parser) begin(text string, i, no int) int {
	p.line = no
	j := i
	for j < len(text) && text[j] == ' ' {
		j++
	}
	if j < len(text) && text[j] == '"' {
		p.state = quoted
		return j + 1
	}
	p.state = unquoted
	return i
}

// afterQuote decides what a quote inside a quoted field was.
func (p *parser) afterQuote(text string, i, no int) int {
	c := text[i]
	switch {
	case strings.HasPrefix(text[i:], p.delim):
		p.end(no)
		return i + len(p.delim)
	case c == '"' && p.blanks == 0:
		p.put(`"`)
		p.state = quoted
		return i + 1
	case c == ' ':
		p.blanks++
		return i + 1
	}
	// Neither an end nor an escaped quote: the writer did not double it.
	if p.broken == 0 {
		p.broken = len(p.cells) + 1
	}
	p.put(`"`)
	p.put(strings.Repeat(" ", p.blanks))
	p.state, p.blanks = quoted, 0
	return i
}

// put appends to the field; a field that is one piece of its line is not copied.
func (p *parser) put(s string) {
	switch {
	case s == "":
	case p.cur.Len() > 0:
		p.cur.WriteString(s)
	case p.val == "":
		p.val = s
	default:
		p.cur.WriteString(p.val)
		p.cur.WriteString(s)
	}
}

func (p *parser) end(no int) {
	if p.cur.Len() > 0 {
		p.val = p.cur.String()
		p.cur = strings.Builder{}
	}
	p.cells = append(p.cells, cell{p.val, p.line})
	p.val = ""
	p.state, p.line = atStart, no
}

// split parses one line by itself.
func split(text, delim string) *parser {
	p := &parser{delim: delim}
	p.feed(text, 0)
	if p.open() {
		p.end(0)
		p.state = quoted
	}
	return p
}

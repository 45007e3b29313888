package csv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/charset"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

const (
	headerLines  = 50      // the header is looked for in so many first lines
	defaultLimit = 1 << 20 // bytes of one record
	recordLines  = 5000    // physical lines of one record
)

// sniffed are the delimiters that are tried where the profile names none.
var sniffed = []string{",", ";", "\t", "|", "^", "~"}

// Open starts to read a delimited file: it finds encoding, delimiter and header.
func Open(ctx context.Context, in adapters.Input, opts adapters.Options) (adapters.Source, error) {
	s := &Source{name: in.Name, kind: "contact", limit: opts.MaxRecord}
	if s.limit <= 0 {
		s.limit = defaultLimit
	}
	if len(opts.Kinds) > 0 {
		s.kind = opts.Kinds[0] // a table has rows of one kind
	}
	var aliases map[string]string
	if opts.Profile != nil {
		aliases = opts.Profile.Aliases
	}
	s.schema = newSchema(opts.Fields, aliases)
	if err := s.findEncoding(in.Reader, opts); err != nil {
		return nil, err
	}
	if err := s.findHeader(ctx, opts); err != nil {
		return nil, err
	}
	if err := s.resume(ctx, opts.From); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Source) fault(line int, code, format string, args ...any) error {
	return &adapters.FileError{Source: s.name, Line: line, Code: code, Reason: fmt.Sprintf(format, args...)}
}

// findEncoding decides on the encoding: a byte order mark, else what
// configuration says, else what all bytes of the file (of a stream: the first
// 64 KiB, and then the first line that is not ASCII) look like. Text that is
// UTF-16, or UTF-8 throughout, outvotes a configured 8-bit encoding: the sender
// has changed what it writes.
func (s *Source) findEncoding(r io.Reader, opts adapters.Options) error {
	var whole *charset.Sniffer
	if seeker, ok := r.(io.ReadSeeker); ok {
		if at, err := seeker.Seek(0, io.SeekCurrent); err == nil {
			if whole, err = charset.Sniff(seeker); err == nil {
				_, err = seeker.Seek(at, io.SeekStart)
			}
			if err != nil {
				return fmt.Errorf("%s: reading: %w", s.name, err)
			}
		}
	}
	s.in = newLines(r, s.limit)
	head, err := s.in.peek(block)
	if err != nil {
		return fmt.Errorf("%s: reading: %w", s.name, err)
	}
	if len(head) == 0 {
		return s.fault(0, "empty", "the input is empty")
	}
	if what := magic(head); what != "" {
		return s.fault(0, "binary", "this is %s, not delimited text", what)
	}
	stated, mark := charset.BOM(head)
	sample := new(charset.Sniffer)
	_, _ = sample.Write(head)
	s.fallback = charset.Windows1252
	if opts.Profile != nil && opts.Profile.Charset != "" {
		if s.fallback, err = charset.Lookup(opts.Profile.Charset); err != nil {
			return fmt.Errorf("%s: the profile's charset: %w", s.name, err)
		}
		s.configured = true
	}
	switch {
	case stated.Decided():
		s.enc = stated
	case sample.Guess(false).Wide():
		if s.enc = sample.Guess(false); s.configured && !s.fallback.Wide() {
			s.overrule()
		}
	case s.configured && !s.fallback.SingleByte():
		s.enc = s.fallback
	case whole != nil && s.configured && whole.UTF8(true):
		s.enc = charset.UTF8
		s.overrule()
	case whole != nil && s.configured:
		s.enc = s.fallback
	case whole != nil:
		if s.enc = whole.Guess(true); s.enc.Wide() {
			s.enc = charset.Encoding{}
		}
	}
	if !stated.Decided() && sample.Binary() {
		return s.fault(0, "binary", "this is binary data, not delimited text")
	}
	s.in.enc = s.enc
	s.in.skip(mark)
	return nil
}

// overrule notes that the bytes say another encoding than the profile.
func (s *Source) overrule() {
	s.notes = append(s.notes, mappings.Issue{Severity: mappings.Warning, Code: "charset-overruled", Pos: s.pos(s.in.no),
		Message: fmt.Sprintf("the profile says %s, but the text is valid %s throughout and was read as that", s.fallback, s.enc)})
}

// magic names formats that people mistake for delimited text.
func magic(head []byte) string {
	for _, m := range []struct{ prefix, name string }{
		{"PK\x03\x04", "a ZIP file (an Excel workbook is one; save it as CSV)"},
		{"\xD0\xCF\x11\xE0", "an old Excel or Word file (save it as CSV)"},
		{"\x1F\x8B", "a gzip-compressed file (unpack it first)"},
		{"%PDF-", "a PDF"},
		{"SQLite format 3\x00", "an SQLite database"},
		{"\x7FELF", "a program"},
	} {
		if bytes.HasPrefix(head, []byte(m.prefix)) {
			return m.name
		}
	}
	return ""
}

// A candidate is a row that may be the header.
type candidate struct {
	delim       string
	first, last int // lines in the look-ahead
	cells       []cell
	score       int
}

// findHeader reads the first lines, decides on the delimiter and queues the
// lines up to and including the header as items.
func (s *Source) findHeader(ctx context.Context, opts adapters.Options) error {
	var head []decoded
	size := 0
	for len(head) < headerLines && size < 4*s.limit {
		l, err := s.read(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		head = append(head, l)
		size += len(l.raw)
	}
	delims := sniffed

	if p := opts.Profile; p != nil && p.Delimiter != "" {
		if strings.ContainsAny(p.Delimiter, "\"\r\n") || strings.TrimSpace(p.Delimiter) == "" && p.Delimiter != "\t" {
			return s.fault(0, "delimiter", "the profile's delimiter %q cannot divide columns", p.Delimiter)
		}
		delims = []string{p.Delimiter}
	}
	if d, ok := excelHint(head); ok && len(delims) > 1 {
		delims = []string{d}
	}
	best := s.bestHeader(head, delims)
	if best == nil {
		return s.noHeader(head, delims)
	}
	s.parser.delim = best.delim
	s.pending = head[best.last+1:]
	s.above(head[:best.first], len(best.cells))
	row := head[best.first : best.last+1]
	var missing []string
	item := adapters.Item{Kind: adapters.Header, Raw: joinRaw(row), Pos: s.pos(row[0].no)}
	s.header, item.Issues, missing = s.schema.bind(best.cells, s.pos(row[0].no))
	if len(missing) > 0 {
		return s.fault(row[0].no, "missing-column", "the header lacks required columns: %s; it has: %s. Name the column of the file in the profile's aliases, as 'header: column'",
			strings.Join(missing, ", "), strings.Join(s.header.names, ", "))
	}
	s.queue = append(s.queue, queued{item, row[len(row)-1].line})
	s.preview()
	return nil
}

// above queues the lines above the header: blank lines, titles, which are short,
// and rows that must be records, whose columns nobody can know for sure.
func (s *Source) above(head []decoded, columns int) {
	for i := 0; i < len(head); {
		p := parser{delim: s.parser.delim}
		p.feed(head[i].text, head[i].no)
		j := i + 1
		for ; p.open() && j < len(head); j++ {
			p.feed(head[j].text, head[j].no)
		}
		if p.open() { // a quote that does not end: the line by itself
			p, j = *split(head[i].text, s.parser.delim), i+1
		}
		item := adapters.Item{Kind: adapters.Header, Raw: joinRaw(head[i:j]), Pos: s.pos(head[i].no)}
		filled := 0
		for _, c := range p.cells {
			if strings.TrimSpace(c.text) != "" {
				filled++
			}
		}
		switch {
		case filled == 0:
			item.Kind = adapters.Blank
		case filled > 1 && (filled > 3 || 2*filled >= columns):
			s.records++
			item.Kind = adapters.Rejected
			item.Issues = []mappings.Issue{{Severity: mappings.Error, Code: "above-header", Pos: item.Pos,
				Message: fmt.Sprintf("a row with %d filled cells stands above the header on line %d: which columns they are is not known", filled, head[len(head)-1].no+1)}}
		}
		s.queue = append(s.queue, queued{item, head[j-1].line})
		i = j
	}
}

// preview learns how records begin from the lines that are there already, so
// that a broken quote in the first record does not take its neighbours along.
func (s *Source) preview() {
	for i := range s.pending {
		p := parser{delim: s.parser.delim}
		p.feed(s.pending[i].text, s.pending[i].no)
		for j := i + 1; p.open() && p.strict() && j < len(s.pending) && j < i+20; j++ {
			p.feed(s.pending[j].text, s.pending[j].no)
		}
		if !p.open() && p.strict() && len(p.cells) == len(s.header.names) && !s.header.like(s.schema, p.cells) && !isBlank(p.cells) {
			s.keys.learn(p.cells)
		}
	}
}

// excelHint reads the line "sep=;" that Excel writes and honours.
func excelHint(head []decoded) (string, bool) {
	if len(head) == 0 {
		return "", false
	}
	t := strings.Trim(strings.Trim(head[0].text, " "), `"`)
	if len(t) == 5 && strings.EqualFold(t[:4], "sep=") {
		return t[4:], true
	}
	return "", false
}

// bestHeader picks the earliest row that names about as many columns as any. A
// later one that names as many may be text: a note can quote a header.
func (s *Source) bestHeader(head []decoded, delims []string) *candidate {
	var all []*candidate
	most := 0
	for _, d := range delims {
		for i := range head {
			c := s.candidate(head, i, d)
			if c == nil {
				continue
			}
			all = append(all, c)
			most = max(most, c.score)
			if len(s.schema.columns) == 0 {
				break // without known names the first row that fits is the header
			}
		}
	}
	var best *candidate
	for _, c := range all {
		if 2*c.score < most {
			continue
		}
		if best == nil || c.first < best.first || c.first == best.first && c.score > best.score {
			best = c
		}
	}
	return best
}

// candidate reads the row that begins on line i; nil if it is no header.
func (s *Source) candidate(head []decoded, i int, delim string) *candidate {
	if head[i].long || strings.TrimSpace(head[i].text) == "" {
		return nil
	}
	p := &parser{delim: delim}
	p.feed(head[i].text, head[i].no)
	j := i
	for p.open() && j+1 < len(head) && j < i+10 {
		j++
		p.feed(head[j].text, head[j].no)
	}
	if p.open() || !s.schema.isHeader(p.cells) {
		return nil
	}
	c := &candidate{delim: delim, first: i, last: j, cells: p.cells, score: s.schema.score(p.cells)}
	if len(s.schema.columns) == 0 {
		c.score = len(p.cells)
	}
	return c
}

// noHeader says what was looked for, and whether another delimiter would have
// found it.
func (s *Source) noHeader(head []decoded, delims []string) error {
	for _, l := range head {
		if strings.TrimSpace(l.text) == "" {
			continue
		}
		var names []string
		for _, c := range s.schema.columns {
			if c.Required || len(names) < 4 && len(s.schema.columns) < 5 {
				names = append(names, c.Name)
			}
		}
		want := "a row of column names"
		if len(names) > 0 {
			want = "a row with " + strings.Join(names, ", ")
		}
		if len(delims) == 1 {
			if other := s.bestHeader(head, sniffed); other != nil {
				return s.fault(head[other.first].no, "delimiter", "no header row divided by %q, but this line is one divided by %q: the profile's delimiter does not fit the file", delims[0], other.delim)
			}
			want += fmt.Sprintf(", divided by %q", delims[0])
		}
		return s.fault(l.no, "no-header", "no header row in the first %d lines; expected %s", len(head), want)
	}
	return s.fault(0, "empty", "the file holds nothing but blank lines")
}

// resume reads on to the cursor. It decodes what it passes over, so that the
// rest is read exactly as it would have been without the interruption.
func (s *Source) resume(ctx context.Context, from adapters.Cursor) error {
	if from == "" {
		return nil
	}
	var off int64
	var no int
	var sum uint64
	if n, err := fmt.Sscanf(string(from), cursorForm, &off, &no, &sum); n != 3 || err != nil {
		return s.fault(0, "cursor", "the cursor %q is not one of this format", from)
	}
	for s.at.end < off {
		if _, err := s.Next(ctx); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	if s.at.end != off || s.at.sum != sum {
		return s.fault(0, "replaced", "the file is not the one that was read before: its first %d bytes differ", off)
	}
	return nil
}

func (s *Source) pos(no int) tree.Position { return tree.Position{Source: s.name, Line: no} }

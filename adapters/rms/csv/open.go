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
	"github.com/handoff-health/handoff/mappings/tree"
)

const (
	headerLines  = 50      // the header is looked for in so many first lines
	defaultLimit = 1 << 20 // bytes of one record
	recordLines  = 5000    // physical lines of one record
)

// Open starts to read a delimited file: it finds encoding, delimiter and header.
func Open(ctx context.Context, in adapters.Input, opts adapters.Options) (adapters.Source, error) {
	s := &Source{name: in.Name, kind: "contact", limit: opts.MaxRecord}
	if s.limit <= 0 {
		s.limit = defaultLimit
	}
	fields, aliases := opts.Fields, map[string]string(nil)
	if opts.Profile != nil {
		aliases = opts.Profile.Aliases
	}
	if fields == nil && (opts.Profile == nil || opts.Profile.Mapping == "" || opts.Profile.Mapping == RivertonMapping) {
		fields = Riverton()
	}
	s.schema = newSchema(fields, aliases)
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
// 64 KiB, and then the first line that is not ASCII) look like.
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
	switch {
	case stated.Decided():
		s.enc = stated
	case opts.Profile != nil && opts.Profile.Charset != "":
		if s.enc, err = charset.Lookup(opts.Profile.Charset); err != nil {
			return fmt.Errorf("%s: the profile's charset: %w", s.name, err)
		}
	case sample.Guess(false).Wide():
		s.enc = sample.Guess(false)
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
	delim       byte
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
	delims := []byte{',', ';', '\t', '|'}
	if p := opts.Profile; p != nil && p.Delimiter != "" {
		d := strings.NewReplacer(`\t`, "\t", "tab", "\t").Replace(p.Delimiter)
		if len(d) != 1 || strings.ContainsAny(d, "\"\r\n") {
			return s.fault(0, "delimiter", "the profile's delimiter %q is not one character", p.Delimiter)
		}
		delims = []byte{d[0]}
	}
	if d, ok := excelHint(head); ok && len(delims) > 1 {
		delims = []byte{d}
	}
	best := s.bestHeader(head, delims)
	if best == nil {
		return s.noHeader(head)
	}
	s.parser.delim = best.delim
	s.pending = head[best.last+1:]
	for _, l := range head[:best.first] {
		kind := adapters.Header // a title above the header
		if strings.TrimSpace(strings.Trim(l.text, string(best.delim))) == "" {
			kind = adapters.Blank
		}
		s.queue = append(s.queue, queued{adapters.Item{Kind: kind, Raw: l.raw, Pos: s.pos(l.no)}, l.line})
	}
	row := head[best.first : best.last+1]
	var missing []string
	item := adapters.Item{Kind: adapters.Header, Raw: joinRaw(row), Pos: s.pos(row[0].no)}
	s.header, item.Issues, missing = s.schema.bind(best.cells, s.pos(row[0].no))
	if len(missing) > 0 {
		return s.fault(row[0].no, "missing-column", "the header lacks required columns: %s", strings.Join(missing, ", "))
	}
	s.queue = append(s.queue, queued{item, row[len(row)-1].line})
	return nil
}

// excelHint reads the line "sep=;" that Excel writes and honours.
func excelHint(head []decoded) (byte, bool) {
	if len(head) == 0 {
		return 0, false
	}
	t := strings.Trim(strings.Trim(head[0].text, " "), `"`)
	if len(t) == 5 && strings.EqualFold(t[:4], "sep=") {
		return t[4], true
	}
	return 0, false
}

func (s *Source) bestHeader(head []decoded, delims []byte) *candidate {
	var best *candidate
	for _, d := range delims {
		for i := range head {
			if head[i].long || strings.TrimSpace(head[i].text) == "" {
				continue
			}
			p := &parser{delim: d}
			p.feed(head[i].text, head[i].no)
			j := i
			for p.open() && j+1 < len(head) && j < i+10 {
				j++
				p.feed(head[j].text, head[j].no)
			}
			if p.open() || !s.schema.isHeader(p.cells) {
				continue
			}
			c := &candidate{delim: d, first: i, last: j, cells: p.cells, score: s.schema.score(p.cells)}
			if len(s.schema.columns) == 0 {
				c.score = len(p.cells)
			}
			if best == nil || c.score > best.score {
				best = c
			}
			if len(s.schema.columns) == 0 {
				break // without known names the first row that fits is the header
			}
		}
	}
	return best
}

func (s *Source) noHeader(head []decoded) error {
	for _, l := range head {
		if strings.TrimSpace(l.text) != "" {
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
			return s.fault(l.no, "no-header", "no header row in the first %d lines; expected %s", len(head), want)
		}
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

package csv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/charset"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

const cursorForm = "csv1:%d:%d:%x"

// A Source reads one delimited file. See [adapters.Source].
type Source struct {
	name  string
	kind  string
	limit int
	in    *lines
	enc   charset.Encoding
	// fallback reads what is not UTF-8: the configured encoding or Windows-1252.
	fallback   charset.Encoding
	configured bool
	notes      []mappings.Issue // about the file, for the next item
	schema     *schema
	header     *header
	parser     parser
	keys       keys
	pending    []decoded // lines read ahead
	queue      []queued  // items of the lines up to the header
	at         line      // the last line of the item returned last
	records    int       // rows that are records, good or bad
}

// decoded is a physical line as text.
type decoded struct {
	line
	text  string
	mixed bool // not in the file's encoding: read as Windows-1252
}

type queued struct {
	item adapters.Item
	last line
}

// Cursor is the place after the last item.
func (s *Source) Cursor() adapters.Cursor {
	if s.at.end == 0 {
		return ""
	}
	return adapters.Cursor(fmt.Sprintf(cursorForm, s.at.end, s.at.no, s.at.sum))
}

// Close does nothing: the reader is the caller's.
func (s *Source) Close() error { return nil }

// Next returns the next item.
func (s *Source) Next(ctx context.Context) (adapters.Item, error) {
	if err := ctx.Err(); err != nil {
		return adapters.Item{}, err
	}
	if len(s.queue) > 0 {
		q := s.queue[0]
		s.queue = s.queue[1:]
		s.at = q.last
		return s.noted(q.item), nil
	}
	rec, err := s.assemble(ctx)
	if err != nil {
		return adapters.Item{}, err
	}
	s.at = rec.lines[len(rec.lines)-1].line
	return s.noted(s.classify(rec)), nil
}

// noted gives an item the findings about the file that wait for one.
func (s *Source) noted(item adapters.Item) adapters.Item {
	if len(s.notes) > 0 {
		item.Issues = append(item.Issues, s.notes...)
		s.notes = nil
	}
	return item
}

// read returns the next physical line as text.
func (s *Source) read(ctx context.Context) (decoded, error) {
	if len(s.pending) > 0 {
		l := s.pending[0]
		s.pending = s.pending[1:]
		return l, nil
	}
	if err := ctx.Err(); err != nil {
		return decoded{}, err
	}
	l, err := s.in.next()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return decoded{}, err
		}
		return decoded{}, fmt.Errorf("%s:%d: reading: %w", s.name, s.in.no, err)
	}
	return s.decode(l), nil
}

func (s *Source) decode(l line) decoded {
	d := decoded{line: l}
	body := l.raw[:l.body]
	if !s.enc.Decided() { // ASCII so far
		sniff := new(charset.Sniffer)
		_, _ = sniff.Write(body)
		if sniff.Guess(true).Decided() { // here is the first other byte
			ahead, err := s.in.peek(block)
			if err == nil {
				_, _ = sniff.Write(ahead)
			}
			switch {
			case s.configured && sniff.UTF8(false):
				s.enc = charset.UTF8
				s.overrule()
			case s.configured:
				s.enc = s.fallback
			default:
				if s.enc = sniff.Guess(false); s.enc.Wide() || !s.enc.Decided() {
					s.enc = s.fallback
				}
			}
		}
	}
	var ok bool
	if d.text, ok = s.enc.Decode(body); !ok && s.enc == charset.UTF8 {
		as := charset.Windows1252
		if s.fallback.SingleByte() {
			as = s.fallback
		}
		d.text, _ = as.Decode(body)
		d.mixed = true
	}
	return d
}

// unread puts lines back before what was read ahead.
func (s *Source) unread(ls []decoded) {
	if len(ls) > 0 {
		s.pending = append(append(make([]decoded, 0, len(ls)+len(s.pending)), ls...), s.pending...)
	}
}

// A row is what assemble put together: physical lines, and their cells in the
// parser, or the reason why they are no record.
type row struct {
	lines []decoded
	code  string // "" or the reason to reject
	why   string
	open  int // index of the cell whose quotes are open, before any doubt
}

// assemble reads the lines of one record. Quotes decide where it ends. If they
// turn out to be broken, the record ends before the first line that looks like
// the beginning of another one, and only it is lost.
func (s *Source) assemble(ctx context.Context) (row, error) {
	first, err := s.read(ctx)
	if err != nil {
		return row{}, err
	}
	rec := row{lines: []decoded{first}}
	p := &s.parser
	p.reset()
	if first.long {
		rec.code, rec.why = "too-long", fmt.Sprintf("the line is longer than %d bytes", s.limit)
		return rec, nil
	}
	p.feed(first.text, first.no)
	if !p.open() {
		return rec, nil
	}
	rec.open = len(p.cells)
	next, size := -1, len(first.raw) // next: index of the first line that looks like a new record
	for p.open() {
		l, err := s.read(ctx)
		if errors.Is(err, io.EOF) {
			rec.code, rec.why = "truncated", "the file ends inside a quoted field"
			break
		}
		if err != nil {
			return row{}, err
		}
		size += len(l.raw)
		if l.long || size > s.limit || len(rec.lines) >= recordLines {
			s.unread([]decoded{l})
			rec.code, rec.why = "too-long", fmt.Sprintf("a quoted field does not end within %d bytes or %d lines", s.limit, recordLines)
			break
		}
		if next < 0 && s.begins(l.text) {
			next = len(rec.lines)
		}
		if next >= 0 && !p.strict() {
			s.unread([]decoded{l})
			rec.code = "unterminated-quote"
			break
		}
		rec.lines = append(rec.lines, l)
		p.feed(l.text, l.no)
		if next < 0 && p.open() {
			rec.open = len(p.cells)
		}
	}
	// Only quotes that are right from end to end may hold a line that looks
	// like another record.
	if next >= 0 && (rec.code != "" || !p.strict() || len(p.cells) != len(s.header.names)) {
		if next < len(rec.lines) {
			s.unread(rec.lines[next:])
			rec.lines = rec.lines[:next:next]
		}
		rec.code, rec.why = "unterminated-quote", "a quoted field does not end before the next record begins"
	}
	if next >= 0 && rec.code == "" && s.closedByAnother(rec) {
		rec.code, rec.why = "ambiguous-quote", "the line on which a quoted field ends is a record by itself"
	}
	return rec, nil
}

// closedByAnother says that the line that ends the quoted text looks like a
// record by itself, with as many columns as it must have or with a quote where
// one opens a field: two records may have been read as one.
func (s *Source) closedByAnother(rec row) bool {
	last := rec.lines[len(rec.lines)-1]
	p := split(last.text, s.parser.delim)
	return (len(p.cells) == len(s.header.names) || p.open() || !p.strict()) && s.keys.begins(p, len(s.header.names))
}

// begins says whether a line looks like the beginning of another record, or of
// what is no record.
func (s *Source) begins(text string) bool {
	if strings.TrimSpace(text) == "" {
		return false
	}
	p := split(text, s.parser.delim)
	if s.keys.begins(p, len(s.header.names)) || s.header.repeats(s.schema, p.cells) || s.header.like(s.schema, p.cells) {
		return true
	}
	return !p.open() && !rules.MatchString(text) && isTrailer(p.cells, len(s.header.names))
}

// classify turns a row into an item.
func (s *Source) classify(rec row) adapters.Item {
	item := adapters.Item{Raw: joinRaw(rec.lines), Pos: s.pos(rec.lines[0].no)}
	cells := s.parser.cells
	if rec.code == "" {
		switch {
		case isBlank(cells) || strings.Trim(rec.lines[0].text, " \x1A\x00") == "" && len(rec.lines) == 1:
			item.Kind = adapters.Blank
			return item
		case s.header.repeats(s.schema, cells):
			item.Kind = adapters.Header
			return item
		case s.header.like(s.schema, cells):
			return s.rebind(cells, item)
		case isTrailer(cells, len(s.header.names)):
			item.Kind = adapters.Trailer
			item.Issues = s.checkCount(cells, item.Pos)
			return item
		}
	}
	s.records++
	if rec.code == "" && s.header.lacking != "" {
		rec.code, rec.why = "missing-column", "the last header before this row lacks required columns: "+s.header.lacking
	}
	if rec.code == "" && len(cells) != len(s.header.names) {
		rec.code, rec.why = s.miscount(cells, rec)
	}
	if rec.code != "" {
		item.Kind = adapters.Rejected
		if n := len(rec.lines); n > 1 {
			rec.why += fmt.Sprintf("; lines %d to %d could not be told apart", rec.lines[0].no, rec.lines[n-1].no)
		}
		item.Issues = []mappings.Issue{{Severity: mappings.Error, Code: rec.code, Field: s.brokenField(rec), Message: rec.why, Pos: item.Pos}}
		return item
	}
	item.Kind = adapters.Data
	item.Record, item.Issues = s.record(cells, item, rec)
	s.keys.learn(cells)
	return item
}

// rebind takes a header that differs from the one before for what follows: the
// columns of another export that was appended, say.
func (s *Source) rebind(cells []cell, item adapters.Item) adapters.Item {
	h, issues, missing := s.schema.bind(cells, item.Pos)
	h.lacking = strings.Join(missing, ", ")
	s.header, s.keys = h, keys{}
	item.Kind = adapters.Header
	item.Issues = append([]mappings.Issue{{Severity: mappings.Warning, Code: "header-changed", Pos: item.Pos,
		Message: "a header with other columns than the one before: the rows that follow are read by it"}}, issues...)
	return item
}

func (s *Source) miscount(cells []cell, rec row) (code, why string) {
	want, have := len(s.header.names), len(cells)
	if !s.parser.strict() {
		return "broken-quote", fmt.Sprintf("a quote inside a field is not doubled and the row cannot be repaired: expected %d columns, found %d", want, have)
	}
	why = fmt.Sprintf("expected %d columns, found %d", want, have)
	if have < want && rec.lines[len(rec.lines)-1].final {
		why += "; the file ends here without a line end and may be cut off"
	}
	return "column-count", why
}

// brokenField names the column whose quotes are broken.
func (s *Source) brokenField(rec row) string {
	i := -1
	switch rec.code {
	case "broken-quote":
		i = s.parser.broken - 1
	case "unterminated-quote", "truncated":
		i = rec.open
	}
	if i < 0 || i >= len(s.header.names) {
		return ""
	}
	return s.header.names[i]
}

// checkCount compares a trailer's number of records with those read.
func (s *Source) checkCount(cells []cell, pos tree.Position) []mappings.Issue {
	text := make([]string, len(cells))
	for i, c := range cells {
		text[i] = c.text
	}
	n, ok := declaredCount(strings.TrimRight(strings.Join(text, ","), ","))
	if !ok || n == s.records {
		return nil
	}
	return []mappings.Issue{{Severity: mappings.Warning, Code: "trailer-count", Pos: pos,
		Message: fmt.Sprintf("the trailer says %d records, the file has %d", n, s.records)}}
}

// record builds the tree of a row.
func (s *Source) record(cells []cell, item adapters.Item, rec row) (*tree.Record, []mappings.Issue) {
	sum := sha256.Sum256(item.Raw)
	nodes := make([]tree.Node, len(cells)+1)
	root := &nodes[len(cells)]
	root.Pos = item.Pos
	root.Children = make([]*tree.Node, len(cells))
	var issues []mappings.Issue
	undefined := s.enc == charset.Windows1252
	for _, l := range rec.lines {
		if l.mixed {
			undefined = true
			issues = append(issues, mappings.Issue{Severity: mappings.Warning, Code: "mixed-encoding", Pos: s.pos(l.no),
				Message: "the line is not valid UTF-8 as the rest of the file; it was read as an 8-bit encoding"})
		}
	}
	for i, c := range cells {
		n := &nodes[i]
		name := s.header.names[i]
		n.Name = name
		n.Pos = tree.Position{Source: s.name, Line: item.Pos.Line, Column: i + 1, Path: name}
		var found []finding
		n.Text, found = clean(c.text, undefined)
		for _, f := range found {
			at := n.Pos
			at.Line = c.line
			issues = append(issues, mappings.Issue{Severity: mappings.Warning, Code: f.code, Field: name, Pos: at, Message: f.message})
		}
		root.Children[i] = n
	}
	if !s.parser.strict() {
		i := s.parser.broken - 1
		issues = append(issues, mappings.Issue{Severity: mappings.Warning, Code: "quote-repaired", Field: s.header.names[i], Pos: nodes[i].Pos,
			Message: "a quote inside a quoted field was not doubled; it was read as text"})
	}
	return &tree.Record{Kind: s.kind, Root: root, Raw: item.Raw, SHA256: hex.EncodeToString(sum[:]), Pos: item.Pos}, issues
}

func joinRaw(ls []decoded) []byte {
	if len(ls) == 1 {
		return ls[0].raw
	}
	var out []byte
	for _, l := range ls {
		out = append(out, l.raw...)
	}
	return out
}

var _ adapters.Source = (*Source)(nil)

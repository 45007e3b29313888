package ndex

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/charset"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

// Mapping is the built-in mapping of these reports.
const Mapping = "rms/ndex/report.map.yaml"

const (
	cursorForm   = "nx1:%d:%d:%d:%x" // items, bytes, line, checksum
	defaultLimit = 8 << 20           // bytes of one report
	maxDepth     = 100               // elements in each other
)

// A Source reads reports of one input. See [adapters.Source].
type Source struct {
	name  string
	kinds []string
	f     *framer
	issue *mappings.Issue // a finding about the input, for its first item

	open    []container
	report  *report // being read; nil between reports
	reports int     // of the document at hand
	refuse  *mappings.Issue
	fault   *mappings.Issue // of the text between reports

	ready []adapters.Item
	done  bool
	count int
	place place
}

// A place is how far the items that were returned reach.
type place struct {
	off  int64
	line int
	sum  uint64
}

// Open starts to read reports.
func Open(ctx context.Context, in adapters.Input, opts adapters.Options) (adapters.Source, error) {
	s := &Source{name: in.Name, kinds: opts.Kinds}
	limit := opts.MaxRecord
	if limit <= 0 {
		limit = defaultLimit
	}
	r := bufio.NewReaderSize(in.Reader, 64<<10)
	head, err := r.Peek(8 << 10)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: reading: %w", s.name, err)
	}
	if len(bytes.Trim(head, " \t\r\n\x00\ufeff")) == 0 {
		return nil, s.fileError("empty", "the input is empty")
	}
	configured := ""
	if opts.Profile != nil {
		configured = opts.Profile.Charset
	}
	enc, mark, note, err := encodingOf(head, configured)
	if err != nil {
		return nil, s.fileError("encoding", "%v", err)
	}
	sniff := new(charset.Sniffer)
	_, _ = sniff.Write(head)
	probe, _ := enc.Decode(head[mark : len(head)-(len(head)-mark)%2])
	switch {
	case sniff.Binary() && !enc.Wide():
		return nil, s.fileError("binary", "this is binary data, not XML")
	case !bytes.ContainsRune([]byte(probe), '<'):
		return nil, s.fileError("no-header", "no \"<\" in the first %d bytes: this is not XML", len(head))
	}
	if note != "" {
		s.issue = &mappings.Issue{Severity: mappings.Warning, Code: "encoding-contradiction", Message: note, Pos: tree.Position{Source: s.name, Line: 1, Column: 1}}
	}
	_, _ = r.Discard(mark)
	s.f = newFramer(text{in: r, enc: enc}, limit)
	s.f.off = int64(mark)
	s.place = place{off: int64(mark), line: 1}
	return s, s.resume(ctx, opts.From)
}

func (s *Source) fileError(code, format string, args ...any) error {
	return &adapters.FileError{Source: s.name, Code: code, Reason: fmt.Sprintf(format, args...)}
}

func (s *Source) resume(ctx context.Context, from adapters.Cursor) error {
	if from == "" {
		return nil
	}
	var want place
	var count int
	if n, err := fmt.Sscanf(string(from), cursorForm, &count, &want.off, &want.line, &want.sum); n != 4 || err != nil {
		return s.fileError("cursor", "the cursor %q is not one of this format", from)
	}
	for s.count < count {
		if _, err := s.Next(ctx); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	if s.count != count || s.place != want {
		return s.fileError("replaced", "the file is not the one that was read before: its first %d bytes differ", want.off)
	}
	return nil
}

// Cursor is the place after the last item.
func (s *Source) Cursor() adapters.Cursor {
	if s.count == 0 {
		return ""
	}
	return adapters.Cursor(fmt.Sprintf(cursorForm, s.count, s.place.off, s.place.line, s.place.sum))
}

// Close does nothing: the reader is the caller's.
func (s *Source) Close() error { return nil }

// Next returns the next record, or what stands between reports.
func (s *Source) Next(ctx context.Context) (adapters.Item, error) {
	for len(s.ready) == 0 {
		if err := ctx.Err(); err != nil {
			return adapters.Item{}, err
		}
		if s.done {
			return adapters.Item{}, io.EOF
		}
		if err := s.advance(); err != nil {
			return adapters.Item{}, fmt.Errorf("%s:%d: reading: %w", s.name, s.f.curLine, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return adapters.Item{}, err
	}
	it := s.ready[0]
	s.ready = s.ready[1:]
	s.count++
	return it, nil
}

// advance reads on until there is an item or the input's end.
func (s *Source) advance() error {
	m, name, err := s.f.next()
	switch {
	case ended(err):
		s.finish()
		s.done = true
		return nil
	case err != nil:
		return err
	}
	switch {
	case m == markDoctype:
		s.doctype()
	case m == markDeclare:
		s.declaration()
	case s.refuse != nil:
		s.refused(m, name)
	case s.report != nil:
		s.inReport(m, name)
	default:
		s.between(m, name)
	}
	return nil
}

// here is the position of the markup at hand.
func (s *Source) here() tree.Position {
	return tree.Position{Source: s.name, Line: s.f.markAt[0], Column: s.f.markAt[1]}
}

func problem(pos tree.Position, code, format string, args ...any) *mappings.Issue {
	return &mappings.Issue{Severity: mappings.Error, Code: code, Message: fmt.Sprintf(format, args...), Pos: pos}
}

// put appends items for a piece and notes how far they reach.
func (s *Source) put(p piece, items ...adapters.Item) {
	if s.issue != nil {
		items[0].Issues = append(items[0].Issues, *s.issue)
		s.issue = nil
	}
	s.ready = append(s.ready, items...)
	s.place = place{off: s.f.off, line: s.f.line, sum: s.f.sum}
}

func (s *Source) position(p piece) tree.Position {
	return tree.Position{Source: s.name, Line: p.line, Column: p.col}
}

// other makes the item of a piece that holds no report.
func (s *Source) other(p piece, kind adapters.Kind, issues ...mappings.Issue) {
	if p.size == 0 && kind != adapters.Rejected {
		return
	}
	if kind != adapters.Rejected && len(bytes.TrimSpace(p.text)) == 0 && !p.long {
		kind = adapters.Blank
	}
	it := adapters.Item{Kind: kind, Raw: p.text, Pos: s.position(p), Issues: issues}
	if len(p.text) != p.size {
		it.Extract, it.Covers = true, p.size
	}
	s.put(p, it)
}

// reject makes the item of a piece that cannot be read.
func (s *Source) reject(p piece, why *mappings.Issue) { s.other(p, adapters.Rejected, *why) }

func (s *Source) takes(kind string) bool { return s.kinds == nil || slices.Contains(s.kinds, kind) }

var _ adapters.Source = (*Source)(nil)

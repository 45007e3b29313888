package jsonl

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/charset"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

const (
	cursorForm   = "json1:%d:%d:%x"
	defaultLimit = 8 << 20 // bytes of one record
)

// A Shaped is what a format makes of one object: the record's kind and its tree,
// or, with a finding of severity error, the reason why it is none.
type Shaped struct {
	Kind   string
	Root   *tree.Node
	Issues []mappings.Issue
}

// A Shaper turns an object into a record of a format.
type Shaper func(root *tree.Node) Shaped

// A Source reads the objects of one input. See [adapters.Source].
type Source struct {
	name   string
	limit  int
	shape  Shaper
	in     window
	array  bool // inside the array that holds the records
	closed bool // that array, or there is none
	told   bool // that the array does not end
	count  int  // items returned
	last   struct {
		off int64
		sum uint64
	}
}

// Open starts to read JSON objects as they are. Their kind is the mapping's; if it
// takes several, the member type says which.
func Open(ctx context.Context, in adapters.Input, opts adapters.Options) (adapters.Source, error) {
	return OpenShaped(ctx, in, opts, func(root *tree.Node) Shaped {
		if len(opts.Kinds) == 1 {
			return Shaped{Kind: opts.Kinds[0], Root: root}
		}
		kind := root.First("type").Value()
		if len(opts.Kinds) > 0 && !slices.Contains(opts.Kinds, kind) {
			at := root.Pos
			at.Path = "/type"
			return Shaped{Issues: []mappings.Issue{{Severity: mappings.Error, Code: "record-kind-unknown", Field: at.Path, Pos: at,
				Message: "the mapping does not take records of this type"}}}
		}
		return Shaped{Kind: kind, Root: root}
	})
}

// OpenShaped starts to read JSON objects for a format that is written in JSON.
func OpenShaped(ctx context.Context, in adapters.Input, opts adapters.Options, shape Shaper) (adapters.Source, error) {
	s := &Source{name: in.Name, limit: opts.MaxRecord, shape: shape, in: window{r: in.Reader, line: 1, col: 1}}
	if s.limit <= 0 {
		s.limit = defaultLimit
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, s.resume(ctx, opts.From)
}

func (s *Source) fault(line int, code, format string, args ...any) error {
	return &adapters.FileError{Source: s.name, Line: line, Code: code, Reason: fmt.Sprintf(format, args...)}
}

// check looks at the beginning: is there any JSON in it?
func (s *Source) check() error {
	for len(s.in.bytes()) < block {
		if more, err := s.in.more(); err != nil {
			return fmt.Errorf("%s: reading: %w", s.name, err)
		} else if !more && s.in.eof {
			break
		}
	}
	head := s.in.bytes()
	enc, mark := charset.BOM(head)
	if enc.Wide() {
		return s.fault(0, "encoding", "the input is %s; JSON is UTF-8", enc)
	}
	s.in.pass(mark)
	s.in.col = 1
	head = head[mark:]
	text := bytes.TrimLeft(head, " \t\r\n")
	sniff := new(charset.Sniffer)
	_, _ = sniff.Write(head)
	switch {
	case len(text) == 0 && s.in.eof:
		return s.fault(0, "empty", "the input is empty")
	case sniff.Binary():
		return s.fault(0, "binary", "this is binary data, not JSON")
	case len(text) > 0 && !bytes.ContainsAny(head, "{"):
		return s.fault(s.in.line+bytes.Count(head[:len(head)-len(text)], []byte{'\n'}), "no-object", "no JSON object in the first %d bytes", len(head))
	}
	s.last.off, s.last.sum = s.in.off, s.in.sum
	return nil
}

// Cursor is the place after the last item.
func (s *Source) Cursor() adapters.Cursor {
	if s.count == 0 {
		return ""
	}
	return adapters.Cursor(fmt.Sprintf(cursorForm, s.count, s.last.off, s.last.sum))
}

// Close does nothing: the reader is the caller's.
func (s *Source) Close() error { return nil }

// resume reads on to the cursor.
func (s *Source) resume(ctx context.Context, from adapters.Cursor) error {
	if from == "" {
		return nil
	}
	var count int
	var off int64
	var sum uint64
	if n, err := fmt.Sscanf(string(from), cursorForm, &count, &off, &sum); n != 3 || err != nil {
		return s.fault(0, "cursor", "the cursor %q is not one of this format", from)
	}
	for s.count < count {
		if _, err := s.Next(ctx); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	if s.count != count || s.last.off != off || s.last.sum != sum {
		return s.fault(0, "replaced", "the input is not the one that was read before: its first %d bytes differ", off)
	}
	return nil
}

// Next returns the next item.
func (s *Source) Next(ctx context.Context) (adapters.Item, error) {
	if err := ctx.Err(); err != nil {
		return adapters.Item{}, err
	}
	item, err := s.next()
	if err != nil {
		if !errors.Is(err, io.EOF) {
			err = fmt.Errorf("%s:%d: reading: %w", s.name, s.in.line, err)
		}
		return adapters.Item{}, err
	}
	s.count++
	s.last.off, s.last.sum = s.in.off, s.in.sum
	return item, nil
}

func (s *Source) next() (adapters.Item, error) {
	// Blanks and commas, up to what says something or the end of the line.
	i := 0
	for {
		c, ok, err := s.in.at(i)
		switch {
		case err != nil:
			return adapters.Item{}, err
		case !ok && i == 0:
			return s.end()
		case !ok || c == '\n' || i >= s.limit:
			if ok {
				i++
			}
			pos := s.here(0)
			return adapters.Item{Kind: adapters.Blank, Pos: pos, Raw: s.in.take(i)}, nil
		case c == ' ' || c == '\t' || c == '\r' || c == ',' && (s.array || s.count > 0):
		case c == '[' && !s.array && !s.closed:
			s.array = true
			return s.bracket(adapters.Header, i)
		case c == ']' && s.array:
			s.array, s.closed = false, true
			return s.bracket(adapters.Trailer, i)
		case c == '{' || c == '[':
			s.closed = s.closed || !s.array
			return s.record(i)
		default:
			return s.garbage(i)
		}
		i++
	}
}

// end tells once that the array was not closed: the input may be cut off.
func (s *Source) end() (adapters.Item, error) {
	if !s.array || s.told {
		return adapters.Item{}, io.EOF
	}
	s.told = true
	return adapters.Item{Kind: adapters.Rejected, Pos: s.here(0), Issues: []mappings.Issue{{Severity: mappings.Error, Code: "truncated", Pos: s.here(0),
		Message: "the array of records does not end: the input may be cut off"}}}, nil
}

// here is the position i blanks further on in the line.
func (s *Source) here(i int) tree.Position {
	return tree.Position{Source: s.name, Line: s.in.line, Column: s.in.col + i}
}

// bracket takes a bracket of the array with the rest of its line, if that is blank.
func (s *Source) bracket(kind adapters.Kind, i int) (adapters.Item, error) {
	pos := s.here(i)
	n, err := s.tail(i + 1)
	if err != nil {
		return adapters.Item{}, err
	}
	return adapters.Item{Kind: kind, Pos: pos, Raw: s.in.take(n)}, nil
}

// tail is where the blanks and the comma behind i end: after the line end, if
// there is nothing else before it.
func (s *Source) tail(i int) (int, error) {
	n := i
	for ; n < i+4096; n++ {
		c, ok, err := s.in.at(n)
		switch {
		case err != nil:
			return 0, err
		case !ok:
			return n, nil
		case c == '\n':
			return n + 1, nil
		case c != ' ' && c != '\t' && c != '\r' && c != ',':
			return n, nil
		}
	}
	return n, nil
}

// record reads the value that begins i bytes on.
func (s *Source) record(i int) (adapters.Item, error) {
	lead := s.in.take(i)
	pos := s.here(0)
	indent := s.in.col
	if len(bytes.TrimLeft(lead, " \t\r")) > 0 || indent != len(lead)+1 {
		indent = 1 // it begins behind something else on its line
	}
	x, err := s.measure(indent)
	if err != nil {
		return adapters.Item{}, err
	}
	raw := s.in.bytes()[:x.n]
	var root *tree.Node
	if x.code == "" {
		root, err = Parse(raw, pos)
		var f *fault
		switch {
		case err == nil:
			return s.shaped(root, lead, pos, x.n)
		case errors.As(err, &f):
			if !utf8.Valid(raw) {
				f.code, f.message = "undecodable", "the record is not UTF-8"
			}
			if x.restart > 0 {
				x.n = x.restart
			}
			return s.reject(lead, x.n, mappings.Issue{Code: f.code, Message: f.message, Field: f.at.Path, Pos: f.at}, pos)
		}
		return adapters.Item{}, err
	}
	if x.cut {
		return s.overlong(lead, x, pos, indent)
	}
	return s.reject(lead, x.n, mappings.Issue{Code: x.code, Message: x.why, Pos: pos}, pos)
}

func (s *Source) reject(lead []byte, n int, is mappings.Issue, pos tree.Position) (adapters.Item, error) {
	n, err := s.tail(n)
	if err != nil {
		return adapters.Item{}, err
	}
	is.Severity = mappings.Error
	return adapters.Item{Kind: adapters.Rejected, Pos: pos, Raw: append(lead, s.in.take(n)...), Issues: []mappings.Issue{is}}, nil
}

// overlong keeps the beginning of a record that is over the cap and passes over
// the rest, up to the next line that looks like a record.
func (s *Source) overlong(lead []byte, x extent, pos tree.Position, indent int) (adapters.Item, error) {
	raw := append(lead, s.in.take(x.n)...)
	for x.restart == 0 {
		c, ok, err := s.in.at(0)
		if err != nil {
			return adapters.Item{}, err
		}
		if !ok {
			break
		}
		n := bytes.IndexByte(s.in.bytes(), '\n') + 1
		if n == 0 {
			n = len(s.in.bytes())
		}
		last := c
		if n > 0 {
			last = s.in.bytes()[n-1]
		}
		s.in.pass(n)
		if last != '\n' {
			continue
		}
		if begins, err := s.beginsAt(0, indent); err != nil {
			return adapters.Item{}, err
		} else if begins {
			break
		}
	}
	return adapters.Item{Kind: adapters.Rejected, Pos: pos, Raw: raw,
		Issues: []mappings.Issue{{Severity: mappings.Error, Code: x.code, Message: x.why, Pos: pos}}}, nil
}

// garbage takes what is no object, to the end of its line.
func (s *Source) garbage(i int) (adapters.Item, error) {
	pos := s.here(i)
	n := i
	for {
		c, ok, err := s.in.at(n)
		if err != nil {
			return adapters.Item{}, err
		}
		if !ok || n >= s.limit {
			break
		}
		if n++; c == '\n' {
			break
		}
	}
	return adapters.Item{Kind: adapters.Rejected, Pos: pos, Raw: s.in.take(n), Issues: []mappings.Issue{{Severity: mappings.Error,
		Code: "not-an-object", Message: "this line is no JSON object", Pos: pos}}}, nil
}

// shaped makes the record of an object.
func (s *Source) shaped(root *tree.Node, lead []byte, pos tree.Position, n int) (adapters.Item, error) {
	value := bytes.Clone(s.in.bytes()[:n])
	n, err := s.tail(n)
	if err != nil {
		return adapters.Item{}, err
	}
	item := adapters.Item{Pos: pos, Raw: append(lead, s.in.take(n)...)}
	made := s.shape(root)
	if item.Issues = made.Issues; made.Root == nil {
		return item, nil
	}
	sum := sha256.Sum256(value)
	rec := &tree.Record{Kind: made.Kind, Root: made.Root, Raw: value, SHA256: hex.EncodeToString(sum[:]), Pos: pos}
	if slices.ContainsFunc(made.Issues, func(is mappings.Issue) bool { return is.Severity == mappings.Error }) {
		item.Unread = rec
	} else {
		item.Kind, item.Record = adapters.Data, rec
	}
	return item, nil
}

var _ adapters.Source = (*Source)(nil)

package hl7v2

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/charset"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

const (
	cursorForm   = "hl71:%d:%d:%x"
	defaultLimit = 8 << 20 // bytes of one message
)

// A Source reads messages of one file. See [adapters.Source].
type Source struct {
	name    string
	limit   int
	kinds   []string
	charset charset.Encoding // configured; undecided: as MSH-18 says
	in      *scanner
	ahead   []segment
	at      segment // the last one of the item returned last
	batch   int     // messages since BHS, -1 outside a batch
	batches int     // since FHS, -1 outside a file envelope
	named   named
}

// Open starts to read messages.
func Open(ctx context.Context, in adapters.Input, opts adapters.Options) (adapters.Source, error) {
	s := &Source{name: in.Name, limit: opts.MaxRecord, kinds: opts.Kinds, batch: -1, batches: -1}
	if s.limit <= 0 {
		s.limit = defaultLimit
	}
	if s.kinds == nil {
		s.kinds = []string{mappings.AnyKind}
	}
	if p := opts.Profile; p != nil && p.Charset != "" {
		enc, err := charset.Lookup(p.Charset)
		if err != nil {
			return nil, fmt.Errorf("%s: the profile's charset: %w", in.Name, err)
		}
		if enc.Wide() {
			return nil, fmt.Errorf("%s: the profile's charset %s is not one for HL7 v2 files", in.Name, enc)
		}
		s.charset = enc
	}
	s.in = newScanner(in.Reader, s.limit)
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, s.resume(ctx, opts.From)
}

func (s *Source) fault(code, format string, args ...any) error {
	return &adapters.FileError{Source: s.name, Code: code, Reason: fmt.Sprintf(format, args...)}
}

// check looks at the first block: is there anything like HL7 v2 in it?
func (s *Source) check() error {
	head, err := s.in.r.Peek(64 << 10)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return fmt.Errorf("%s: reading: %w", s.name, err)
	}
	if len(bytes.TrimSpace(head)) == 0 {
		return s.fault("empty", "the input is empty")
	}
	enc, mark := charset.BOM(head)
	if enc.Wide() {
		return s.fault("encoding", "the file is %s; HL7 v2 files have one byte a delimiter", enc)
	}
	if mark > 0 {
		b := make([]byte, mark)
		_, _ = io.ReadFull(s.in.r, b)
		s.in.count(b)
		head = head[mark:]
	}
	sniff := new(charset.Sniffer)
	_, _ = sniff.Write(head)
	if sniff.Binary() {
		return s.fault("binary", "this is binary data, not HL7 v2 messages")
	}
	for _, name := range []string{"MSH", "FHS", "BHS"} {
		if bytes.Contains(head, []byte(name)) {
			return nil
		}
	}
	return s.fault("no-header", "no MSH, FHS or BHS segment in the first %d bytes: these are not HL7 v2 messages", len(head))
}

func (s *Source) resume(ctx context.Context, from adapters.Cursor) error {
	if from == "" {
		return nil
	}
	var off int64
	var line int
	var sum uint64
	if n, err := fmt.Sscanf(string(from), cursorForm, &off, &line, &sum); n != 3 || err != nil {
		return s.fault("cursor", "the cursor %q is not one of this format", from)
	}
	for s.at.end < off {
		if _, err := s.Next(ctx); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	if s.at.end != off || s.at.sum != sum {
		return s.fault("replaced", "the file is not the one that was read before: its first %d bytes differ", off)
	}
	return nil
}

// Cursor is the place after the last item.
func (s *Source) Cursor() adapters.Cursor {
	if s.at.end == 0 {
		return ""
	}
	return adapters.Cursor(fmt.Sprintf(cursorForm, s.at.end, s.at.line, s.at.sum))
}

// Close does nothing: the reader is the caller's.
func (s *Source) Close() error { return nil }

func (s *Source) read(ctx context.Context) (segment, error) {
	if len(s.ahead) > 0 {
		seg := s.ahead[0]
		s.ahead = s.ahead[1:]
		return seg, nil
	}
	if err := ctx.Err(); err != nil {
		return segment{}, err
	}
	seg, err := s.in.next()
	if err != nil && !errors.Is(err, io.EOF) {
		return seg, fmt.Errorf("%s:%d: reading: %w", s.name, s.in.line, err)
	}
	return seg, err
}

// Next returns the next message, envelope segment or stretch of other text.
func (s *Source) Next(ctx context.Context) (adapters.Item, error) {
	if err := ctx.Err(); err != nil {
		return adapters.Item{}, err
	}
	seg, err := s.read(ctx)
	if err != nil {
		return adapters.Item{}, err
	}
	pos := tree.Position{Source: s.name, Line: seg.line}
	if len(bytes.TrimSpace(seg.body)) == 0 && !seg.long {
		s.at = seg
		return adapters.Item{Kind: adapters.Blank, Raw: seg.raw, Pos: pos}, nil
	}
	if kind, issues, ok := s.envelope(&seg); ok {
		if kind == adapters.Header && s.ended() {
			issues = append(issues, s.unterminated(seg.line))
		}
		s.at = seg
		return adapters.Item{Kind: kind, Issues: issues, Raw: seg.raw, Pos: pos}, nil
	}
	segs, long, err := s.collect(ctx, seg)
	if err != nil {
		return adapters.Item{}, err
	}
	s.at = segs[len(segs)-1]
	return s.message(segs, long, pos), nil
}

// collect takes the segments that belong together: up to the next message, the
// next envelope segment or the end of the frame. Lines after a message's last
// segment that are no segments are left for an item of their own; among its
// segments they are the message's, and make it unreadable.
func (s *Source) collect(ctx context.Context, first segment) (segs []segment, long bool, err error) {
	segs = []segment{first}
	size, long := len(first.raw), first.long
	stray := 0 // index of the first of the stray lines at the end; 0: none
	defer func() {
		if stray > 0 && !long {
			s.ahead = append(slices.Clone(segs[stray:]), s.ahead...)
			segs = segs[:stray]
		}
	}()
	for last := first; !last.block; {
		seg, err := s.read(ctx)
		if errors.Is(err, io.EOF) {
			return segs, long, nil
		}
		if err != nil {
			return nil, false, err
		}
		switch name := seg.name(); {
		case name == "MSH", name == "FHS", name == "BHS", name == "BTS", name == "FTS", bytes.HasPrefix(seg.body, []byte("MSH")):
			s.ahead = append([]segment{seg}, s.ahead...)
			return segs, long, nil
		case name != "":
			stray = 0
		case stray == 0 && first.name() == "MSH" && isStray(&first, &last, &seg):
			stray = len(segs)
		}
		last = seg
		size += len(seg.raw)
		if long = long || seg.long || size > s.limit || len(segs) > maxSegments; long {
			segs[len(segs)-1].end, segs[len(segs)-1].sum = seg.end, seg.sum
			continue
		}
		segs = append(segs, seg)
	}
	return segs, long, nil
}

// isStray says that a line that is no segment is no torn part of the one before
// either: it has no field separator, and the line end before it is the one that
// all segments have.
func isStray(msh, last, seg *segment) bool {
	text := bytes.TrimSpace(seg.body)
	return len(text) > 0 && len(msh.body) > 3 && bytes.IndexByte(text, msh.body[3]) < 0 && (msh.lf || !last.lf)
}

// ended says that nothing follows.
func (s *Source) ended() bool {
	if len(s.ahead) > 0 {
		return false
	}
	_, err := s.in.r.Peek(1)
	return errors.Is(err, io.EOF)
}

func (s *Source) unterminated(line int) mappings.Issue {
	return mappings.Issue{Severity: mappings.Warning, Code: "batch-unterminated", Message: "a batch has no trailer: it may have been cut",
		Pos: tree.Position{Source: s.name, Line: line}}
}

// envelope reads the segments of files and batches.
func (s *Source) envelope(seg *segment) (adapters.Kind, []mappings.Issue, bool) {
	switch seg.name() {
	case "FHS":
		s.batches = 0
		return adapters.Header, nil, true
	case "BHS":
		var issues []mappings.Issue
		if s.batch >= 0 {
			issues = append(issues, s.unterminated(seg.line))
		}
		if s.batches >= 0 {
			s.batches++
		}
		s.batch = 0
		return adapters.Header, issues, true
	case "BTS":
		n := s.batch
		s.batch = -1
		return adapters.Trailer, s.checkCount(seg, "BTS-1", "messages", n), true
	case "FTS":
		issues := s.checkCount(seg, "FTS-1", "batches", s.batches)
		if s.batch >= 0 {
			issues = append(issues, s.unterminated(seg.line))
		}
		s.batch, s.batches = -1, -1
		return adapters.Trailer, issues, true
	}
	return 0, nil, false
}

func (s *Source) checkCount(seg *segment, field, what string, have int) []mappings.Issue {
	issue := mappings.Issue{Severity: mappings.Warning, Field: field, Pos: tree.Position{Source: s.name, Line: seg.line, Path: field}}
	if have < 0 {
		issue.Code, issue.Message = "batch-unopened", "a trailer without its header"
		return []mappings.Issue{issue}
	}
	if len(seg.body) < 5 {
		return nil
	}
	text, _, _ := strings.Cut(string(seg.body[4:]), string(seg.body[3:4]))
	said, err := strconv.Atoi(strings.TrimSpace(text))
	if text == "" || err == nil && said == have {
		return nil
	}
	issue.Code, issue.Message = "batch-count", fmt.Sprintf("the trailer does not state the %d %s that there are", have, what)
	return []mappings.Issue{issue}
}

// message decodes segments into an item.
func (s *Source) message(segs []segment, long bool, pos tree.Position) adapters.Item {
	item := adapters.Item{Pos: pos}
	for i := range segs {
		item.Raw = append(item.Raw, segs[i].raw...)
	}
	if s.batch >= 0 && segs[0].name() == "MSH" {
		s.batch++
	}
	m := message{source: s.name, enc: s.charset}
	for i := range segs {
		if len(segs[i].body) > 0 {
			m.segs = append(m.segs, segs[i])
		}
	}
	if len(m.segs) == 0 {
		m.segs = segs[:1]
	}
	if s.batch >= 0 || s.batches >= 0 {
		if s.ended() {
			m.issues = append(m.issues, s.unterminated(segs[len(segs)-1].line))
		}
	}
	reject := func(line int, field, code, why string) adapters.Item {
		item.Kind = adapters.Rejected
		item.Issues = append([]mappings.Issue{{Severity: mappings.Error, Code: code, Field: field, Message: why,
			Pos: tree.Position{Source: s.name, Line: line, Path: field}}}, m.issues...)
		return item
	}
	if long {
		return reject(pos.Line, "", "too-long", fmt.Sprintf("the message is longer than %d bytes or %d segments", s.limit, maxSegments))
	}
	rec, err := m.decode(item.Raw)
	var se *SyntaxError
	if errors.As(err, &se) {
		if se.Line == 1 && se.Code == "no-msh" {
			se.Line = pos.Line
		}
		return reject(se.Line, se.Field, se.Code, fmt.Sprintf("%s (byte %d of the segment)", se.Reason, se.Offset))
	} else if err != nil {
		return reject(pos.Line, "", "unreadable", err.Error())
	}
	if !slices.Contains(s.kinds, rec.Kind) && !slices.Contains(s.kinds, mappings.AnyKind) {
		return reject(pos.Line, "MSH-9", "unsupported", fmt.Sprintf("message type %s is not mapped", strings.ReplaceAll(rec.Kind, "_", "^")))
	}
	if s.named.differs(rec.Root, segs) {
		m.warn(pos.Line, "MSH-10", "control-id-repeats", "an earlier message has the same sender and MSH-10 but another content")
	}
	item.Kind, item.Record, item.Issues = adapters.Data, rec, m.issues
	return item
}

var _ adapters.Source = (*Source)(nil)

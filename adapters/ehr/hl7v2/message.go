package hl7v2

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/handoff-health/handoff/adapters/charset"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

const (
	maxSegments = 10_000
	maxFields   = 2_000 // parts of one segment, field or component
)

// message is a message being decoded.
type message struct {
	source string
	segs   []segment
	delims delimiters
	enc    charset.Encoding
	issues []mappings.Issue
}

// Decode reads one message: segments that end in CR, LF or both. name is the
// source for positions. The error is a *SyntaxError.
func Decode(name string, raw []byte, override charset.Encoding) (*tree.Record, []mappings.Issue, error) {
	m := message{source: name, enc: override, segs: split(raw)}
	rec, err := m.decode(raw)
	return rec, m.issues, err
}

// A SyntaxError says where a message could not be read.
type SyntaxError struct {
	Line   int    // physical line in the source
	Field  string // segment or field: "MSH-2"
	Offset int    // bytes from the segment's start
	Code   string // "bad-delimiters", "bad-segment", …
	Reason string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, %s, byte %d: %s", e.Line, e.Field, e.Offset, e.Reason)
}

func (m *message) fail(seg *segment, field string, offset int, code, format string, args ...any) error {
	return &SyntaxError{Line: seg.line, Field: field, Offset: offset, Code: code, Reason: fmt.Sprintf(format, args...)}
}

func (m *message) warn(line int, field, code, format string, args ...any) {
	m.issues = append(m.issues, mappings.Issue{Severity: mappings.Warning, Code: code, Field: field, Message: fmt.Sprintf(format, args...),
		Pos: tree.Position{Source: m.source, Line: line, Path: field}})
}

func (m *message) decode(raw []byte) (*tree.Record, error) {
	if len(m.segs) == 0 || !bytes.HasPrefix(m.segs[0].body, []byte("MSH")) {
		return nil, &SyntaxError{Line: 1, Field: "MSH", Code: "no-msh", Reason: "a message begins with an MSH segment"}
	}
	if len(m.segs) > maxSegments {
		return nil, m.fail(&m.segs[0], "MSH", 0, "too-long", "more than %d segments", maxSegments)
	}
	msh := &m.segs[0]
	if err := m.readDelimiters(msh); err != nil {
		return nil, err
	}
	if err := m.findCharset(msh); err != nil {
		return nil, err
	}
	root := &tree.Node{Pos: tree.Position{Source: m.source, Line: msh.line}}
	texts, lines, err := m.texts()
	if err != nil {
		return nil, err
	}
	for i, text := range texts {
		node, err := m.segment(text, lines[i])
		if err != nil {
			return nil, err
		}
		root.Children = append(root.Children, node)
	}
	kind, err := m.kind(root, msh)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	return &tree.Record{Kind: kind, Root: root, Raw: raw, SHA256: hex.EncodeToString(sum[:]), Pos: root.Pos}, nil
}

// readDelimiters takes the field separator from MSH-1 and the others from MSH-2.
func (m *message) readDelimiters(msh *segment) error {
	b := msh.body
	if len(b) < 5 {
		return m.fail(msh, "MSH-1", len(b), "bad-delimiters", "the segment ends before MSH-2")
	}
	sep := b[3]
	if !isDelimiter(sep) {
		return m.fail(msh, "MSH-1", 3, "bad-delimiters", "the field separator is a letter, digit, blank or control character")
	}
	chars := b[4:]
	if i := bytes.IndexByte(chars, sep); i >= 0 {
		chars = chars[:i]
	}
	if string(chars) == `^~\\&` {
		// The escape character doubled by a sender's program text.
		chars = []byte(`^~\&`)
		m.warn(msh.line, "MSH-2", "encoding-characters", "MSH-2 has a doubled escape character; the standard ones stand in")
	}
	d := delimiters{field: sep, component: '^', repetition: '~', escape: '\\', sub: '&'}
	for i, to := range []*byte{&d.component, &d.repetition, &d.escape, &d.sub, &d.truncation} {
		if i >= len(chars) {
			if i < 4 { // the default, unless another delimiter has taken it
				if bytes.IndexByte(append([]byte{sep}, chars...), *to) >= 0 {
					*to = 0
				}
			}
			continue
		}
		if !isDelimiter(chars[i]) || chars[i] == sep || bytes.IndexByte(chars[:i], chars[i]) >= 0 {
			return m.fail(msh, "MSH-2", 4+i, "bad-delimiters", "encoding character %d is no delimiter or is used twice", i+1)
		}
		*to = chars[i]
	}
	if len(chars) < 4 {
		m.warn(msh.line, "MSH-2", "encoding-characters", "MSH-2 has %d of 4 characters; the standard ones stand in", len(chars))
	} else if len(chars) > 5 {
		return m.fail(msh, "MSH-2", 9, "bad-delimiters", "MSH-2 has more than five characters")
	}
	m.delims = d
	return nil
}

func isDelimiter(c byte) bool {
	return c > ' ' && c < 0x7F && c != '"' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
}

// findCharset decides on the encoding: the configured one, else MSH-18, else
// what the bytes look like.
func (m *message) findCharset(msh *segment) error {
	if m.enc.Decided() && !m.enc.SingleByte() {
		return nil
	}
	if m.enc.Decided() {
		seen := new(charset.Sniffer)
		for i := range m.segs {
			_, _ = seen.Write(m.segs[i].body)
		}
		if seen.UTF8(true) {
			m.warn(msh.line, "MSH-18", "charset-overruled", "the configuration says %s, but the message is valid UTF-8 throughout and was read as that", m.enc)
			m.enc = charset.UTF8
		}
		return nil
	}
	stated := ""
	if parts := bytes.SplitN(msh.body, []byte{m.delims.field}, 19); len(parts) > 17 {
		stated = chosen(splitBy(string(parts[17]), m.delims.repetition))
	}
	sniff := new(charset.Sniffer)
	for i := range m.segs {
		_, _ = sniff.Write(m.segs[i].body)
	}
	seen := sniff.Guess(true)
	m.enc = charset.UTF8
	if stated == "" || stated == `""` || strings.EqualFold(stated, "ASCII") {
		if seen.Decided() {
			m.enc = narrow(seen)
			m.warn(msh.line, "MSH-18", "charset-undeclared", "the message has bytes beyond ASCII, which MSH-18 does not announce; they were read as %s", m.enc)
		}
		return nil
	}
	enc, err := charset.Lookup(stated)
	switch {
	case err != nil && !seen.Decided():
		m.warn(msh.line, "MSH-18", "unknown-charset", "MSH-18 names a character set that is not known; the message is plain ASCII")
	case err != nil:
		m.enc = narrow(seen)
		m.warn(msh.line, "MSH-18", "unknown-charset", "MSH-18 names a character set that is not known; the message was read as %s, which its bytes look like", m.enc)
	case enc.Wide():
		m.enc = narrow(seen)
		m.warn(msh.line, "MSH-18", "charset-mismatch", "MSH-18 says UTF-16 but the message has one byte a character; it was read as %s", m.enc)
	default:
		m.enc = enc
	}
	return nil
}

// chosen is the set of MSH-18 to read by: the first, which is the default, unless
// that is ASCII or one of those that escape sequences switch to (ISO IR87).
func chosen(sets []string) string {
	stated := strings.TrimSpace(sets[0])
	if stated != "" && !strings.EqualFold(stated, "ASCII") && !strings.EqualFold(stated, "ISO IR6") {
		return stated
	}
	for _, s := range sets[1:] {
		if s = strings.TrimSpace(s); strings.HasPrefix(strings.ToUpper(s), "ISO IR") {
			return s
		}
	}
	return stated
}

func narrow(e charset.Encoding) charset.Encoding {
	if e.Wide() || !e.Decided() {
		return charset.UTF8
	}
	return e
}

// texts decodes the segments and joins those that a line feed inside a field
// has torn apart, where all other segments end in CR.
func (m *message) texts() ([]string, []int, error) {
	var texts []string
	var lines []int
	for i := range m.segs {
		seg := &m.segs[i]
		text, ok := m.enc.Decode(seg.body)
		if !ok && m.enc == charset.UTF8 {
			text, _ = charset.Windows1252.Decode(seg.body)
			m.warn(seg.line, seg.name(), "charset-mismatch", "the segment is not valid UTF-8; it was read as Windows-1252")
		} else if !ok {
			m.warn(seg.line, seg.name(), "undefined-byte", "the segment has bytes that mean nothing in %s", m.enc)
		}
		if name := seg.name(); name == "" || len(seg.body) > 3 && seg.body[3] != m.delims.field {
			if i > 0 && m.segs[i-1].lf && !m.segs[0].lf {
				texts[len(texts)-1] += "\n" + text
				m.warn(seg.line, texts[len(texts)-1][:3], "line-break-in-field", "a line feed inside a field was kept as text")
				continue
			}
			return nil, nil, m.fail(seg, fmt.Sprintf("segment %d", i+1), 0, "bad-segment", "this is no segment: it does not begin with a name and the field separator")
		}
		texts, lines = append(texts, text), append(lines, seg.line)
	}
	return texts, lines, nil
}

// kind is the message type as mappings know it: "ADT_A01".
func (m *message) kind(root *tree.Node, seg *segment) (string, error) {
	t := root.Children[0].First("9")
	code, trigger := t.Part("1").Value(), t.Part("2").Value()
	if evn := root.First("EVN").First("1").Value(); trigger == "" && isTrigger(evn) {
		trigger = evn // before 2.2 MSH-9 had the type alone (2.1 section 2.4.3)
	}
	for _, s := range []string{code, trigger} {
		for i := range len(s) {
			if c := s[i]; !isName(c) && c != '_' {
				return "", m.fail(seg, "MSH-9", 0, "bad-message-type", "MSH-9 is not a message type")
			}
		}
	}
	if code == "" {
		return "", m.fail(seg, "MSH-9", 0, "no-message-type", "MSH-9 is empty")
	}
	if trigger == "" {
		return code, nil
	}
	return code + "_" + trigger, nil
}

// isTrigger says whether s has the form of an event: A01.
func isTrigger(s string) bool {
	return len(s) == 3 && s[0] >= 'A' && isName(s[0]) && isName(s[1]) && isName(s[2])
}

// segment parses one segment's text.
func (m *message) segment(text string, line int) (*tree.Node, error) {
	name := text[:3]
	node := &tree.Node{Name: name, Pos: tree.Position{Source: m.source, Line: line, Path: name}}
	rest := ""
	if len(text) > 4 {
		rest = text[4:]
	}
	number := 1
	if name == "MSH" {
		chars, after, _ := strings.Cut(rest, string(rune(m.delims.field)))
		m.add(node, "1", string(rune(m.delims.field)), line, name+"-1")
		m.add(node, "2", chars, line, name+"-2")
		number, rest = 3, after
	}
	fields := strings.Split(rest, string(rune(m.delims.field)))
	if len(fields) > maxFields {
		return nil, &SyntaxError{Line: line, Field: name, Code: "too-long", Reason: fmt.Sprintf("more than %d fields", maxFields)}
	}
	for i, f := range fields {
		if f == "" {
			continue
		}
		n := strconv.Itoa(number + i)
		if err := m.field(node, n, f, line, name+"-"+n); err != nil {
			return nil, err
		}
	}
	return node, nil
}

func (m *message) add(to *tree.Node, name, text string, line int, path string) *tree.Node {
	n := &tree.Node{Name: name, Text: text, Pos: tree.Position{Source: m.source, Line: line, Path: path}}
	to.Children = append(to.Children, n)
	return n
}

func (m *message) field(to *tree.Node, name, text string, line int, path string) error {
	reps := splitBy(text, m.delims.repetition)
	if len(reps) > maxFields {
		return &SyntaxError{Line: line, Field: path, Code: "too-long", Reason: fmt.Sprintf("more than %d repetitions", maxFields)}
	}
	for i, rep := range reps {
		p := path
		if i > 0 {
			p = fmt.Sprintf("%s[%d]", path, i+1)
		}
		n := m.add(to, name, "", line, p)
		if err := m.parts(n, rep, line, []byte{m.delims.component, m.delims.sub}); err != nil {
			return err
		}
	}
	return nil
}

// parts splits a value by the first separator that it has, and its parts by the
// next; a value without any is a leaf.
func (m *message) parts(n *tree.Node, text string, line int, seps []byte) error {
	for len(seps) > 0 && (seps[0] == 0 || strings.IndexByte(text, seps[0]) < 0) {
		// A field with sub-components but one component keeps that level.
		if len(seps) == 2 && seps[1] != 0 && strings.IndexByte(text, seps[1]) >= 0 {
			return m.parts(m.add(n, "1", "", line, n.Pos.Path+".1"), text, line, seps[1:])
		}
		seps = seps[1:]
	}
	if len(seps) == 0 {
		m.leaf(n, text, line)
		return nil
	}
	parts := splitBy(text, seps[0])
	if len(parts) > maxFields {
		return &SyntaxError{Line: line, Field: n.Pos.Path, Code: "too-long", Reason: fmt.Sprintf("more than %d components", maxFields)}
	}
	for i, part := range parts {
		if part == "" {
			continue
		}
		name := strconv.Itoa(i + 1)
		if err := m.parts(m.add(n, name, "", line, n.Pos.Path+"."+name), part, line, seps[1:]); err != nil {
			return err
		}
	}
	return nil
}

func (m *message) leaf(n *tree.Node, text string, line int) {
	if text == `""` {
		n.Null = true
		return
	}
	var ok, switched bool
	if n.Text, ok, switched = m.delims.unescape(text, m.enc); !ok {
		m.warn(line, n.Pos.Path, "unknown-escape", "an escape sequence is not known or not ended; it was kept as text")
	}
	if switched {
		m.warn(line, n.Pos.Path, "charset-switch", "the value switches to another character set, which is not followed: what comes after was read as %s", m.enc)
	}
	clean := strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7F {
			return '\uFFFD'
		}
		return r
	}, n.Text)
	if clean != n.Text {
		n.Text = clean
		m.warn(line, n.Pos.Path, "control-character", "a control character was replaced by U+FFFD")
	}
}

func splitBy(s string, sep byte) []string {
	if sep == 0 || strings.IndexByte(s, sep) < 0 {
		return []string{s}
	}
	return strings.Split(s, string(rune(sep)))
}

package resource

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits on what is parsed. They bound memory before a byte is interpreted.
const (
	// MaxBytes is the largest document in bytes that Parse accepts.
	MaxBytes = 64 << 20
	// MaxDepth is the deepest nesting of objects and arrays accepted. The
	// deepest official R4 example has 23 levels.
	MaxDepth = 64
)

// A SyntaxError says where a document could not be read and why.
type SyntaxError struct {
	Offset       int64 // bytes from the start of the document
	Line, Column int   // both from 1; the column counts bytes
	Pointer      string
	Reason       string
}

func (e *SyntaxError) Error() string {
	if e.Pointer != "" {
		return fmt.Sprintf("%d:%d: at %s: %s", e.Line, e.Column, e.Pointer, e.Reason)
	}
	return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Reason)
}

// A Document is one strictly read JSON value with an index of its elements.
// It is immutable after Parse and safe for concurrent readers.
type Document struct {
	raw     []byte
	nodes   []entry
	escapes bool // there may be a backslash
	wide    bool // there may be a byte beyond ASCII
}

// entry is one JSON value; children follow their parent directly.
type entry struct {
	start, end uint32 // the value's bytes
	key        uint32 // where the member's name starts, if named
	next       uint32 // index of the entry after this value's subtree
	parent     uint32 // index of the value that this one stands in; the root's is its own
	nameLen    uint16 // of a name without escapes: its length in bytes
	kind       Kind
	named      bool
	escaped    bool // a string that has a backslash
	escapedKey bool // the name has a backslash, or is longer than maxName
}

// maxName is the longest name whose length an entry keeps.
const maxName = 1<<16 - 1

// ParseDocument reads any JSON value strictly.
func ParseDocument(raw []byte) (*Document, error) {
	d := new(Document)
	if err := d.Reset(raw); err != nil {
		return nil, err
	}
	return d, nil
}

var decoders = sync.Pool{New: func() any { return &decoder{dec: jsontext.NewDecoder(bytes.NewBuffer(nil))} }}

type decoder struct {
	dec  *jsontext.Decoder
	buf  bytes.Buffer
	open []uint32
}

// Reset parses raw into d, reusing d's memory. Nodes of the former content
// become invalid. On error d is empty.
func (d *Document) Reset(raw []byte) error {
	d.raw, d.nodes = raw, d.nodes[:0]
	if len(raw) > MaxBytes {
		d.raw = nil
		return &SyntaxError{Line: 1, Column: 1, Reason: fmt.Sprintf("document of %d bytes is larger than %d", len(raw), MaxBytes)}
	}
	if d.nodes == nil {
		d.nodes = make([]entry, 0, len(raw)/16+8)
	}
	if d.scan() {
		return nil
	}
	d.escapes, d.wide = true, true
	if err := d.decode(); err != nil {
		d.raw, d.nodes = nil, d.nodes[:0]
		return err
	}
	return nil
}

// decode indexes d.raw by jsontext, which knows why a document cannot be read.
func (d *Document) decode() error {
	p, _ := decoders.Get().(*decoder)
	defer func() {
		p.buf = bytes.Buffer{}
		p.dec.Reset(&p.buf)
		decoders.Put(p)
	}()
	return d.index(p)
}

// index reads raw token by token and notes each value's place.
func (d *Document) index(p *decoder) error {
	p.buf = *bytes.NewBuffer(d.raw)
	p.dec.Reset(&p.buf)
	p.open = p.open[:0]
	var (
		pos   int
		name  uint32
		named bool
		plain uint16 // length of the name, if it has no escape
		odd   bool
	)
	for {
		tok, err := p.dec.ReadToken()
		if err != nil {
			if errors.Is(err, io.EOF) && len(p.open) == 0 && len(d.nodes) > 0 {
				return nil
			}
			return d.syntaxError(p.dec, err)
		}
		start, end := d.skip(pos), int(p.dec.InputOffset())
		pos = end
		k := tok.Kind()
		switch k {
		case '}', ']':
			i := p.open[len(p.open)-1]
			p.open = p.open[:len(p.open)-1]
			d.nodes[i].end, d.nodes[i].next = uint32(end), uint32(len(d.nodes))
			continue
		case '"':
			if !named && len(p.open) > 0 && d.nodes[p.open[len(p.open)-1]].kind == Object {
				name, named = uint32(start), true
				n := end - start - 2
				odd = n > maxName || bytes.IndexByte(d.raw[start:end], '\\') >= 0
				plain = uint16(min(n, maxName))
				continue
			}
		}
		if len(p.open) == 0 && len(d.nodes) > 0 {
			return d.errorAt(int64(start), "", "more than one value in the document")
		}
		e := entry{start: uint32(start), end: uint32(end), kind: kindOf(k), named: named}
		if len(p.open) > 0 {
			e.parent = p.open[len(p.open)-1]
		}
		if named {
			e.key, e.nameLen, e.escapedKey = name, plain, odd
		}
		if e.kind == String {
			e.escaped = bytes.IndexByte(d.raw[start:end], '\\') >= 0
		}
		named = false
		d.nodes = append(d.nodes, e)
		i := uint32(len(d.nodes) - 1)
		d.nodes[i].next = i + 1
		if k == '{' || k == '[' {
			if len(p.open) >= MaxDepth {
				return d.errorAt(int64(start), string(p.dec.StackPointer()), fmt.Sprintf("nested deeper than %d levels", MaxDepth))
			}
			p.open = append(p.open, i)
		}
	}
}

// skip returns the offset of the token that starts at or after pos.
func (d *Document) skip(pos int) int {
	for pos < len(d.raw) {
		switch d.raw[pos] {
		case ' ', '\t', '\n', '\r', ',', ':':
			pos++
		default:
			return pos
		}
	}
	return pos
}

func (d *Document) syntaxError(dec *jsontext.Decoder, err error) error {
	var se *jsontext.SyntacticError
	if errors.As(err, &se) {
		reason := se.Err.Error()
		if errors.Is(se.Err, io.ErrUnexpectedEOF) {
			reason = "the document ends in the middle of a value"
		}
		return d.errorAt(se.ByteOffset, string(se.JSONPointer), reason)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		reason := "the document ends in the middle of a value"
		if len(bytes.TrimSpace(d.raw)) == 0 {
			reason = "the document is empty"
		}
		return d.errorAt(int64(len(d.raw)), "", reason)
	}
	return d.errorAt(dec.InputOffset(), string(dec.StackPointer()), err.Error())
}

func (d *Document) errorAt(offset int64, pointer, reason string) error {
	offset = min(offset, int64(len(d.raw)))
	before := d.raw[:offset]
	line := 1 + bytes.Count(before, []byte{'\n'})
	column := int(offset) - bytes.LastIndexByte(before, '\n')
	return &SyntaxError{Offset: offset, Line: line, Column: column, Pointer: pointer, Reason: reason}
}

// Raw returns the document's bytes. The caller must not change them.
func (d *Document) Raw() []byte { return d.raw }

// Len returns the number of values in the document, those inside others included.
func (d *Document) Len() int { return len(d.nodes) }

// At returns the i-th value in document order; the first is [Document.Root].
func (d *Document) At(i int) Node { return Node{d, uint32(i)} }

// Escapes says whether there may be a backslash in the document.
func (d *Document) Escapes() bool { return d.escapes }

// Wide says whether there may be a character beyond ASCII, unescaped.
func (d *Document) Wide() bool { return d.wide }

// Root returns the document's top value.
func (d *Document) Root() Node {
	if len(d.nodes) == 0 {
		return Node{}
	}
	return Node{d, 0}
}

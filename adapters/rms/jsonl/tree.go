package jsonl

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/handoff-health/handoff/mappings/tree"
)

// A fault is why a value is no record.
type fault struct {
	code, message string
	at            tree.Position
}

// Parse reads one JSON object into a tree. pos is where raw begins. Positions in
// the tree have line, column and path ("/data/person/dob"; of an array's second
// item "/data/charges[2]"). The error is a fault with its place.
func Parse(raw []byte, pos tree.Position) (*tree.Node, error) {
	p := &reader{raw: raw, dec: jsontext.NewDecoder(bytes.NewReader(raw)), pos: pos, line: pos.Line, col: pos.Column}
	if p.col == 0 {
		p.col = 1
	}
	root := &tree.Node{Pos: pos}
	if p.dec.PeekKind() != '{' {
		if _, err := p.dec.ReadValue(); err != nil && !errors.Is(err, io.EOF) {
			return nil, p.fault(err)
		}
		return nil, &fault{"not-an-object", "a record is a JSON object", pos}
	}
	if err := p.object(root, "", 0); err != nil {
		return nil, err
	}
	if _, err := p.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, &fault{"syntax", "something stands behind the record", p.place(p.dec.InputOffset(), "")}
	}
	return root, nil
}

func (f *fault) Error() string { return f.message }

// A reader builds a tree from one value.
type reader struct {
	raw  []byte
	dec  *jsontext.Decoder
	pos  tree.Position
	at   int64 // offset whose line and column are known
	line int
	col  int
}

// place is the position of the first byte of the value at or behind off.
func (p *reader) place(off int64, path string) tree.Position {
	for off < int64(len(p.raw)) && bytes.IndexByte([]byte(" \t\r\n:,"), p.raw[off]) >= 0 {
		off++
	}
	for ; p.at < off && p.at < int64(len(p.raw)); p.at++ {
		if p.raw[p.at] == '\n' {
			p.line, p.col = p.line+1, 1
		} else {
			p.col++
		}
	}
	return tree.Position{Source: p.pos.Source, Line: p.line, Column: p.col, Path: path}
}

// object reads the members of an object into n.
func (p *reader) object(n *tree.Node, path string, depth int) error {
	if _, err := p.dec.ReadToken(); err != nil {
		return p.fault(err)
	}
	for p.dec.PeekKind() != '}' {
		name, err := p.dec.ReadToken()
		if err != nil {
			return p.fault(err)
		}
		member := name.String()
		if err := p.value(n, member, path+"/"+member, depth+1); err != nil {
			return err
		}
	}
	_, err := p.dec.ReadToken()
	return p.fault(err)
}

// value reads what a member holds and adds a child for it, or one for each item.
func (p *reader) value(n *tree.Node, name, path string, depth int) error {
	at := p.place(p.dec.InputOffset(), path)
	if depth > nested {
		return &fault{"too-deep", fmt.Sprintf("values lie in each other more than %d deep", nested), at}
	}
	switch p.dec.PeekKind() {
	case '{':
		child := &tree.Node{Name: name, Pos: at}
		n.Children = append(n.Children, child)
		return p.object(child, path, depth)
	case '[':
		return p.array(n, name, path, depth)
	}
	t, err := p.dec.ReadToken()
	if err != nil {
		return p.fault(err)
	}
	if t.Kind() != 'n' {
		n.Children = append(n.Children, &tree.Node{Name: name, Text: t.String(), Pos: at})
	}
	return nil
}

// array adds a child for each item. An item that is an array itself is a child
// with children called item.
func (p *reader) array(n *tree.Node, name, path string, depth int) error {
	if _, err := p.dec.ReadToken(); err != nil {
		return p.fault(err)
	}
	for i := 1; p.dec.PeekKind() != ']'; i++ {
		here := fmt.Sprintf("%s[%d]", path, i)
		var err error
		if p.dec.PeekKind() == '[' {
			child := &tree.Node{Name: name, Pos: p.place(p.dec.InputOffset(), here)}
			n.Children = append(n.Children, child)
			err = p.value(child, "item", here+"/item", depth+1)
		} else {
			err = p.value(n, name, here, depth+1)
		}
		if err != nil {
			return err
		}
	}
	_, err := p.dec.ReadToken()
	return p.fault(err)
}

// fault says what is wrong without quoting the record.
func (p *reader) fault(err error) error {
	if err == nil {
		return nil
	}
	f := &fault{code: "syntax", message: "the record is not JSON"}
	off := p.dec.InputOffset()
	var se *jsontext.SyntacticError
	if errors.As(err, &se) {
		off = se.ByteOffset
	}
	f.at = p.place(off, string(p.dec.StackPointer()))
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		f.code, f.message = "duplicate-name", "an object has two members of one name: which one counts is not known"
	case errors.Is(err, jsontext.ErrNonStringName):
		f.message = "the name of a member is not in quotes"
	case errors.Is(err, io.ErrUnexpectedEOF):
		f.code, f.message = "truncated", "the input ends inside a value"
	}
	return f
}

package tree

import "fmt"

// A Position is a place in a source: file, line and column from 1, or a
// format's own address (an HL7 field "PID-5.1").
type Position struct {
	Source string // file name or connection
	Line   int    // 0: unknown
	Column int    // for delimited files: the field's number
	Path   string // the format's own address: "DOB", "PID-5.1", "/Incident/Person[2]"
}

func (p Position) String() string {
	s := p.Source
	if p.Line > 0 {
		s = fmt.Sprintf("%s:%d", s, p.Line)
		if p.Column > 0 {
			s = fmt.Sprintf("%s:%d", s, p.Column)
		}
	}
	if p.Path != "" {
		s += " " + p.Path
	}
	return s
}

// A Node is a field of a record: text, children, or both. Children keep the
// input's order; several with one name are repetitions.
type Node struct {
	Name     string
	Text     string
	Null     bool // present and explicitly emptied (HL7 v2 `""`)
	Pos      Position
	Children []*Node
}

// A Record is one source record.
type Record struct {
	Kind   string // the format's record type: "contact", "ADT_A01"
	Root   *Node
	Raw    []byte // the bytes it was decoded from
	SHA256 string // of Raw, hex
	Pos    Position
}

// All returns the children of this name, in order.
func (n *Node) All(name string) []*Node {
	if n == nil {
		return nil
	}
	var out []*Node
	for _, c := range n.Children {
		if c.Name == name {
			out = append(out, c)
		}
	}
	return out
}

// First returns the first child of this name, or nil.
func (n *Node) First(name string) *Node {
	if n == nil {
		return nil
	}
	for _, c := range n.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Value returns the node's text; "" for nil.
func (n *Node) Value() string {
	if n == nil {
		return ""
	}
	return n.Text
}

// Part is the child named name; if n has no children at all and name is "1", it
// is n itself. HL7 v2 defines a lone component or sub-component to be the same
// as its parent (2.5.1 section 2.10), so readers need not know which was sent.
func (n *Node) Part(name string) *Node {
	if n == nil {
		return nil
	}
	if len(n.Children) == 0 && name == "1" {
		return n
	}
	return n.First(name)
}

// Empty says that the node and all below it hold no text and no explicit null.
func (n *Node) Empty() bool {
	if n == nil {
		return true
	}
	if n.Text != "" || n.Null {
		return false
	}
	for _, c := range n.Children {
		if !c.Empty() {
			return false
		}
	}
	return true
}

package resource

import (
	"iter"
	"strings"
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"
)

// A Kind is the kind of a JSON value. Its zero value means absent.
type Kind uint8

// The kinds of JSON values.
const (
	Absent Kind = iota
	Object
	Array
	String
	Number
	True
	False
	Null
)

func kindOf(k jsontext.Kind) Kind {
	switch k {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case '0':
		return Number
	case 't':
		return True
	case 'f':
		return False
	}
	return Null
}

// A Node is one value of a document. The zero Node is an absent value: every
// method may be called on it and answers emptily, so that a chain such as
// n.Get("code").Get("text") needs no checks.
type Node struct {
	d *Document
	i uint32
}

func (n Node) at() *entry { return &n.d.nodes[n.i] }

// Exists says whether the value is present (a JSON null is present).
func (n Node) Exists() bool { return n.d != nil }

// Kind returns the value's kind, Absent for the zero Node.
func (n Node) Kind() Kind {
	if n.d == nil {
		return Absent
	}
	return n.at().kind
}

// Raw returns the value's bytes as they came; nil for an absent value.
func (n Node) Raw() []byte {
	if n.d == nil {
		return nil
	}
	e := n.at()
	return n.d.raw[e.start:e.end]
}

// Span returns where the value's bytes start and end in the document.
func (n Node) Span() (start, end int) {
	if n.d == nil {
		return 0, 0
	}
	e := n.at()
	return int(e.start), int(e.end)
}

// Name returns the member's name; "" if the value is not an object's member.
func (n Node) Name() string {
	if n.d == nil || !n.at().named {
		return ""
	}
	if e := n.at(); !e.escapedKey {
		return string(n.d.raw[e.key+1 : int(e.key)+1+int(e.nameLen)])
	}
	return unquote(n.rawName())
}

func (n Node) rawName() []byte {
	e := n.at()
	if !e.escapedKey {
		return n.d.raw[e.key : int(e.key)+2+int(e.nameLen)]
	}
	return rawName(n.d.raw[e.key:])
}

// rawName returns the string that raw starts with.
func rawName(raw []byte) []byte {
	for i := 1; i < len(raw); i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return raw[:i+1]
		}
	}
	return nil
}

// mayBe compares as much of a name as can be compared at a glance.
func (e *entry) mayBe(name string) bool {
	return e.named && (int(e.nameLen) == len(name) || e.escapedKey)
}

// nameIs compares the member's name without allocating.
func (e *entry) nameIs(raw []byte, name string) bool {
	if int(e.nameLen) == len(name) && !e.escapedKey {
		return string(raw[e.key+1:int(e.key)+1+len(name)]) == name
	}
	return e.escapedKey && unquote(rawName(raw[e.key:])) == name
}

// Get returns the object's member with exactly this name, or an absent Node.
func (n Node) Get(name string) Node {
	if n.d == nil {
		return Node{}
	}
	nodes := n.d.nodes
	e := &nodes[n.i]
	if e.kind != Object {
		return Node{}
	}
	for i := n.i + 1; i < e.next; {
		c := &nodes[i]
		if c.mayBe(name) && c.nameIs(n.d.raw, name) {
			return Node{n.d, i}
		}
		i = c.next
	}
	return Node{}
}

// Path follows names from member to member: n.Path("period", "start").
func (n Node) Path(names ...string) Node {
	for _, name := range names {
		n = n.Get(name)
	}
	return n
}

// Members yields the object's members in document order.
func (n Node) Members() iter.Seq[Node] {
	return func(yield func(Node) bool) {
		if n.Kind() == Object {
			n.children(yield)
		}
	}
}

// Elements yields an array's elements; a value that is no array yields itself,
// an absent one nothing. FHIR's repeating and single elements read alike.
func (n Node) Elements() iter.Seq[Node] {
	return func(yield func(Node) bool) {
		switch n.Kind() {
		case Absent:
		case Array:
			n.children(yield)
		default:
			yield(n)
		}
	}
}

// All yields the elements of the member with this name: n.All("coding").
func (n Node) All(name string) iter.Seq[Node] { return n.Get(name).Elements() }

func (n Node) children(yield func(Node) bool) {
	end := n.at().next
	for i := n.i + 1; i < end; i = n.d.nodes[i].next {
		if !yield(Node{n.d, i}) {
			return
		}
	}
}

// Named yields the members of this name anywhere below n, in document order, the
// inside of left apart. It looks at names alone, and so is quicker than to
// descend and ask every object for its member.
func (n Node) Named(name string, left Node) iter.Seq[Node] {
	return func(yield func(Node) bool) {
		if n.d == nil {
			return
		}
		nodes, raw := n.d.nodes[:n.d.nodes[n.i].next], n.d.raw
		skip := n.i // which is not among those below
		if left.d == n.d {
			skip = left.i
		}
		for i := n.i + 1; i < uint32(len(nodes)); i++ {
			e := &nodes[i]
			if i == skip {
				i = e.next - 1
				continue
			}
			if !e.mayBe(name) || !e.nameIs(raw, name) {
				continue
			}
			if !yield(Node{n.d, i}) {
				return
			}
		}
	}
}

// NameLen returns the length of the member's name in bytes, 0 for a value that
// has none. exact is false if the name is written so that only [Node.Called]
// knows.
func (n Node) NameLen() (length int, exact bool) {
	if n.d == nil {
		return 0, true
	}
	e := &n.d.nodes[n.i]
	return int(e.nameLen), !e.escapedKey
}

// Parent returns the object or array that the value stands in, an absent Node
// for the document's top value.
func (n Node) Parent() Node {
	if n.d == nil || n.i == 0 {
		return Node{}
	}
	return Node{n.d, n.at().parent}
}

// Called says whether the value is a member of this name, without allocating.
func (n Node) Called(name string) bool {
	return n.d != nil && n.d.nodes[n.i].mayBe(name) && n.d.nodes[n.i].nameIs(n.d.raw, name)
}

// Descend calls visit for n and everything below it, depth first. When visit
// returns false the value's inside is left out.
func (n Node) Descend(visit func(Node) bool) {
	if n.d == nil {
		return
	}
	end := n.at().next
	for i := n.i; i < end; {
		if visit(Node{n.d, i}) {
			i++
		} else {
			i = n.d.nodes[i].next
		}
	}
}

// Len returns the number of members or elements.
func (n Node) Len() int {
	c := 0
	if k := n.Kind(); k == Object || k == Array {
		n.children(func(Node) bool { c++; return true })
	}
	return c
}

// Text returns a string's value, unescaped; "" for any other kind.
func (n Node) Text() string {
	if n.Kind() != String {
		return ""
	}
	if !n.at().escaped {
		raw := n.Raw()
		return string(raw[1 : len(raw)-1])
	}
	return unquote(n.Raw())
}

// Bytes returns a string's value as it stands in the document; ok is false for
// any other kind and for a string with an escape. The caller must not change it.
func (n Node) Bytes() (text []byte, ok bool) {
	if n.Kind() != String || n.at().escaped {
		return nil, false
	}
	raw := n.Raw()
	return raw[1 : len(raw)-1], true
}

// View returns a string's value like Text, and without allocating unless it has
// an escape: the string is a view of the document's bytes, and so is good only
// for as long as they do not change. Compare it, look it up, pass it down; what
// is kept is made by Text.
func (n Node) View() string {
	text, ok := n.Bytes()
	if !ok {
		return n.Text()
	}
	return unsafe.String(unsafe.SliceData(text), len(text)) //nolint:gosec // text is not written to while the document is in use
}

// Is says whether the value is the string s, without allocating.
func (n Node) Is(s string) bool {
	if n.Kind() != String {
		return false
	}
	if !n.at().escaped {
		raw := n.Raw()
		return string(raw[1:len(raw)-1]) == s
	}
	return unquote(n.Raw()) == s
}

// Bool returns the value of a JSON boolean; ok is false for any other kind.
func (n Node) Bool() (value, ok bool) {
	k := n.Kind()
	return k == True, k == True || k == False
}

func unquote(q []byte) string {
	b, err := jsontext.AppendUnquote(nil, q)
	if err != nil {
		return strings.Trim(string(q), `"`)
	}
	return string(b)
}

// Quote returns s as a JSON string.
func Quote(s string) []byte { return AppendQuote(nil, s) }

// AppendQuote appends s as a JSON string.
func AppendQuote(dst []byte, s string) []byte {
	b, err := jsontext.AppendQuote(dst, s)
	if err != nil { // s is not UTF-8: what is invalid becomes U+FFFD
		b, _ = jsontext.AppendQuote(dst, strings.ToValidUTF8(s, "\uFFFD"))
	}
	return b
}

package ndex

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"sort"
	"strings"

	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

// An element is one element of a report.
type element struct {
	family family
	local  string
	uri    string // of its namespace
	text   string
	attrs  []attribute
	parent *element
	kids   []*element
	pos    tree.Position
	at     [2]int // its bytes in the document
	used   bool   // something of the record was made from it
}

type attribute struct {
	family      family
	local, text string
}

// attr returns an attribute of a family.
func (e *element) attr(f family, local string) string {
	if e == nil {
		return ""
	}
	for _, a := range e.attrs {
		if a.family == f && a.local == local {
			return a.text
		}
	}
	return ""
}

// all returns the children of one name, of any family that is read.
func (e *element) all(local string) []*element {
	if e == nil {
		return nil
	}
	var out []*element
	for _, k := range e.kids {
		if k.local == local && k.family != foreign {
			out = append(out, k)
		}
	}
	return out
}

// first walks down by names; nil if there is none.
func (e *element) first(path ...string) *element {
	for _, local := range path {
		var next *element
		if e != nil {
			for _, k := range e.kids {
				if k.local == local && k.family != foreign {
					next = k
					break
				}
			}
		}
		if e = next; e == nil {
			return nil
		}
	}
	return e
}

// value is the text of an element that is read here, and marks it as used.
func (e *element) value() string {
	if e == nil {
		return ""
	}
	e.used = true
	return strings.TrimSpace(e.text)
}

// get is the text at a path of names below e.
func (e *element) get(path ...string) string { return e.first(path...).value() }

// under returns all elements of a name below e, e not among them, in order.
func (e *element) under(local string) []*element {
	var out []*element
	e.walk(func(k *element) bool {
		if k != e && k.local == local && k.family != foreign {
			out = append(out, k)
		}
		return true
	})
	return out
}

// walk visits e and what is below it, not below an element for which visit says
// no.
func (e *element) walk(visit func(*element) bool) {
	if e == nil || !visit(e) {
		return
	}
	for _, k := range e.kids {
		k.walk(visit)
	}
}

// use marks an element and all below it as used.
func (e *element) use() {
	e.walk(func(k *element) bool { k.used = true; return true })
}

// A document is a report with what is around it: the start tags of its
// containers, what they say of it, the report, the end tags.
type document struct {
	text   []byte
	before int // bytes before the report
	origin tree.Position
	lines  []int // where lines begin in text from before on
}

// position of a byte of the document: in the input, if it is one of the report.
func (d *document) position(at int) tree.Position {
	p := d.origin
	if at <= d.before {
		return p
	}
	n := sort.SearchInts(d.lines, at+1) - 1
	if n < 0 {
		p.Column += len([]rune(string(d.text[d.before:at])))
		return p
	}
	p.Line += n + 1
	p.Column = 1 + len([]rune(string(d.text[d.lines[n]:at])))
	return p
}

func newDocument(open []container, report []byte, origin tree.Position) *document {
	d := &document{origin: origin}
	for i := range open {
		d.text = append(append(d.text, open[i].tag...), open[i].context...)
	}
	d.before = len(d.text)
	d.text = append(d.text, report...)
	for i := d.before; i < len(d.text); i++ {
		if d.text[i] == '\n' {
			d.lines = append(d.lines, i+1)
		}
	}
	for i := len(open) - 1; i >= 0; i-- {
		d.text = append(append(append(d.text, "</"...), open[i].name...), '>')
	}
	return d
}

const (
	maxElements   = 200_000
	xmlNamespace  = "http://www.w3.org/XML/1998/namespace"
	maxAttributes = 200
)

// parse reads the document. The fault names the place and the reason.
func (d *document) parse() (*element, *mappings.Issue) {
	dec := xml.NewDecoder(bytes.NewReader(d.text))
	dec.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // the text is UTF-8 already
	p := parser{d: d, dec: dec, declared: map[string]bool{xmlNamespace: true, "": true}}
	for {
		at := int(dec.InputOffset())
		t, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, problem(d.position(int(dec.InputOffset())), "not-well-formed", "%s", reasonOf(err))
		}
		if fault := p.token(t, at); fault != nil {
			return nil, fault
		}
	}
	if p.root == nil {
		return nil, problem(d.origin, "not-well-formed", "there is no element")
	}
	return p.root, nil
}

// reasonOf is what the decoder found, without what it quotes of the text.
func reasonOf(err error) string {
	var syntax *xml.SyntaxError
	if !errors.As(err, &syntax) {
		return "the XML cannot be read"
	}
	msg := syntax.Msg
	if i := strings.IndexAny(msg, "<&"); strings.Contains(msg, "entity") && i > 0 {
		msg = "an entity that XML does not define, or a bare &"
	}
	return msg
}

type parser struct {
	d        *document
	dec      *xml.Decoder
	root, at *element
	declared map[string]bool
	elements int
	depth    int
}

func (p *parser) token(t xml.Token, at int) *mappings.Issue {
	switch t := t.(type) {
	case xml.StartElement:
		return p.start(t, at)
	case xml.EndElement:
		if p.at != nil {
			p.at.at[1] = int(p.dec.InputOffset())
			p.at = p.at.parent
			p.depth--
		}
	case xml.CharData:
		if p.at != nil && (p.at.text != "" || len(bytes.TrimSpace(t)) > 0) {
			p.at.text += string(t)
		}
	case xml.Directive:
		return problem(p.d.position(at), "doctype-refused", "a declaration of document type, entity or element: such reports are refused")
	}
	return nil
}

func (p *parser) start(t xml.StartElement, at int) *mappings.Issue {
	pos := p.d.position(at)
	if p.elements++; p.elements > maxElements {
		return problem(pos, "too-many-elements", "the report has over %d elements", maxElements)
	}
	if p.depth++; p.depth > 2*maxDepth {
		return problem(pos, "too-deep", "more than %d elements in each other", 2*maxDepth)
	}
	if len(t.Attr) > maxAttributes {
		return problem(pos, "too-many-attributes", "an element with over %d attributes", maxAttributes)
	}
	for _, a := range t.Attr {
		if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
			p.declared[a.Value] = true
		}
	}
	if !p.declared[t.Name.Space] {
		return problem(pos, "prefix-undeclared", "the prefix %s has no namespace", show(t.Name.Space))
	}
	e := &element{family: familyOf(t.Name.Space), local: t.Name.Local, uri: t.Name.Space, parent: p.at, pos: pos, at: [2]int{at, 0}}
	seen := map[xml.Name]bool{}
	for _, a := range t.Attr {
		if seen[a.Name] {
			return problem(pos, "not-well-formed", "the attribute %s stands twice", show(a.Name.Local))
		}
		seen[a.Name] = true
		if a.Name.Space == "xmlns" || a.Name.Local == "xmlns" {
			continue
		}
		if !p.declared[a.Name.Space] {
			return problem(pos, "prefix-undeclared", "the prefix %s has no namespace", show(a.Name.Space))
		}
		f := e.family // an attribute without a prefix is its element's
		if a.Name.Space != "" {
			f = familyOf(a.Name.Space)
		}
		e.attrs = append(e.attrs, attribute{f, a.Name.Local, a.Value})
	}
	if p.at == nil {
		if p.root != nil {
			return problem(pos, "not-well-formed", "a second root element")
		}
		p.root = e
	} else {
		p.at.kids = append(p.at.kids, e)
	}
	p.at = e
	return nil
}

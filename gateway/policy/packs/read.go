package packs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// MaxBytes bounds a pack's file.
const MaxBytes = 256 << 10

// maxNesting bounds how deep lists and mappings may stand in each other.
const maxNesting = 64

// maxMarks bounds the characters that can begin or end a value: the parser's time
// and memory grow with the square of their number. It is twice what the largest
// pack that is built in has.
const maxMarks = 5600

// Read reads one pack. name is the file's, for errors. The error joins a *Fault
// for each thing that is wrong, as far as the text could be read: unknown and
// missing keys, keys that stand twice, values of the wrong kind, anchors and
// tags, and what [Pack] says of each key.
func Read(name string, raw []byte) (*Pack, error) {
	p := &Pack{name: name, at: map[string]Pos{}}
	d := &decoder{file: name, at: p.at}
	if body := d.parse(raw); body != nil {
		d.value(body, reflect.ValueOf(p).Elem(), "", "")
	}
	if len(d.faults) > 0 {
		return nil, d.faults.join()
	}
	p.raw = bytes.Clone(raw)
	sum := sha256.Sum256(raw)
	p.hash = "sha256:" + hex.EncodeToString(sum[:])
	if err := p.check(); err != nil {
		return nil, err
	}
	return p, nil
}

// Make checks a pack that was not read from a file: name is what errors call it.
// Its hash is of its JSON, whose fields stand in the order of the struct.
func Make(name string, p *Pack) (*Pack, error) {
	raw, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	p.name, p.raw, p.hash = name, raw, "sha256:"+hex.EncodeToString(sum[:])
	return p, p.check()
}

// Restore reads a pack from its [Pack.Bytes]: YAML of a file, or the JSON of one
// that was made.
func Restore(name string, raw []byte) (*Pack, error) {
	if !bytes.HasPrefix(raw, []byte("{")) {
		return Read(name, raw)
	}
	p := &Pack{}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(p); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p, err := Make(name, p)
	if err == nil && !bytes.Equal(p.raw, raw) {
		return nil, fmt.Errorf("%s: it is not written as packs are made", name)
	}
	return p, err
}

// Name returns the file's name as it was given to Read.
func (p *Pack) Name() string { return p.name }

// Source returns where a text stands: the title and address of a source of the
// pack, or the address itself.
func (p *Pack) Source(where string) string {
	for _, s := range p.Sources {
		if s.ID == where {
			return strings.TrimSpace(s.Title + " " + s.URL)
		}
	}
	return where
}

// Hash returns "sha256:…" of the pack's bytes.
func (p *Pack) Hash() string { return p.hash }

// Bytes returns the pack as it was read. They must not be changed.
func (p *Pack) Bytes() []byte { return p.raw }

// Versioned returns "us-federal@2026.11".
func (p *Pack) Versioned() string { return p.ID + "@" + p.Version }

// A decoder reads a tree into structs and notes where everything stands.
type decoder struct {
	file string
	at   map[string]Pos
	faults
}

func (d *decoder) fail(pos Pos, at, format string, args ...any) {
	d.add(&Fault{File: d.file, Pos: pos, At: at, Reason: fmt.Sprintf(format, args...)})
}

// parse returns the one mapping that the text must be, or nil.
func (d *decoder) parse(raw []byte) ast.Node {
	switch {
	case len(raw) > MaxBytes:
		d.fail(Pos{}, "", "is larger than %d bytes", MaxBytes)
		return nil
	case !utf8.Valid(raw):
		d.fail(Pos{}, "", "is not UTF-8")
		return nil
	case marks(raw) > maxMarks:
		d.fail(Pos{}, "", "holds more than %d of the characters , : - ? [ ] { } and quotes; divide the pack", maxMarks)
		return nil
	case tooDeep(raw):
		d.fail(Pos{}, "", "lists and mappings stand more than %d deep in each other", maxNesting)
		return nil
	}
	file, err := parser.ParseBytes(raw, 0)
	if err != nil {
		var syntax *yaml.SyntaxError
		if errors.As(err, &syntax) {
			message, _, _ := strings.Cut(syntax.GetMessage(), "\n")
			d.fail(placeOf(syntax.GetToken()), "", "%s", message)
		} else {
			d.fail(Pos{}, "", "is no YAML")
		}
		return nil
	}
	var body ast.Node
	for _, doc := range file.Docs {
		switch doc.Body.(type) {
		case nil, *ast.NullNode, *ast.CommentGroupNode:
			continue
		}
		if body != nil {
			d.fail(start(doc.Body), "", "a second YAML document; a pack is one")
			return nil
		}
		body = doc.Body
	}
	if body == nil {
		d.fail(Pos{}, "", "the file is empty")
	}
	return body
}

// marks counts what may structure the text.
func marks(raw []byte) (n int) {
	for _, c := range raw {
		if strings.IndexByte(",:-?[]{}\"'|>&*!", c) >= 0 {
			n++
		}
	}
	return n
}

// tooDeep counts brackets that are not closed, and how deep lines are indented:
// the parser recurses by both.
func tooDeep(raw []byte) bool {
	open, indent, leading := 0, 0, true
	for _, c := range raw {
		switch c {
		case '[', '{':
			open++
		case ']', '}':
			open = max(0, open-1)
		case '\n':
			indent, leading = 0, true
			continue
		}
		if leading && (c == ' ' || c == '-' || c == '?' || c == ':') {
			indent++
		} else {
			leading = false
		}
		if open > maxNesting || indent > 4*maxNesting {
			return true
		}
	}
	return false
}

// value reads a node into v. at is its path, format the pattern or enum tag.
func (d *decoder) value(n ast.Node, v reflect.Value, at string, tag reflect.StructTag) {
	pos := start(n)
	d.at[at] = pos
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		d.fail(pos, at, "anchors, aliases and tags are not part of the format")
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), at, tag)
	case reflect.Struct:
		d.structure(n, v, at)
	case reflect.Map:
		d.mapping(n, v, at, tag)
	case reflect.Slice:
		d.list(n, v, at, tag)
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			d.fail(pos, at, "wrong kind of value: %s, expected true or false", kindOf(n))
			return
		}
		v.SetBool(b.Value)
	case reflect.Int:
		i, err := strconv.Atoi(n.GetToken().Value)
		if _, ok := n.(*ast.IntegerNode); !ok || err != nil {
			d.fail(pos, at, "wrong kind of value: %s, expected a whole number", kindOf(n))
			return
		}
		v.SetInt(int64(i))
	case reflect.String:
		d.text(n, v, at, tag)
	}
}

func (d *decoder) text(n ast.Node, v reflect.Value, at string, tag reflect.StructTag) {
	var text string
	switch s := n.(type) {
	case *ast.StringNode:
		text = s.Value
	case *ast.LiteralNode:
		text = strings.TrimRight(s.Value.Value, "\n")
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		d.fail(start(n), at, "wrong kind of value: %s, expected a text; put it in quotes", kindOf(n))
		return
	default:
		d.fail(start(n), at, "wrong kind of value: %s, expected a text", kindOf(n))
		return
	}
	switch {
	case strings.TrimSpace(text) == "":
		d.fail(start(n), at, "is blank")
	case tag.Get("enum") != "" && !slices.Contains(strings.Split(tag.Get("enum"), ","), text):
		d.fail(start(n), at, "%.80q is none of %s", text, strings.ReplaceAll(tag.Get("enum"), ",", ", "))
	case tag.Get("pattern") != "" && !pattern(tag.Get("pattern")).MatchString(text):
		d.fail(start(n), at, "%.80q does not have the form %s", text, tag.Get("pattern"))
	}
	v.SetString(text)
}

func (d *decoder) list(n ast.Node, v reflect.Value, at string, tag reflect.StructTag) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.fail(start(n), at, "wrong kind of value: %s, expected a list", kindOf(n))
		return
	}
	if len(s.Values) == 0 {
		d.fail(start(n), at, "is an empty list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values)))
	for i, e := range s.Values {
		d.value(e, v.Index(i), fmt.Sprintf("%s[%d]", at, i), tag)
	}
}

// entries are the members of a mapping; ok is false if it is none.
func (d *decoder) entries(n ast.Node, at string) (out []*ast.MappingValueNode, ok bool) {
	switch m := n.(type) {
	case *ast.MappingNode:
		out = m.Values
	case *ast.MappingValueNode:
		out = []*ast.MappingValueNode{m}
	default:
		d.fail(start(n), at, "wrong kind of value: %s, expected a mapping", kindOf(n))
		return nil, false
	}
	seen := map[string]bool{}
	for i, m := range out {
		key, isText := m.Key.(*ast.StringNode)
		switch {
		case !isText:
			d.fail(start(m.Key), at, "a key is not a text")
			return nil, false
		case seen[key.Value]:
			d.fail(start(m.Key), join(at, key.Value), "the key stands twice")
			return nil, false
		case m.Value == nil:
			d.fail(start(m.Key), join(at, key.Value), "has no value")
			out = slices.Delete(slices.Clone(out), i, i+1)
			return out, true
		}
		seen[key.Value] = true
	}
	return out, true
}

func join(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}

func (d *decoder) structure(n ast.Node, v reflect.Value, at string) {
	entries, ok := d.entries(n, at)
	if !ok {
		return
	}
	left := fields(v.Type())
	for _, m := range entries {
		key := m.Key.(*ast.StringNode).Value
		f, ok := left[key]
		if !ok {
			d.fail(start(m.Key), join(at, key), "unknown key")
			continue
		}
		delete(left, key)
		d.value(m.Value, v.Field(f.index), join(at, key), f.tag)
	}
	for _, key := range sortedKeys(left) {
		if left[key].required {
			d.fail(start(n), join(at, key), "is missing")
		}
	}
}

func (d *decoder) mapping(n ast.Node, v reflect.Value, at string, tag reflect.StructTag) {
	entries, ok := d.entries(n, at)
	if !ok {
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, m := range entries {
		e := reflect.New(v.Type().Elem()).Elem()
		key := m.Key.(*ast.StringNode).Value
		d.value(m.Value, e, join(at, key), tag)
		v.SetMapIndex(reflect.ValueOf(key), e)
	}
}

// start is where a node begins: the token of a mapping is its first colon.
func start(n ast.Node) Pos {
	switch m := n.(type) {
	case *ast.MappingNode:
		if len(m.Values) > 0 && m.Start.Type != token.MappingStartType {
			return start(m.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return start(m.Key)
	}
	return placeOf(n.GetToken())
}

func placeOf(t *token.Token) Pos {
	if t == nil || t.Position == nil {
		return Pos{}
	}
	return Pos{t.Position.Line, t.Position.Column}
}

func kindOf(n ast.Node) string {
	switch n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return "a text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	case *ast.NullNode:
		return "nothing"
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	}
	return "something else"
}

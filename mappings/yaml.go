package mappings

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// A LoadError says what is wrong in a mapping, vocabulary or profile file, and
// where.
type LoadError struct {
	File         string
	Line, Column int // from 1, in characters
	Message      string
	Source       string // the line's text, shown in part if it is long
}

func (e *LoadError) Error() string {
	s := fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
	if e.Source != "" {
		text, pad := excerpt(e.Source, e.Column)
		s += "\n    " + text + "\n    " + pad + "^"
	}
	return s
}

// Limits on what is loaded and what one record may make.
const (
	maxFile   = 4 << 20
	maxErrors = 200
	maxDepth  = 40
	maxTree   = 200 // levels of a record's tree that are looked at
	maxLoops  = 8   // groups of resources inside each other
)

// A source is one YAML file with what went wrong in it.
type source struct {
	name  string
	lines []string
	errs  *[]error
	fsys  fs.FS // where the files that it names are

	tooDeep bool // said once
}

func (s *source) errorAt(line, column int, format string, args ...any) {
	if len(*s.errs) >= maxErrors {
		return
	}
	*s.errs = append(*s.errs, s.fault(line, column, format, args...))
}

// fault is an error with its place.
func (s *source) fault(line, column int, format string, args ...any) *LoadError {
	e := &LoadError{File: s.name, Line: max(1, line), Column: max(1, column), Message: fmt.Sprintf(format, args...)}
	if e.Line <= len(s.lines) {
		e.Source = strings.TrimRight(s.lines[e.Line-1], "\r")
	}
	return e
}

// indent is the indentation of the first line with text after line: of a block.
func (s *source) indent(line int) int {
	for _, l := range s.lines[min(line, len(s.lines)):] {
		if t := strings.TrimLeft(l, " "); t != "" {
			return len(l) - len(t)
		}
	}
	return 0
}

// A yamlKind is a kind of YAML node.
type yamlKind uint8

const (
	yamlScalar yamlKind = iota
	yamlMap
	yamlList
	yamlNull
)

// A node is a YAML value with its place.
type node struct {
	src          *source
	kind         yamlKind
	line, column int
	text         string // of a scalar
	str          bool   // the scalar is a string
	quoted       bool   // column points to an opening quote
	block        bool   // a literal or folded block: its text starts on the next line
	keys         []string
	keyNodes     []*node
	values       []*node
}

func (n *node) errorf(format string, args ...any) {
	n.src.errorAt(n.line, n.column, format, args...)
}

// at formats the node's place.
func (n *node) at() string { return fmt.Sprintf("%s:%d", n.src.name, n.line) }

// parseYAML reads one YAML document.
func parseYAML(name string, raw []byte, errs *[]error) *node {
	s, raw := newSource(name, raw, errs)
	if !s.readable(raw) {
		return nil
	}
	tokens, ok := s.lex(raw)
	if !ok {
		return nil
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		s.syntaxError(err)
		return nil
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		s.errorAt(1, 1, "the file must hold one YAML document")
		return nil
	}
	return s.convert(file.Docs[0].Body, 0)
}

func (s *source) syntaxError(err error) {
	var at interface{ GetToken() *token.Token }
	var message interface{ GetMessage() string }
	line, column, text := 1, 1, err.Error()
	if errors.As(err, &at) && at.GetToken() != nil {
		line, column = at.GetToken().Position.Line, at.GetToken().Position.Column
	}
	if errors.As(err, &message) {
		text = message.GetMessage()
	}
	text, _, _ = strings.Cut(text, "\n")
	s.errorAt(line, column, "%s", text)
}

func (s *source) convert(a ast.Node, depth int) *node {
	n := &node{src: s}
	if t := a.GetToken(); t != nil {
		n.line, n.column = t.Position.Line, t.Position.Column
	}
	if depth > maxDepth {
		if !s.tooDeep {
			s.tooDeep = true
			n.errorf("the file is nested too deeply")
		}
		return n
	}
	switch v := a.(type) {
	case *ast.MappingNode:
		n.kind = yamlMap
		for _, m := range v.Values {
			s.member(n, m, depth)
		}
		n.start()
	case *ast.MappingValueNode:
		n.kind = yamlMap
		s.member(n, v, depth)
		n.start()
	case *ast.SequenceNode:
		n.kind = yamlList
		for _, item := range v.Values {
			n.values = append(n.values, s.convert(item, depth+1))
		}
	case *ast.StringNode:
		n.text, n.str = v.Value, true
		n.quoted = v.Token.Type == token.DoubleQuoteType || v.Token.Type == token.SingleQuoteType
	case *ast.LiteralNode:
		n.text, n.str, n.block = v.Value.Value, true, true
	case *ast.NullNode:
		n.kind = yamlNull
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		n.text = a.GetToken().Value
	default:
		n.errorf("anchors, aliases, tags and merge keys are not used in mapping files")
	}
	return n
}

// start puts a map's place at its first key.
func (n *node) start() {
	if len(n.keyNodes) > 0 {
		n.line, n.column = n.keyNodes[0].line, n.keyNodes[0].column
	}
}

func (s *source) member(n *node, m *ast.MappingValueNode, depth int) {
	key := s.convert(m.Key, depth+1)
	if key.kind != yamlScalar {
		key.errorf("a key must be plain text")
		return
	}
	if slices.Contains(n.keys, key.text) {
		key.errorf("the key %q is there twice", key.text)
		return
	}
	n.keys = append(n.keys, key.text)
	n.keyNodes = append(n.keyNodes, key)
	n.values = append(n.values, s.convert(m.Value, depth+1))
}

// get returns a member, nil if the map has none or it is null.
func (n *node) get(key string) *node {
	if n == nil || n.kind != yamlMap {
		return nil
	}
	if i := slices.Index(n.keys, key); i >= 0 && n.values[i].kind != yamlNull {
		return n.values[i]
	}
	return nil
}

// strict reports every key that is not among allowed.
func (n *node) strict(what string, allowed ...string) bool {
	if n.kind != yamlMap {
		n.errorf("%s must be a map of keys", what)
		return false
	}
	ok := true
	for i, k := range n.keys {
		if !slices.Contains(allowed, k) {
			n.keyNodes[i].errorf("unknown key %q in %s%s", k, what, didYouMean(k, allowed))
			ok = false
		}
	}
	return ok
}

// string returns a scalar's text; a missing or wrong one is an error if needed.
func (n *node) string(key string, needed bool) string {
	v := n.get(key)
	if v == nil {
		if needed {
			n.errorf("the key %q is missing", key)
		}
		return ""
	}
	if v.kind != yamlScalar || strings.TrimSpace(v.text) == "" {
		v.errorf("%q must be text", key)
		return ""
	}
	return v.text
}

func (n *node) bool(key string) bool {
	v := n.get(key)
	if v == nil {
		return false
	}
	if v.kind != yamlScalar || v.str || (v.text != "true" && v.text != "false") {
		v.errorf("%q must be true or false", key)
	}
	return v.text == "true"
}

// list returns a list's items; a single scalar is a list of one.
func (n *node) list(key string) []*node {
	v := n.get(key)
	switch {
	case v == nil:
		return nil
	case v.kind == yamlList:
		return v.values
	case v.kind == yamlScalar:
		return []*node{v}
	}
	v.errorf("%q must be a list", key)
	return nil
}

// didYouMean suggests the nearest of the known words.
func didYouMean(word string, known []string) string {
	best, distance := "", 3
	for _, k := range known {
		if d := editDistance(strings.ToLower(word), strings.ToLower(k), distance); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance is Levenshtein's, given up at limit.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit || len(a) > 64 {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

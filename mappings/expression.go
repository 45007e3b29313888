package mappings

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
)

// A program is a compiled expression with what it reads.
type program struct {
	vm     *vm.Program
	at     string       // file:line
	typ    reflect.Type // of the result; nil: any
	fields []string     // columns or HL7 fields it depends on, through lets too
	paths  []*recordPath
	names  []string // identifiers, "item" among them
	about  []string // the fields that it is about: of a let that names its field, that one
}

// A scope is what an expression can see: names with a sample of their type.
type scope struct {
	env map[string]any
	place
	letFields map[string][]string // named value → fields behind it
	letAbout  map[string][]string // named value → fields that it is about
}

func (s scope) copy() scope {
	return scope{maps.Clone(s.env), s.place, maps.Clone(s.letFields), maps.Clone(s.letAbout)}
}

// with adds a name to a copy of the scope.
func (s scope) with(name string, sample any) scope {
	s = s.copy()
	s.env[name] = sample
	return s
}

// compileExpr compiles the expression in n. kind is the kind that the result
// must have, reflect.Invalid for any.
func (c *compiler) compileExpr(n *node, s scope, kind reflect.Kind) *program {
	if n.kind != yamlScalar || strings.TrimSpace(n.text) == "" {
		n.errorf("an expression is missing")
		return nil
	}
	v := &expressionVisitor{c: c, where: s.place, letFields: s.letFields, letAbout: s.letAbout}
	opts := append(slices.Clone(c.options), expr.Env(s.env), expr.Patch(v))
	switch kind {
	case reflect.Bool:
		opts = append(opts, expr.AsBool(), expr.WarnOnAny())
	case reflect.String:
		opts = append(opts, expr.AsKind(reflect.String), expr.WarnOnAny())
	}
	compiled, err := expr.Compile(n.text, opts...)
	if err == nil && v.err != nil {
		err = v.err
	}
	if err != nil {
		c.expressionError(n, err, v)
		return nil
	}
	return &program{vm: compiled, at: n.at(), typ: compiled.Node().Type(), fields: append(slices.Clone(v.read), v.through...), about: append(slices.Clone(v.read), v.about...), paths: v.paths, names: v.names}
}

// expressionError puts the error where it stands in the file: an expression on
// one line starts at its node, one in a block on the line after.
func (c *compiler) expressionError(n *node, err error, v *expressionVisitor) {
	line, column, message := n.line, n.column, err.Error()
	var fe *file.Error
	if errors.As(err, &fe) {
		message = fe.Message
		at := fe.Line
		offset := fe.Column
		if v.err != nil && at == 0 {
			at, offset = 1, v.at
		}
		switch {
		case n.block:
			line, column = n.line+max(1, at), offset+1
			column += n.src.indent(n.line)
		case at <= 1:
			column += offset
			if n.quoted {
				column++
			}
		}
	} else if v.err != nil {
		column += v.at
		if n.quoted {
			column++
		}
	}
	n.src.errorAt(line, column, "in the expression: %s", message)
}

// An expressionVisitor checks what the expression compiler cannot: that paths
// and vocabularies named in calls exist. It also notes which fields are read.
type expressionVisitor struct {
	c         *compiler
	where     place
	read      []string // fields named in the expression, in order
	through   []string // fields behind the named values
	letFields map[string][]string
	letAbout  map[string][]string
	about     []string // fields that the named values are about
	paths     []*recordPath
	names     []string
	err       error
	at        int // column of err in the expression, from 0
}

func (v *expressionVisitor) reads(f string) {
	if !slices.Contains(v.read, f) {
		v.read = append(v.read, f)
	}
}

// Visit implements ast.Visitor.
func (v *expressionVisitor) Visit(n *ast.Node) {
	v.bound(*n)
	switch e := (*n).(type) {
	case *ast.IdentifierNode:
		if slices.Contains(v.c.m.shape.columns, e.Value) {
			v.reads(e.Value)
		}
		v.names = append(v.names, e.Value)
		for _, f := range v.letFields[e.Value] {
			if !slices.Contains(v.through, f) {
				v.through = append(v.through, f)
			}
		}
		for _, p := range v.letAbout[e.Value] {
			if !slices.Contains(v.about, p) {
				v.about = append(v.about, p)
			}
		}
	case *ast.CallNode:
		callee, ok := e.Callee.(*ast.IdentifierNode)
		if !ok {
			return
		}
		v.call(callee.Value, e)
	}
}

func (v *expressionVisitor) call(name string, e *ast.CallNode) {
	if name == "restrictions" {
		v.restrictions(e)
		return
	}
	if name == "places" || name == "clinicians" { // of several paths
		for i := range e.Arguments {
			v.path(name, e.Arguments[i])
		}
		return
	}
	isPath := name == "text" || name == "has" || name == "count" || name == "texts" || name == "pick" || name == "innermost"
	isVocabulary := name == "code" || name == "mapped" || name == "targets" || name == "known"
	if !isPath && !isVocabulary || len(e.Arguments) == 0 {
		return
	}
	if isPath {
		v.path(name, e.Arguments[0])
		return
	}
	arg, ok := e.Arguments[0].(*ast.StringNode)
	if !ok {
		v.fail(e.Arguments[0], name+" needs a quoted name as its first argument")
		return
	}
	if v.c.m.vocabularies[arg.Value] == nil {
		v.fail(arg, "unknown vocabulary \""+arg.Value+"\""+didYouMean(arg.Value, v.c.vocabularyNames()))
	}
}

// path checks a quoted path and notes what it reads.
func (v *expressionVisitor) path(function string, n ast.Node) {
	arg, ok := n.(*ast.StringNode)
	if !ok {
		v.fail(n, function+" needs a quoted path")
		return
	}
	p, err := v.c.m.shape.parsePath(arg.Value, v.where)
	if err != nil {
		v.fail(arg, err.Error())
		return
	}
	v.c.m.paths[arg.Value] = p
	v.paths = append(v.paths, p)
	for _, f := range p.noteField(nil) {
		v.reads(f)
	}
}

// restrictions notes the fields of ARV that the function reads.
func (v *expressionVisitor) restrictions(e *ast.CallNode) {
	if len(e.Arguments) != 1 {
		return
	}
	if scope, ok := e.Arguments[0].(*ast.StringNode); !ok || scope.Value != "patient" && scope.Value != "visit" && scope.Value != "all" {
		v.fail(e.Arguments[0], `restrictions needs "patient", "visit" or "all"`)
	}
	if v.c.m.shape.segments["ARV"] < 6 {
		v.fail(e, "restrictions reads the segment ARV, which the mapping does not list")
		return
	}
	for _, f := range accessFields {
		v.reads(f)
	}
}

func (v *expressionVisitor) fail(n ast.Node, message string) {
	if v.err == nil {
		v.err, v.at = errors.New(message), n.Location().From
	}
}

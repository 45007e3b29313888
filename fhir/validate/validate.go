package validate

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
)

// MaxIssues is how many issues are reported of one resource.
const MaxIssues = 100

// An Issue is one finding. Diagnostics name elements and rules and repeat no
// values but codes, so that they may be logged and shown.
type Issue struct {
	outcome.Issue
	Offset       int // bytes from the start of the resource
	Line, Column int // both from 1; the column counts bytes
}

func (i Issue) String() string {
	return fmt.Sprintf("%d:%d: %s: %s", i.Line, i.Column, i.Expression, i.Diagnostics)
}

// Outcomes returns the issues for an OperationOutcome.
func Outcomes(issues []Issue) []outcome.Issue {
	out := make([]outcome.Issue, len(issues))
	for i, is := range issues {
		out[i] = is.Issue
	}
	return out
}

// Failed says whether an issue is an error.
func Failed(issues []Issue) bool {
	for _, i := range issues {
		if i.Severity == outcome.Failure || i.Severity == outcome.Fatal {
			return true
		}
	}
	return false
}

// Bytes parses and checks a resource. Bytes that are no resource at all give
// one fatal issue.
func Bytes(raw []byte) []Issue {
	r, err := resource.Parse(raw)
	if err == nil {
		return Resource(r)
	}
	is := Issue{Issue: outcome.Issue{Severity: outcome.Fatal, Code: outcome.CodeStructure, Diagnostics: err.Error()}, Line: 1, Column: 1}
	var syntax *resource.SyntaxError
	if errors.As(err, &syntax) {
		is.Offset, is.Line, is.Column = int(syntax.Offset), syntax.Line, syntax.Column
		is.Diagnostics = syntax.Reason
		is.Expression = strings.ReplaceAll(strings.Trim(syntax.Pointer, "/"), "/", ".")
	}
	return []Issue{is}
}

// Resource checks a resource. No issue means that nothing wrong was found.
func Resource(r *resource.Resource) []Issue {
	c := &checker{tables: load(), raw: r.Raw(), local: map[string]bool{"#": true}}
	for contained := range r.Root().All("contained") {
		c.local["#"+contained.Get("id").Text()] = true
	}
	c.resource(r.Root(), r.Type(), 0)
	return c.issues
}

// A checker walks one resource.
type checker struct {
	*tables
	raw    []byte
	local  map[string]bool // references that the resource itself resolves
	issues []Issue
}

func (c *checker) report(n resource.Node, at string, code outcome.Code, format string, args ...any) {
	c.add(n, at, outcome.Failure, code, fmt.Sprintf(format, args...))
}

func (c *checker) add(n resource.Node, at string, severity outcome.Severity, code outcome.Code, words string) {
	if len(c.issues) >= MaxIssues {
		return
	}
	start, _ := n.Span()
	before := c.raw[:start]
	c.issues = append(c.issues, Issue{
		Issue:  outcome.Issue{Severity: severity, Code: code, Diagnostics: words, Expression: at},
		Offset: start, Line: 1 + bytes.Count(before, []byte{'\n'}), Column: start - bytes.LastIndexByte(before, '\n'),
	})
}

// resource checks a resource that stands alone (depth 0) or inside another.
func (c *checker) resource(n resource.Node, at string, depth int) {
	if n.Kind() != resource.Object {
		c.report(n, at, outcome.CodeStructure, "a resource must be an object, not %s", kindName(n))
		return
	}
	typ := n.Get("resourceType")
	name := typ.Text()
	s := c.structures[name]
	if s == nil || !s.resource || !Covers(name) {
		c.report(n, at, outcome.CodeStructure, "resourceType is missing or not a resource type of R4")
		return
	}
	if depth > 0 && strings.Contains(at, ".contained") && n.Get("contained").Exists() {
		c.report(n.Get("contained"), at+".contained", outcome.CodeInvariant, "a contained resource must not contain another")
	}
	c.object(n, s, at, depth)
}

// object checks an object's members and what is missing.
func (c *checker) object(n resource.Node, s *structure, at string, depth int) {
	if n.Kind() != resource.Object {
		c.report(n, at, outcome.CodeStructure, "must be an object, not %s", kindName(n))
		return
	}
	count := 0
	var choices []*element
	for m := range n.Members() {
		count++
		name := m.Name()
		if name == "resourceType" && s.resource {
			continue
		}
		if strings.HasPrefix(name, "_") {
			c.extras(n, m, name[1:], s, at)
			continue
		}
		e, t := s.find(name)
		if e == nil {
			c.report(m, at+"."+printable(name), outcome.CodeStructure, "is not an element of %s", s.name)
			continue
		}
		if e.choice {
			for _, other := range choices {
				if other == e {
					c.report(m, at+"."+e.name, outcome.CodeStructure, "only one %s[x] is allowed", e.name)
				}
			}
			choices = append(choices, e)
		}
		c.member(n, m, e, t, place(at, e, t), depth)
	}
	if count == 0 {
		c.report(n, at, outcome.CodeStructure, "must not be an empty object")
		return
	}
	for x := s; x != nil; x = x.base {
		for _, e := range x.required {
			if !has(n, e) {
				c.report(n, at+"."+e.name, outcome.CodeRequired, "is required")
			}
		}
	}
	c.invariants(n, s, at)
}

func place(at string, e *element, t *typeRef) string {
	if e.choice && t != nil {
		return at + "." + e.name + ".ofType(" + t.name + ")"
	}
	return at + "." + e.name
}

// printable keeps a name from outside short and plain.
func printable(s string) string {
	if len(s) > 40 {
		s = s[:40]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return '?'
		}
		return r
	}, s)
}

// has says whether a required element is there, be it by its extension alone.
func has(n resource.Node, e *element) bool {
	if !e.choice {
		return n.Get(e.name).Exists() || n.Get("_"+e.name).Exists()
	}
	for _, t := range e.types {
		name := e.name + strings.ToUpper(t.name[:1]) + t.name[1:]
		if n.Get(name).Exists() || n.Get("_"+name).Exists() {
			return true
		}
	}
	return false
}

// member checks one element: single or repeating, then each value.
func (c *checker) member(parent, m resource.Node, e *element, t *typeRef, at string, depth int) {
	if !e.list {
		if m.Kind() == resource.Array {
			c.report(m, at, outcome.CodeStructure, "must be a single value, not an array")
			return
		}
		c.value(parent, m, e, t, at, depth)
		return
	}
	if m.Kind() != resource.Array {
		c.report(m, at, outcome.CodeStructure, "must be an array, not %s", kindName(m))
		return
	}
	if m.Len() == 0 {
		c.report(m, at, outcome.CodeStructure, "must not be an empty array")
		return
	}
	extra := c.extraElements(parent, m)
	i := 0
	for v := range m.Elements() {
		here := fmt.Sprintf("%s[%d]", at, i)
		if v.Kind() == resource.Null && t.primitive {
			if i >= len(extra) || extra[i].Kind() != resource.Object {
				c.report(v, here, outcome.CodeStructure, "is null without an extension in its place")
			}
		} else {
			c.value(parent, v, e, t, here, depth)
		}
		i++
	}
}

// extraElements returns the elements of the array that holds the extensions
// of a primitive's array.
func (c *checker) extraElements(parent, m resource.Node) []resource.Node {
	var out []resource.Node
	for x := range parent.All("_" + m.Name()) {
		out = append(out, x)
	}
	return out
}

func (c *checker) value(parent, v resource.Node, e *element, t *typeRef, at string, depth int) {
	switch {
	case v.Kind() == resource.Null:
		c.report(v, at, outcome.CodeStructure, "must not be null")
	case t.primitive:
		c.primitive(v, e, t, at)
	case t.name == "Resource":
		c.nested(v, at, depth)
	case t.inside == nil:
		c.report(v, at, outcome.CodeException, "type %s is not in the table", t.name)
	default:
		before := len(c.issues)
		c.object(v, t.inside, at, depth)
		if v.Kind() != resource.Object || len(c.issues) > before {
			return
		}
		switch t.name {
		case "Reference":
			c.reference(v, t, at)
		case "CodeableConcept", "Coding":
			c.binding(v, e, at)
		}
	}
}

// nested checks a resource inside another. In a Bundle or Parameters it is a
// world of its own; contained resources share the references of what holds
// them.
func (c *checker) nested(v resource.Node, at string, depth int) {
	if strings.Contains(at[strings.LastIndexByte(at, '.')+1:], "contained") {
		if !v.Get("id").Exists() && v.Kind() == resource.Object {
			c.report(v, at+".id", outcome.CodeRequired, "a contained resource needs an id")
		}
		c.resource(v, at, depth+1)
		return
	}
	outer := c.local
	c.local = map[string]bool{"#": true}
	for contained := range v.All("contained") {
		c.local["#"+contained.Get("id").Text()] = true
	}
	c.resource(v, at, 0)
	c.local = outer
}

func (c *checker) primitive(v resource.Node, e *element, t *typeRef, at string) {
	if wrong := wrongPrimitive(t.name, v); wrong != "" {
		code := outcome.CodeValue
		if k := v.Kind(); k == resource.Object || k == resource.Array {
			code = outcome.CodeStructure
		}
		c.report(v, at, code, "%s", wrong)
		return
	}
	if t.name == "code" && e.set != nil && !e.set.codes[v.Text()] {
		c.report(v, at, outcome.CodeCodeInvalid, "the code is not in the value set %s", e.set.name)
	}
}

// binding checks a required binding of a Coding or CodeableConcept: one of the
// codings is of the set. Words alone are for where no code is known.
func (c *checker) binding(v resource.Node, e *element, at string) {
	if e.set == nil {
		return
	}
	codings := []resource.Node{v}
	if t := v.Get("coding"); t.Exists() || v.Get("text").Exists() {
		codings = nil
		for coding := range t.Elements() {
			codings = append(codings, coding)
		}
	}
	if len(codings) == 0 {
		return
	}
	for _, coding := range codings {
		if e.set.codes[coding.Get("system").Text()+"|"+coding.Get("code").Text()] {
			return
		}
	}
	c.report(v, at, outcome.CodeCodeInvalid, "no coding is in the value set %s", e.set.name)
}

// extras checks the member "_name": id and extensions of a primitive.
func (c *checker) extras(parent, m resource.Node, name string, s *structure, at string) {
	e, t := s.find(name)
	if e == nil || t == nil || !t.primitive {
		c.report(m, at+"."+printable("_"+name), outcome.CodeStructure, "is not an element of %s", s.name)
		return
	}
	here := place(at, e, t)
	if e.list != (m.Kind() == resource.Array) {
		c.report(m, here, outcome.CodeStructure, "the extensions of this element must be %s", map[bool]string{true: "an array", false: "an object"}[e.list])
		return
	}
	if values := parent.Get(name); e.list && values.Kind() == resource.Array && values.Len() != m.Len() {
		c.report(m, here, outcome.CodeStructure, "values and extensions differ in number")
	}
	i, some := 0, false
	for x := range m.Elements() {
		place := here
		if e.list {
			place = fmt.Sprintf("%s[%d]", here, i)
		}
		i++
		if x.Kind() == resource.Null && e.list {
			continue
		}
		some = true
		c.object(x, c.structures["Element"], place, 0)
	}
	if !some {
		c.report(m, here, outcome.CodeStructure, "holds no extension")
	}
}

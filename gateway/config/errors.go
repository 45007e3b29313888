package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// A Fault is one thing that is wrong. It quotes nothing that was filled in from
// outside, no secret, and no line of the file.
type Fault struct {
	Line, Column int    // of the setting, or of the nearest one around it; 0: unknown
	At           string // path of the setting, "$.systems[0].base"; "" if the file could not be read that far
	Reason       string
}

func (f *Fault) Error() string {
	var b strings.Builder
	if f.Line > 0 {
		fmt.Fprintf(&b, "[%d:%d] ", f.Line, f.Column)
	}
	if f.At != "" {
		b.WriteString(f.At + ": ")
	}
	return b.String() + f.Reason
}

// An Error says what is wrong in a file: all of it, as far as it could be read.
type Error struct {
	File   string
	Faults []*Fault // at least one
}

func (e *Error) Error() string {
	if len(e.Faults) == 1 {
		return e.File + ": " + e.Faults[0].Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d faults", e.File, len(e.Faults))
	for _, f := range e.Faults {
		b.WriteString("\n  " + f.Error())
	}
	return b.String()
}

// fault makes a fault of what the parser or the decoder says. Their texts may
// quote values, so only names that can be names of settings are taken over.
func fault(err error, body ast.Node) *Fault {
	var (
		of       *yaml.OverflowError
		unknown  *yaml.UnknownFieldError
		double   *yaml.DuplicateKeyError
		mismatch *yaml.TypeError
		node     *yaml.UnexpectedNodeTypeError
		syntax   *yaml.SyntaxError
	)
	switch {
	case errors.As(err, &unknown):
		return faultAt(unknown.GetToken(), quoted(unknown.GetMessage()))
	case errors.As(err, &double):
		return faultAt(double.GetToken(), quoted(double.GetMessage()))
	case errors.As(err, &mismatch):
		return faultAt(mismatch.GetToken(), "wrong kind of value: expected "+kindOf(mismatch.DstType.String()))
	case errors.As(err, &of):
		return faultAt(of.GetToken(), "the number is too large")
	case errors.As(err, &node):
		return faultAt(node.GetToken(), quoted(node.GetMessage()))
	case errors.As(err, &syntax) && body == nil:
		return faultAt(syntax.GetToken(), quoted(syntax.GetMessage()))
	case errors.As(err, &syntax):
		return faultAt(syntax.GetToken(), "the value cannot be read")
	}
	if t := badDuration(body); t != nil {
		return faultAt(t, "is not a duration such as 500ms, 2s or 5m")
	}
	return &Fault{Reason: "a value cannot be read"}
}

func faultAt(t *token.Token, reason string) *Fault {
	f := &Fault{Reason: reason}
	if t != nil && t.Position != nil {
		f.Line, f.Column = t.Position.Line, t.Position.Column
	}
	return f
}

var (
	quote = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'[^']*'`)
	name  = regexp.MustCompile(`^["'][A-Za-z][A-Za-z0-9]{0,30}["']$`)
)

// quoted leaves in quotes only what can be the name of a setting: no secret is
// that short.
func quoted(message string) string {
	message, _, _ = strings.Cut(message, "\n")
	return quote.ReplaceAllStringFunc(message, func(q string) string {
		if name.MatchString(q) {
			return q
		}
		return `"…"`
	})
}

// kindOf says in words what a Go type takes.
func kindOf(goType string) string {
	switch {
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case strings.HasSuffix(goType, "Duration"):
		return "a duration such as 500ms, 2s or 5m"
	case strings.Contains(goType, "bool"):
		return "true or false"
	case strings.Contains(goType, "int"):
		return "a whole number"
	case strings.HasSuffix(goType, "string"), strings.HasSuffix(goType, "Secret"):
		return "a text"
	}
	return "a block of settings"
}

// badDuration finds the setting whose duration could not be read: the decoder
// does not say where it was.
func badDuration(body ast.Node) *token.Token {
	if body == nil {
		return nil
	}
	return badDurationIn(body, reflect.TypeFor[Config]())
}

func badDurationIn(n ast.Node, t reflect.Type) *token.Token {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if s, ok := n.(*ast.StringNode); ok && t == reflect.TypeFor[time.Duration]() {
		if _, err := time.ParseDuration(s.Value); err != nil {
			return s.GetToken()
		}
	}
	var of func(key string) reflect.Type
	switch t.Kind() {
	case reflect.Struct:
		of = func(key string) reflect.Type {
			for _, f := range reflect.VisibleFields(t) {
				if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name == key && key != "" {
					return f.Type
				}
			}
			return nil
		}
	case reflect.Map:
		of = func(string) reflect.Type { return t.Elem() }
	case reflect.Slice:
		if list, ok := n.(*ast.SequenceNode); ok {
			for _, x := range list.Values {
				if bad := badDurationIn(x, t.Elem()); bad != nil {
					return bad
				}
			}
		}
		return nil
	default:
		return nil
	}
	var pairs []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		pairs = m.Values
	case *ast.MappingValueNode:
		pairs = append(pairs, m)
	}
	for _, m := range pairs {
		if inner := of(m.Key.String()); inner != nil {
			if bad := badDurationIn(m.Value, inner); bad != nil {
				return bad
			}
		}
	}
	return nil
}

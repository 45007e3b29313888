package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// What ${env:NAME} and ${file:PATH} stand for never becomes part of the text
// that is parsed: it can change nothing of the file's structure, and no message
// of a parser can quote it. While the file is parsed, a token of private-use
// characters stands in the placeholder's place, as long as the placeholder, so
// that columns stay right. Afterwards the values go into the parsed strings.
const (
	tokenStart = '\uE000'
	tokenFill  = '\uE001'
)

var (
	placeholder = regexp.MustCompile(`\$\{(env|file):([^}\r\n]+)\}`)
	tokenForm   = regexp.MustCompile("\uE000([0-9]+)\uE001*")
)

// outside is what the file takes from outside of it.
type outside struct {
	dir    string
	named  []string // placeholders, by the number in their token
	values []string // what was filled in
}

// hide puts tokens in the place of the placeholders.
func (o *outside) hide(raw []byte) (string, error) {
	if strings.ContainsAny(string(raw), string(tokenStart)+string(tokenFill)) {
		return "", errors.New("private-use characters U+E000 and U+E001 cannot be used")
	}
	return placeholder.ReplaceAllStringFunc(string(raw), func(s string) string {
		number := strconv.Itoa(len(o.named))
		o.named = append(o.named, s)
		return string(tokenStart) + number + strings.Repeat(string(tokenFill), max(0, len([]rune(s))-1-len(number)))
	}), nil
}

// fill puts what the placeholders stand for into the parsed values. A missing
// one is a fault, not an empty secret. In comments they mean nothing; as the
// name of a setting they are not read, and the setting is unknown.
func (o *outside) fill(n ast.Node) []*Fault {
	v := &filler{outside: o}
	ast.Walk(v, n)
	return v.faults
}

type filler struct {
	*outside
	faults []*Fault
}

// Visit implements ast.Visitor.
func (f *filler) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.MappingValueNode:
		ast.Walk(f, n.Value)
		return nil
	case *ast.TagNode: // no setting needs one, and the decoder cannot cope with all of them
		f.faults = append(f.faults, faultAt(n.GetToken(), "YAML tags are not used in a configuration"))
		return nil
	case *ast.StringNode:
		n.Value = f.replace(n.Value, n.GetToken())
	}
	return f
}

func (f *filler) replace(s string, at *token.Token) string {
	if !strings.ContainsRune(s, tokenStart) {
		return s
	}
	return tokenForm.ReplaceAllStringFunc(s, func(t string) string {
		i, err := strconv.Atoi(tokenForm.FindStringSubmatch(t)[1])
		if err != nil || i >= len(f.named) {
			return ""
		}
		g := placeholder.FindStringSubmatch(f.named[i])
		value, err := lookup(g[1], g[2], f.dir)
		if err != nil {
			f.faults = append(f.faults, &Fault{Line: at.Position.Line, Column: at.Position.Column, Reason: err.Error()})
		}
		f.values = append(f.values, value)
		return value
	})
}

// holds says whether a text shows something of what was filled in.
func (o *outside) holds(s string) bool {
	for _, v := range o.values {
		if v != "" && s != "" && (strings.Contains(s, v) || strings.Contains(v, s)) {
			return true
		}
	}
	return false
}

// clean gives the text of an error without what it may quote of a value from
// outside, "" if that cannot be told apart.
func (o *outside) clean(err error, value string) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	why := quote.ReplaceAllString(err.Error(), `"…"`)
	if o.holds(why) {
		return ""
	}
	for _, word := range strings.FieldsFunc(why, func(r rune) bool { return r <= ' ' || strings.ContainsRune(`.,;:()[]{}"`, r) }) {
		if len(word) >= 8 && strings.Contains(value, word) {
			return ""
		}
	}
	return why
}

func lookup(kind, name, dir string) (string, error) {
	if kind == "env" {
		v, ok := os.LookupEnv(name)
		if !ok {
			return "", fmt.Errorf("environment variable %s is not set", name)
		}
		return v, nil
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

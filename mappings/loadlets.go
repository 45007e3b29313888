package mappings

import (
	"reflect"
	"regexp"
	"slices"
)

// baseScope holds the columns, the profile and the functions that need the
// record at hand.
func (c *compiler) baseScope() scope {
	env := map[string]any{
		"profile":  c.m.profile,
		"text":     func(string) string { return "" },
		"has":      func(string) bool { return false },
		"count":    func(string) int { return 0 },
		"segments": func(string) int { return 0 },
		"code":     func(string, string) string { return "" },
		"mapped":   func(string, string) bool { return false },
		"targets":  func(string, any) []Target { return nil },
		"known":    func(string, any) []string { return nil },
		"token":    func(string, string) string { return "" },
		"texts":    func(string) []string { return nil },
		"pick":     func(string, string) Picked { return Picked{} },

		"places":       func(...string) []Place { return nil },
		"innermost":    func(string) []Place { return nil },
		"clinicians":   func(...string) []Clinician { return nil },
		"restrictions": func(string) []Access { return nil },

		"kind":   "",
		"source": facts{},

		"reference": func(string, string, string) string { return "" },
	}
	boundedSamples(env)
	for _, col := range c.m.shape.columns {
		if _, taken := env[col]; !taken && identifier.MatchString(col) {
			env[col] = ""
		}
	}
	return scope{env: env, letFields: map[string][]string{}, letAbout: map[string][]string{}}
}

var identifier = regexp.MustCompile(`^[A-Za-z_]\w*$`)

func (c *compiler) loadLets(root *node) {
	c.m.lets, c.scope = c.compileLets(root, c.scope)
}

// compileLets compiles named values, each of which can use those before it.
func (c *compiler) compileLets(root *node, s scope) ([]*let, scope) {
	var out []*let
	s = s.copy()
	for _, n := range root.list("let") {
		if c.letCount++; c.letCount > maxLets {
			n.errorf("the mapping has more than %d named values", maxLets)
			break
		}
		if !n.strict("a let", "name", "expr", "field", "when", "note") {
			continue
		}
		l := &let{name: n.string("name", true), field: n.string("field", false)}
		if l.field != "" {
			c.checkField(n.get("field"))
		}
		if _, taken := s.env[l.name]; taken || !identifier.MatchString(l.name) {
			n.errorf("the name %q is taken or is not a name", l.name)
			continue
		}
		if c.compileLet(n, l, s) {
			out = append(out, l)
		}
	}
	return out, s
}

// compileLet compiles one named value and adds it to the scope.
func (c *compiler) compileLet(n *node, l *let, s scope) bool {
	e := n.get("expr")
	if e == nil {
		n.errorf("the key \"expr\" is missing")
		return false
	}
	if l.expr = c.compileExpr(e, s, reflect.Invalid); l.expr == nil {
		s.env[l.name] = "" // so that its users do not fail too
		return false
	}
	if l.expr.typ == nil || l.expr.typ.Kind() == reflect.Interface {
		e.errorf("the type of the expression is not known")
		return false
	}
	l.zero = reflect.Zero(l.expr.typ).Interface()
	s.letFields[l.name] = l.expr.fields
	if l.field != "" && slices.Contains(l.expr.fields, l.field) { // what it is about comes first
		s.letFields[l.name] = append([]string{l.field}, l.expr.fields...)
	}
	s.letAbout[l.name] = l.expr.about
	if l.field != "" {
		s.letAbout[l.name] = []string{l.field}
	}
	if w := n.get("when"); w != nil {
		l.when = c.compileExpr(w, s, reflect.Bool)
	}
	s.env[l.name] = l.zero
	return true
}

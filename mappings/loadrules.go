package mappings

import (
	"reflect"
	"regexp"
	"strings"
)

func (c *compiler) loadOutcomes(root *node) {
	for _, n := range root.list("outcomes") {
		if !n.strict("an outcome", "when", "action", "code", "message", "field", "resources", "note") {
			continue
		}
		o := &outcome{code: n.string("code", true), message: n.string("message", true), field: n.string("field", false), at: n.at()}
		c.checkField(n.get("field"))
		c.checkCode(n, o.code)
		switch a := n.string("action", true); a {
		case "reject":
			o.action, o.issueSeverity = Reject, Error
		case "expunge":
			o.action, o.issueSeverity = Expunge, Information
		case "seal":
			o.action, o.issueSeverity = Seal, Information
		case "test":
			o.action, o.issueSeverity = Test, Information
		case "keep":
			o.action, o.issueSeverity = Keep, Information
		case "": // missing or no text: that is said already
		default:
			n.get("action").errorf("unknown action %q: reject, expunge, seal, keep or test", a)
		}
		if keep := n.get("resources"); keep != nil {
			if o.bare = keep.text == "none"; !o.bare || o.action != Seal {
				keep.errorf("resources can be none, where the action is seal")
			}
			o.issueSeverity = Warning // somebody should look at such a row
		}
		o.when = c.condition(n)
		c.m.outcomes = append(c.m.outcomes, o)
	}
}

var codeForm = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

func (c *compiler) checkCode(n *node, code string) {
	if code != "" && !codeForm.MatchString(code) {
		n.get("code").errorf("a code is lower case letters, digits and hyphens")
	}
}

func (c *compiler) condition(n *node) *program {
	w := n.get("when")
	if w == nil {
		n.errorf("the key \"when\" is missing")
		return nil
	}
	return c.compileExpr(w, c.scope, reflect.Bool)
}

func (c *compiler) loadChecks(root *node) {
	for _, n := range root.list("checks") {
		if !n.strict("a check", "when", "severity", "code", "message", "field", "note") {
			continue
		}
		k := &check{code: n.string("code", true), message: n.string("message", true), field: n.string("field", false), severity: Warning, atPlace: n.at()}
		c.checkField(n.get("field"))
		c.checkCode(n, k.code)
		if s := n.get("severity"); s != nil {
			k.severity = Severity(s.text)
			if k.severity != Error && k.severity != Warning && k.severity != Information {
				s.errorf("severity is error, warning or information")
			}
		}
		k.when = c.condition(n)
		c.m.checks = append(c.m.checks, k)
	}
}

func (c *compiler) loadIgnored(n *node) {
	if n == nil {
		return
	}
	if n.kind != yamlMap {
		n.errorf("ignore must be a map of field: reason")
		return
	}
	for i, k := range n.keys {
		if c.m.shape.segments == nil || strings.Contains(k, "-") {
			c.checkField(n.keyNodes[i])
		}
		c.m.ignored[k] = n.values[i].text
	}
}

// noteReads collects what the mapping reads, for coverage.
func (c *compiler) noteReads() {
	note := func(fields []string) {
		for _, f := range fields {
			c.m.read[f] = true
		}
	}
	use := func(p *program) {
		if p != nil {
			note(p.fields)
		}
	}
	use(c.m.key)
	use(c.m.version)
	use(c.m.reach)
	for _, g := range c.m.groups {
		use(g)
	}
	for _, l := range c.m.lets {
		use(l.expr)
		use(l.when)
	}
	for _, o := range c.m.outcomes {
		use(o.when)
	}
	for _, k := range c.m.checks {
		use(k.when)
	}
	for _, m := range c.m.merges {
		for _, p := range m.programs() {
			use(p)
		}
	}
	for _, l := range c.loops {
		note(l.over.noteField(nil))
		use(l.foreach)
		use(l.when)
		for _, x := range l.lets {
			use(x.expr)
			use(x.when)
		}
	}
	for _, r := range c.m.rules {
		for _, p := range []*program{r.when, r.system, r.key} {
			use(p)
		}
		for _, row := range r.rows {
			note(row.fields(""))
		}
	}
}

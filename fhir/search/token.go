package search

import (
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// A token is a value of a token parameter.
type token struct {
	system, code       string
	anySystem, anyCode bool
}

func readToken(s string) (token, string) {
	parts, reason := split(s, '|')
	if reason != "" {
		return token{}, reason
	}
	var t token
	switch len(parts) {
	case 1:
		t = token{code: parts[0], anySystem: true}
	case 2:
		t = token{system: parts[0], code: parts[1], anyCode: parts[1] == ""}
		if t.anyCode && t.system == "" {
			return token{}, "the token is empty"
		}
	default:
		return token{}, `more than one "|"; write one that belongs to the code as "\|"`
	}
	return t, ""
}

// eachToken calls yield with the system and code of each token in n.
// implied is true for a value whose system is not written down.
func eachToken(n resource.Node, at *path, yield func(system, code string, implied bool) bool) bool {
	switch n.Kind() {
	case resource.String:
		return yield(at.system, n.Text(), true)
	case resource.True:
		return yield("", "true", true)
	case resource.False:
		return yield("", "false", true)
	case resource.Object:
	default:
		return false
	}
	if at.telecom {
		return yield("", contact(n.Get("value").Text()), true)
	}
	if codings := n.Get("coding"); codings.Exists() { // CodeableConcept
		for c := range codings.Elements() {
			if yield(c.Get("system").Text(), c.Get("code").Text(), false) {
				return true
			}
		}
		return false
	}
	if v := n.Get("value"); v.Kind() == resource.String { // Identifier
		return yield(n.Get("system").Text(), v.Text(), false)
	}
	if n.Get("code").Exists() || n.Get("system").Exists() { // Coding, or an Identifier without value
		return yield(n.Get("system").Text(), n.Get("code").Text(), false)
	}
	return false
}

func (t token) match(n resource.Node, at *path, _ *Query) bool {
	want := t.code
	if at.telecom {
		want = contact(want)
	}
	return eachToken(n, at, func(system, code string, implied bool) bool {
		switch {
		case t.anyCode:
			return system == t.system
		case code == "" || code != want:
			return false
		}
		return t.anySystem || system == t.system || (implied && t.system == "")
	})
}

func (t token) plan(p *Parameter, name string, _ *Query) store.Expr {
	if t.anyCode {
		return store.Expr{Op: store.Exists, Param: name}
	}
	code := t.code
	if p.hasTelecom() {
		code = contact(code)
	}
	if t.anySystem || t.system == "" { // with an implied system both find it
		return prefix(name, code+"|")
	}
	return equal(name, code+"|"+t.system)
}

func (p *Parameter) hasTelecom() bool { return len(p.paths) > 0 && p.paths[0].telecom }

func (t token) entries(n resource.Node, at *path, add func(string)) {
	eachToken(n, at, func(system, code string, _ bool) bool {
		if system != "" || code != "" {
			add(code + "|" + system)
		}
		return false
	})
}

func (t token) text() string {
	switch {
	case t.anySystem:
		return escape(t.code)
	case t.anyCode:
		return escape(t.system) + "|"
	}
	return escape(t.system) + "|" + escape(t.code)
}

// A label is the value of a token parameter with :text: the words beside a
// code start with it.
type label struct{ folded, raw string }

func (l label) match(n resource.Node, _ *path, _ *Query) bool {
	for _, t := range []resource.Node{n.Get("text"), n.Get("display"), n.Path("type", "text")} {
		if strings.HasPrefix(fold(t.Text()), l.folded) {
			return true
		}
	}
	for c := range n.All("coding") {
		if strings.HasPrefix(fold(c.Get("display").Text()), l.folded) {
			return true
		}
	}
	return false
}

func (l label) plan(*Parameter, string, *Query) store.Expr { return store.Expr{Op: store.All} }

func (l label) text() string { return escape(l.raw) }

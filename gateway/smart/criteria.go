package smart

import (
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

// A Criterion narrows a scope: a search parameter with a token value as FHIR
// search writes it: "code", "system|code", "system|", "|code", several with
// commas between (any of them). Values are unescaped from the URL, not from
// FHIR's backslash.
type Criterion struct{ Param, Value string }

// holds says whether the criterion holds on this resource in this form. A
// parameter that the table does not have holds on nothing.
func (c Criterion) holds(r *resource.Resource) bool {
	for _, e := range elementsOf(r.Type(), c.Param) {
		if e.matches(r.Root(), e.path, c.Value) {
			return true
		}
	}
	return false
}

// matches walks down path through single and repeating elements.
func (e element) matches(n resource.Node, path []string, value string) bool {
	if len(path) > 0 {
		for child := range n.All(path[0]) {
			if e.matches(child, path[1:], value) {
				return true
			}
		}
		return false
	}
	switch e.kind {
	case concept:
		for coding := range n.All("coding") {
			if tokenMatches(coding.Get("system"), coding.Get("code"), "", value) {
				return true
			}
		}
		return false
	case coding:
		return tokenMatches(n.Get("system"), n.Get("code"), "", value)
	case code:
		implied := e.system
		if implied == "" {
			implied = unknownSystem
		}
		return tokenMatches(resource.Node{}, n, implied, value)
	}
	return false
}

// unknownSystem stands for the system of a code that the table does not know.
// No criterion can name it: control characters are refused.
const unknownSystem = "\x00"

// tokenMatches compares one coded value with the criterion's tokens. implied is
// the system of a plain code, "" for a Coding.
func tokenMatches(system, code resource.Node, implied, value string) bool {
	for tok, rest, more := cutToken(value); ; tok, rest, more = cutToken(rest) {
		if tok.matches(system, code, implied) {
			return true
		}
		if !more {
			return false
		}
	}
}

// A token is one alternative of a criterion.
type token struct {
	system, code string
	bar          bool // a system part was given, perhaps an empty one
}

func (t token) matches(system, code resource.Node, implied string) bool {
	if t.code != "" && !code.Is(t.code) {
		return false
	}
	if !t.bar {
		return t.code != ""
	}
	if t.system == "" {
		return !system.Exists() && implied == "" && t.code != ""
	}
	if !system.Exists() {
		return implied == t.system && code.Exists()
	}
	return system.Is(t.system)
}

// cutToken takes the first alternative off a value: commas and bars with a
// backslash before them are part of the text.
func cutToken(value string) (t token, rest string, more bool) {
	if strings.IndexByte(value, '\\') < 0 {
		value, rest, more = strings.Cut(value, ",")
		if t.system, t.code, t.bar = strings.Cut(value, "|"); !t.bar {
			t.system, t.code = "", value
		}
		return t, rest, more
	}
	var part strings.Builder
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\' && i+1 < len(value):
			i++
			part.WriteByte(value[i])
		case c == ',':
			t.code = part.String()
			return t, value[i+1:], true
		case c == '|' && !t.bar:
			t.system, t.bar = part.String(), true
			part.Reset()
		default:
			part.WriteByte(c)
		}
	}
	t.code = part.String()
	return t, "", false
}

// validTokens says whether every alternative says something.
func validTokens(value string) bool {
	for tok, rest, more := cutToken(value); ; tok, rest, more = cutToken(rest) {
		if tok.system == "" && tok.code == "" {
			return false
		}
		if !more {
			return true
		}
	}
}

// implies says whether whatever satisfies c satisfies d too.
func (c Criterion) implies(d Criterion) bool {
	if c.Param != d.Param {
		return false
	}
	if c.Value == d.Value {
		return true
	}
	for tok, rest, more := cutToken(c.Value); ; tok, rest, more = cutToken(rest) {
		if !tok.impliesAny(d.Value) {
			return false
		}
		if !more {
			return true
		}
	}
}

func (t token) impliesAny(value string) bool {
	for u, rest, more := cutToken(value); ; u, rest, more = cutToken(rest) {
		if t == u || (t.code == u.code && !u.bar && u.code != "") ||
			(t.system == u.system && u.bar && u.code == "" && t.bar && t.system != "") {
			return true
		}
		if !more {
			return false
		}
	}
}

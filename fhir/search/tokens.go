package search

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/handoff-health/handoff/fhir/resource"
)

// One token parameter with a value, asked of one resource: SMART's granular
// scopes, which use the parameters of a search.

// CheckToken says why "param=value" cannot be asked of resources of a type: no
// such parameter, not a token, a modifier or a chain, a malformed value. "*" is
// any type that has the parameter. A nil error means that [HasToken] evaluates it.
func CheckToken(typ, param, value string) error {
	p := tokenParameter(typ, param)
	if p == nil {
		return refuse(param, Unsupported, "no token parameter of %s", clip(typ))
	}
	if len(value) > MaxLength {
		return refuse(param, TooMany, "the value is longer than %d bytes", MaxLength)
	}
	values := alternatives(value)
	if len(values) > MaxValues {
		return refuse(param, TooMany, "more than %d values", MaxValues)
	}
	for _, v := range values {
		reason := "one of the values is empty"
		if v != "" {
			_, reason = (&Query{}).tokenValue(&criterion{param: p}, v)
		}
		if reason == "" {
			if t, _ := readToken(v); t.code == "" && !t.anyCode {
				reason = "the token is empty"
			}
		}
		if reason != "" {
			return refuse(param, Malformed, "%q: %s", clip(v), reason)
		}
	}
	return nil
}

// tokenParameter finds a token parameter; for "*" that of the first type by name.
func tokenParameter(typ, param string) *Parameter {
	if typ != "*" {
		if p := Lookup(typ, param); p != nil && p.Kind == Token {
			return p
		}
		return nil
	}
	return anywhere()[param]
}

// anywhere are the token parameters that some type has.
var anywhere = sync.OnceValue(func() map[string]*Parameter {
	out := map[string]*Parameter{}
	all := table()
	for _, typ := range slices.Sorted(maps.Keys(all)) {
		for name, p := range all[typ] {
			if p.Kind == Token && out[name] == nil {
				out[name] = p
			}
		}
	}
	return out
})

// HasToken says whether a resource of the type, at root, has one of the tokens
// of value where the parameter looks: what a search by "param=value" finds. What
// cannot be evaluated finds nothing.
func HasToken(root resource.Node, typ, param, value string) bool {
	p := Lookup(typ, param)
	if p == nil || p.Kind != Token {
		return false
	}
	for rest := value; rest != ""; {
		var t token
		var ok bool
		if t, rest, ok = cutToken(rest); ok && p.has(root, t) {
			return true
		}
	}
	return false
}

func (p *Parameter) has(root resource.Node, t token) bool {
	if p.isDeceased() {
		return t.anySystem && t.code == strconv.FormatBool(deceased(root))
	}
	return p.values(root, func(n resource.Node, at *path) bool { return t.match(n, at, nil) })
}

// TokensWithin says whether every resource that has one of the tokens of value
// has one of those of other, for the same parameter. It errs towards no.
func TokensWithin(value, other string) bool {
	if value == other {
		return true
	}
	some := false
	for rest := value; rest != ""; {
		var t token
		var ok bool
		if t, rest, ok = cutToken(rest); !ok {
			continue // it finds nothing
		}
		if some = true; !t.withinAny(other) {
			return false
		}
	}
	return some
}

func (t token) withinAny(value string) bool {
	for rest := value; rest != ""; {
		var u token
		var ok bool
		u, rest, ok = cutToken(rest)
		switch {
		case !ok:
		case t == u:
			return true
		case u.anySystem && t.code == u.code && !t.anyCode: // any system has it
			return true
		case u.anyCode && !t.anySystem && t.system == u.system: // the system's own
			return true
		}
	}
	return false
}

// cutToken takes the first alternative off a value, without allocating where
// nothing is escaped; ok is false for a malformed one.
func cutToken(value string) (t token, rest string, ok bool) {
	first := value
	for i := 0; i < len(value); i++ {
		if value[i] == '\\' {
			i++
		} else if value[i] == ',' {
			first, rest = value[:i], value[i+1:]
			break
		}
	}
	if strings.IndexByte(first, '\\') >= 0 {
		t, reason := readToken(first)
		return t, rest, reason == "" && (t.code != "" || t.anyCode)
	}
	system, code, bar := strings.Cut(first, "|")
	if !bar {
		return token{code: system, anySystem: true}, rest, system != ""
	}
	return token{system: system, code: code, anyCode: code == ""}, rest, first != "|" && strings.IndexByte(code, '|') < 0
}

package search

import (
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// A text is a value of a string parameter.
type text struct {
	raw, folded string
	exact, part bool // :exact, :contains
}

// textMembers are the members in which a string parameter looks when its
// position is a HumanName or an Address; "given", "prefix", "suffix" and
// "line" repeat.
var textMembers = []string{
	"text", "family", "given", "prefix", "suffix",
	"line", "city", "district", "state", "postalCode", "country",
}

func eachText(n resource.Node, yield func(string) bool) bool {
	if n.Kind() == resource.String {
		return yield(n.Text())
	}
	for _, name := range textMembers {
		for e := range n.All(name) {
			if e.Kind() == resource.String && yield(e.Text()) {
				return true
			}
		}
	}
	return false
}

func (t text) match(n resource.Node, _ *path, _ *Query) bool {
	return eachText(n, func(s string) bool {
		switch {
		case t.exact:
			return s == t.raw
		case t.part:
			return strings.Contains(fold(s), t.folded)
		}
		return strings.HasPrefix(fold(s), t.folded)
	})
}

func (t text) plan(_ *Parameter, name string, _ *Query) store.Expr {
	switch {
	case t.exact:
		return equal(name, t.folded)
	case t.part:
		return store.Expr{Op: store.Exists, Param: name}
	}
	return prefix(name, t.folded)
}

func textEntries(n resource.Node, add func(string)) {
	eachText(n, func(s string) bool { add(fold(s)); return false })
}

func (t text) text() string { return escape(t.raw) }

// A uri is a value of a uri parameter, or of a reference parameter whose
// position is a canonical.
type uri struct{ url string }

// match compares whole URIs; a canonical's version counts only if the query
// names one.
func (u uri) match(n resource.Node, _ *path, _ *Query) bool { return u.is(n.Text()) }

func (u uri) is(s string) bool {
	if s == u.url {
		return s != ""
	}
	base, _, versioned := strings.Cut(s, "|")
	return versioned && base == u.url && base != ""
}

func (u uri) plan(_ *Parameter, name string, _ *Query) store.Expr {
	return store.Expr{Op: store.Or, Args: []store.Expr{equal(name, u.url), prefix(name, u.url+"|")}}
}

func (u uri) text() string {
	return strings.NewReplacer(`\`, `\\`, ",", `\,`, "$", `\$`).Replace(u.url)
}

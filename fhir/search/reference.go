package search

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// A reference is a value of a reference parameter: a type and id, an id alone,
// or a URL or URN.
type reference struct {
	typ, id string
	url     string
}

// readReference reads a value. only is the :[type] modifier, or "".
func readReference(s, only string, p *Parameter, base string) (reference, string) {
	var ref reference
	own, typ, id, ok := resource.SplitReference(s)
	switch {
	case ok && (own == "" || own == base) && !strings.Contains(s, "|"):
		if !isType(typ) {
			return ref, "R4 has no resource type " + typ
		}
		if !p.allows(typ) {
			return ref, "the parameter does not refer to " + typ
		}
		if only != "" && only != typ {
			return ref, "the reference is to " + typ + ", not to " + only
		}
		ref.typ, ref.id = typ, id
	case strings.Contains(s, ":"):
		if only != "" && ok && only != typ {
			return ref, "the reference is to " + typ + ", not to " + only
		}
		ref.url = s
		if ok {
			ref.url, _, _ = strings.Cut(s, "/_history/")
		}
	case resource.ValidID(s):
		ref.typ, ref.id = only, s
	default:
		return ref, "not a reference: expected Type/id, an id or an absolute URL"
	}
	return ref, ""
}

func (p *Parameter) allows(typ string) bool {
	return len(p.Targets) == 0 || slices.Contains(p.Targets, typ)
}

func (f reference) match(n resource.Node, _ *path, q *Query) bool {
	s := literal(n)
	if s == "" {
		return false
	}
	base, typ, id, ok := resource.SplitReference(s)
	if f.url != "" {
		if ok {
			s, _, _ = strings.Cut(s, "/_history/")
		}
		return uri{f.url}.is(s)
	}
	return ok && (base == "" || base == q.base) && id == f.id && (f.typ == "" || f.typ == typ)
}

// literal returns a Reference's literal reference, or a canonical.
func literal(n resource.Node) string {
	if n.Kind() == resource.String {
		return n.Text()
	}
	return n.Get("reference").Text()
}

// plan: entries are "id/Type" for a relative reference, so that an id alone is
// a prefix, and the whole URL for any other.
func (f reference) plan(p *Parameter, name string, q *Query) store.Expr {
	if f.url != "" {
		return uri{f.url}.plan(p, name, q)
	}
	var any []store.Expr
	if f.typ != "" {
		any = append(any, equal(name, f.id+"/"+f.typ))
		if q.base != "" {
			any = append(any, equal(name, q.base+"/"+f.typ+"/"+f.id))
		}
	} else {
		any = append(any, prefix(name, f.id+"/"))
		if q.base != "" { // resources with absolute references are few: Match judges them
			any = append(any, prefix(name, q.base+"/"))
		}
	}
	if len(any) == 1 {
		return any[0]
	}
	return store.Expr{Op: store.Or, Args: any}
}

func referenceEntries(n resource.Node, add func(string)) {
	s := literal(n)
	if s == "" || s[0] == '#' {
		return
	}
	base, typ, id, ok := resource.SplitReference(s)
	if ok && base == "" {
		add(id + "/" + typ)
		return
	}
	if ok {
		s, _, _ = strings.Cut(s, "/_history/")
	}
	add(s)
}

func (f reference) text() string {
	switch {
	case f.url != "":
		return escape(f.url)
	case f.typ != "":
		return f.typ + "/" + f.id
	}
	return f.id
}

// A logical is a value of a reference parameter with :identifier: it compares
// the Reference's own identifier.
type logical struct{ token }

func (l logical) match(n resource.Node, at *path, q *Query) bool {
	id := n.Get("identifier")
	return id.Exists() && l.token.match(id, &path{}, q)
}

func (l logical) plan(p *Parameter, name string, q *Query) store.Expr {
	return l.token.plan(&Parameter{}, name+identifierSuffix, q)
}

// identifierSuffix names the entries of References' identifiers.
const identifierSuffix = ":identifier"

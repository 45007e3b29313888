package smart

import (
	"slices"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/guard"
)

// Allows says whether the scopes allow an interaction that needs all letters of
// p on a type, before any data is touched: "r" for read, vread and instance
// history, "s" for search and type history, "c", "u", "d". The letters must be
// found within one context; contexts, if given, are the only ones that count.
// A scope with criteria allows the interaction; what it returns or writes is
// then judged by [Scopes.CoversAny] per resource.
func (ss Scopes) Allows(typ string, p Permission, contexts ...string) bool {
	if p == 0 {
		return false
	}
	for _, context := range [...]string{ContextPatient, ContextUser, ContextSystem} {
		if len(contexts) > 0 && !slices.Contains(contexts, context) {
			continue
		}
		var have Permission
		for i := range ss {
			if ss[i].Context == context && ss[i].fits(typ) {
				have |= ss[i].Permissions
			}
		}
		if have&p == p {
			return true
		}
	}
	return false
}

// Covers says whether this resource may be returned as one that was read: one
// scope fits its type, has r (so v1 read and *), and its criteria hold on the
// resource as given, which must be the form to be returned. This is the rule of
// decision cases.
func (ss Scopes) Covers(r *resource.Resource) bool { return ss.CoversAny(r, Read) }

// CoversMatch says whether this resource may be returned as a match of a
// search: one scope fits its type, has s, and its criteria hold. A token with
// .s alone can so search, and a token with .r alone cannot.
func (ss Scopes) CoversMatch(r *resource.Resource) bool { return ss.CoversAny(r, Search) }

// CoversFound says whether this resource may be in the answer to a search in
// any role, an included one too: r or s.
func (ss Scopes) CoversFound(r *resource.Resource) bool { return ss.CoversAny(r, Read|Search) }

// CoversAny says whether one scope fits the resource's type, has one of the
// letters of p, and has criteria that all hold on the resource as given. For a
// write, ask about the resource that would be stored (and, for an update, about
// the one that stands).
func (ss Scopes) CoversAny(r *resource.Resource, p Permission) bool {
	if r == nil {
		return false
	}
	return ss.CoversPart(r.Type(), r.Root(), p)
}

// CoversPart says the same of a resource that stands inside another one, at n:
// of a contained one.
func (ss Scopes) CoversPart(typ string, n resource.Node, p Permission) bool {
	for i := range ss {
		if ss[i].Permissions&p != 0 && ss[i].fits(typ) && ss[i].holds(typ, n) {
			return true
		}
	}
	return false
}

// fits says whether the scope is about this type.
func (s *Scope) fits(typ string) bool {
	return typ != "" && (s.ResourceType == typ || s.ResourceType == "*")
}

// holds says whether all criteria hold.
func (s *Scope) holds(typ string, root resource.Node) bool {
	for _, c := range s.Criteria {
		if !c.holds(typ, root) && !guard.Off(guard.ScopeCriteria) {
			return false
		}
	}
	return true
}

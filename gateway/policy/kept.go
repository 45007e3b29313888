package policy

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// A Kept says which elements of a type are kept. With Only it lists them;
// otherwise all but Drop are kept. id, meta and what names the subject always are.
type Kept struct {
	Type       string
	Only, Drop []string
	// Within limits what is kept inside an element: element → members.
	Within map[string][]string
	// System keeps only those entries of an element whose system it is.
	System map[string]string
	// Codes keeps the resource only if its code is one of these, or is named
	// by one of Names.
	Codes []label.Code
	Names []string
	// Topic keeps the resource only if its title, category or description
	// names one of these words.
	Topic []string
	// Unless drops the resource if an element has one of the codes.
	Unless map[string][]string
}

// applies says whether the row is about this resource at all.
func (k *Kept) applies(r *resource.Resource) bool {
	root := r.Root()
	// An unknown modifier could turn the meaning of what is kept round.
	if root.Get("modifierExtension").Exists() || root.Get("implicitRules").Exists() {
		return false
	}
	for name, codes := range k.Unless {
		if hasCode(root.Get(name), codes) {
			return false
		}
	}
	if len(k.Topic) > 0 && !k.onTopic(root) {
		return false
	}
	return len(k.Codes)+len(k.Names) == 0 || k.named(root.Get("code"))
}

// hasCode says whether a code, or a coding of a concept, is one of codes.
func hasCode(n resource.Node, codes []string) bool {
	found := false
	n.Descend(func(m resource.Node) bool {
		found = found || m.Kind() == resource.String && slices.ContainsFunc(codes, m.Is)
		return !found
	})
	return found
}

// onTopic says whether title, description or category name one of the topics.
func (k *Kept) onTopic(root resource.Node) bool {
	return names(root.Get("title"), k.Topic) || names(root.Get("description"), k.Topic) || names(root.Get("category"), k.Topic)
}

// named says whether the code is listed, or named by one of the names.
func (k *Kept) named(concept resource.Node) bool {
	for c := range concept.All("coding") {
		system, code := terminology.SystemOf(c.Get("system").Text()), c.Get("code").Text()
		if slices.ContainsFunc(k.Codes, func(l label.Code) bool { return l.Code == code && terminology.SystemOf(l.System) == system }) {
			return true
		}
	}
	return names(concept, k.Names)
}

// names says whether any text below n (codes and systems apart) contains one
// of the words, whatever their case.
func names(n resource.Node, words []string) bool {
	found := false
	n.Descend(func(m resource.Node) bool {
		if found || m.Kind() == resource.String && (m.Name() == "system" || m.Name() == "code") {
			return false
		}
		if m.Kind() == resource.String {
			text := strings.ToLower(m.Text())
			found = slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
		}
		return true
	})
	return found
}

// always are the members that any resource keeps.
func always(name string) bool { return name == "resourceType" || name == "id" || name == "meta" }

// A reach is what one ground opens of a resource: what all of its rows keep.
// None: the whole.
type reach []*Kept

// cut lists what goes of the resource; ok is false if nothing of substance is
// left.
func (x reach) cut(r *resource.Resource) (remove []resource.Node, ok bool) {
	for i, k := range x {
		goes, some := k.cut(r)
		if !some {
			return nil, false
		}
		if i > 0 {
			goes = inEither(remove, goes)
		}
		remove = goes
	}
	return remove, len(x) < 2 || leavesAny(r, remove)
}

// cutAll lists what goes if what any of several grounds opens may stay.
func cutAll(grounds []reach, r *resource.Resource) (remove []resource.Node, ok bool) {
	for _, x := range grounds {
		goes, some := x.cut(r)
		switch {
		case !some:
		case !ok:
			remove, ok = goes, true
		default:
			remove = inBoth(remove, goes)
		}
	}
	return remove, ok
}

// inEither lists what one of two cuts removes, the outer node where one
// encloses the other.
func inEither(a, b []resource.Node) []resource.Node {
	out := slices.Clone(a)
	for _, m := range b {
		if slices.ContainsFunc(out, func(n resource.Node) bool { return encloses(n, m) }) {
			continue
		}
		out = slices.DeleteFunc(out, func(n resource.Node) bool { return encloses(m, n) })
		out = append(out, m)
	}
	return out
}

// leavesAny says whether a cut leaves anything of substance.
func leavesAny(r *resource.Resource, removed []resource.Node) bool {
	for m := range r.Root().Members() {
		name := m.Name()
		if always(name) || name == "text" || name == "subject" || name == "patient" || name == "status" {
			continue
		}
		if !slices.ContainsFunc(removed, func(n resource.Node) bool { return encloses(n, m) }) {
			return true
		}
	}
	return false
}

// inBoth lists what two cuts both remove.
func inBoth(a, b []resource.Node) (both []resource.Node) {
	for _, n := range a {
		for _, m := range b {
			switch {
			case encloses(n, m):
				both = append(both, m)
			case encloses(m, n):
				both = append(both, n)
			}
		}
	}
	return both
}

// cut lists what goes; ok is false if nothing of substance is left.
func (k *Kept) cut(r *resource.Resource) (remove []resource.Node, ok bool) {
	for m := range r.Root().Members() {
		name := m.Name()
		switch {
		case always(name), name == "text" && k.Only == nil: // else it goes with any cut
			continue
		case !k.keeps(name):
			remove = append(remove, m)
			continue
		}
		if name != "subject" && name != "patient" && name != "status" {
			ok = true
		}
		remove = append(remove, k.inside(m, name)...)
	}
	if only := k.System; ok && len(only) > 0 {
		ok = k.leaves(r, remove)
	}
	return remove, ok
}

// keeps says whether an element is kept. What hangs on a primitive (_birthDate)
// and unlisted extensions go.
func (k *Kept) keeps(name string) bool {
	if k.Only == nil {
		return !slices.Contains(k.Drop, name)
	}
	return slices.Contains(k.Only, name)
}

// inside lists what goes within an element that is kept.
func (k *Kept) inside(m resource.Node, name string) (remove []resource.Node) {
	if members, ok := k.Within[name]; ok {
		for e := range m.Elements() {
			for x := range e.Members() {
				if !slices.Contains(members, x.Name()) {
					remove = append(remove, x)
				}
			}
		}
	}
	if system, ok := k.System[name]; ok {
		for e := range m.Elements() {
			if !e.Get("system").Is(system) {
				remove = append(remove, e)
			}
		}
	}
	return remove
}

// leaves says whether anything listed is left when an element that is kept by
// system lost all its entries.
func (k *Kept) leaves(r *resource.Resource, removed []resource.Node) bool {
	for m := range r.Root().Members() {
		name := m.Name()
		if always(name) || name == "text" || slices.Contains(removed, m) {
			continue
		}
		if _, bySystem := k.System[name]; !bySystem {
			return true
		}
		for e := range m.Elements() {
			if !slices.Contains(removed, e) {
				return true
			}
		}
	}
	return false
}

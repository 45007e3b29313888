package policy

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

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

// cutAll lists what goes if what any of the rows keeps may stay; ok is false if
// nothing of substance is left.
func cutAll(rows []*Kept, r *resource.Resource) (remove []resource.Node, ok bool) {
	for _, k := range rows {
		goes, some := k.cut(r)
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

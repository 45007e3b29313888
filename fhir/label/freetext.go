package label

import (
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// Texts: a narrative, a note or a concept without a code that says "ICD-10:
// F11.20" or "heroin use disorder" tells as much as a Coding.

// text adds what the codes and words of a text imply. words says whether words
// count as well, service whether the text names who gives a service.
func (l *Labeller) text(text []byte, at resource.Node, words, service bool, into *Labels) {
	l.table.TextCodes(text, func(code []byte, set *terminology.Set) {
		into.compute(set.Sensitivity, Reason{Basis: "text", Code: Code{terminology.ICD10CM.URI(), string(code)}, Set: set.ID, at: at})
	})
	if words {
		l.table.Words(text, service, func(set *terminology.Set, phrase string) {
			into.compute(set.Sensitivity, Reason{Basis: "text", Code: Code{Code: phrase}, Set: set.ID, at: at})
		})
	}
}

// A reading says how the texts of a resource are read.
type reading struct {
	l     *Labeller
	words bool // words count: the resource is about a person
	holds bool // resources may stand below: they have their own turn
	visit func(text []byte, holder, at resource.Node, words, service bool)
}

// texts looks through the texts of the resource at n. What a principal element
// says labels the resource, what another text says the element that holds the
// text. What the narrative or a tag says labels that, and the resource too if
// its principal element says nothing that is understood.
func (l *Labeller) texts(n resource.Node, k kind, principal []resource.Node, own, top *Labels) {
	meta, narrative := n.Get("meta"), n.Get("text")
	opaque := k.coded() && !l.understood(principal)
	ofElement := func(text []byte, holder, at resource.Node, words, service bool) {
		sub := top.part()
		if l.text(text, at, words, service, &sub); sub.Sensitive() {
			top.Elements = append(top.Elements, Element{holder, sub})
		}
	}
	ofResource := func(text []byte, _, at resource.Node, words, service bool) {
		l.text(text, at, words, service, own)
	}
	for m := range n.Members() {
		before := len(top.Elements)
		rd := reading{l: l, words: k.personal(), visit: ofElement}
		switch {
		case isPrincipal(principal, m):
			rd.holds, rd.visit = k.holdsResources, ofResource
			rd.below(m, n, m.Name())
		case m == meta:
			for _, part := range [...]string{"tag", "extension"} {
				rd.below(meta.Get(part), meta, part)
			}
		default:
			rd.holds = k.holdsResources || m == n.Get("contained")
			rd.below(m, n, m.Name())
		}
		if opaque && (m == meta || m == narrative) {
			for i := before; i < len(top.Elements); i++ {
				for _, s := range top.Elements[i].Labels.Sensitivity {
					own.compute(s, Reason{Basis: "text", at: top.Elements[i].Node})
				}
			}
		}
	}
}

// below visits every text below m, a member of parent of this name or an
// element of that, with the element that would have to go with it: a Narrative
// for its div, a Coding for its display, a concept for its text, a Reference
// for its display.
func (rd *reading) below(m, parent resource.Node, name string) {
	switch m.Kind() {
	case resource.Array:
		for e := range m.Elements() {
			rd.below(e, parent, name)
		}
	case resource.Object:
		if rd.holds && m.Get("resourceType").Kind() == resource.String {
			return
		}
		for c := range m.Members() {
			rd.below(c, m, c.Name())
		}
	case resource.String:
		rd.at(m, parent, name)
	}
}

// at visits one string, if it may hold words.
func (rd *reading) at(m, parent resource.Node, name string) {
	if !isFreeText(name) {
		return
	}
	system := terminology.Unknown
	if s := parent.Get("system"); s.Kind() == resource.String {
		system = terminology.SystemOf(stringBytes(s))
	}
	if name == "code" && system != terminology.Unknown {
		return
	}
	// A label's own display ("substance abuse information sensitivity") says
	// nothing about the person.
	words := rd.words && name != "code" && (system == terminology.Unknown || system.Clinical())
	holder, service := m, false
	switch coded := parent.Get("code").Exists(); {
	case name == "div", name == "text" && parent.Get("coding").Exists(), (name == "display" || name == "code") && coded:
		holder = parent
	case name == "display" && !coded:
		holder, service = parent, true
	}
	rd.visit(plain(stringBytes(m)), holder, m, words, service)
}

// isFreeText says whether strings of this name may hold words. Names of persons
// and places, links and numbers of things do not; a code does if its system is
// not known.
func isFreeText[T string | []byte](name T) bool {
	switch string(name) {
	case "system", "url", "uri", "reference", "id", "resourceType", "value", "unit", "fullUrl", "profile", "source", "version", "versionId",
		"contentType", "data", "hash", "lotNumber", "serialNumber", "implicitRules", "language", "start", "end", "lastUpdated",
		"family", "given", "prefix", "suffix", "line", "city", "district", "state", "postalCode", "country", "linkId":
		return false
	}
	return true
}

// understood says whether a principal element has a code of a system that the
// value sets speak of.
func (l *Labeller) understood(principal []resource.Node) bool {
	found := false
	for _, p := range principal {
		p.Descend(func(n resource.Node) bool {
			if s := n.Get("system"); n.Kind() == resource.Object && s.Kind() == resource.String && n.Get("code").Kind() == resource.String {
				found = found || terminology.SystemOf(stringBytes(s)).Clinical()
			}
			return !found
		})
	}
	return found
}

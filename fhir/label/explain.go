package label

import (
	"slices"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// A Cause says why one label stands on a resource or on an element of it. One
// label may have several causes.
type Cause struct {
	Label   string // "SUD", "42CFRPart2", "R", "CHRI"
	Element string // FHIRPath of the element that the label is of; "" for the resource itself
	Path    string // FHIRPath of the value that brings it; "" for an origin
	// System and Code are the code that brings it, as the resource has it but
	// with the system's canonical URI; a text's words have no system.
	System, Code string
	// Set is the value set that has the code, SetVersion its version and content
	// hash, Source where the set comes from; "" where no set is involved.
	Set, SetName, SetVersion, Source string
	// Basis is how it follows: "code", "text" (a code or a word in a text),
	// "stated" (the resource says so itself), "inline", "consent" (what a Consent
	// is about), "notice" (of 42 CFR 2.32), "origin" (where it comes from).
	Basis string
}

// Explain returns the cause of every label that Label gives r: of the resource
// itself, then of its elements, each in document order. It is the slow way to
// the same labels; a decision keeps none of it and asks again when it has to be
// explained. A resource without labels has no causes.
func (l *Labeller) Explain(r *resource.Resource, o resource.Origin) []Cause {
	labels := Labels{all: true}
	l.Label(r, o, &labels)
	causes := l.causes(r, "", labels.Because)
	for i := range labels.Elements {
		e := &labels.Elements[i]
		causes = append(causes, l.causes(r, PathTo(r, e.Node), e.Labels.Because)...)
	}
	return causes
}

// causes writes the reasons of one labelled thing.
func (l *Labeller) causes(r *resource.Resource, element string, reasons []Reason) []Cause {
	var out []Cause
	for _, why := range reasons {
		c := Cause{Label: why.Label, Element: element, Path: PathTo(r, why.at), System: why.Code.System, Code: why.Code.Code, Set: why.Set, Basis: why.Basis}
		if s := l.set(why); s != nil {
			c.SetName, c.SetVersion, c.Source = s.Name, s.Version+" "+s.Hash, s.Source
		}
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}

// set finds the value set of a reason: one id may hold sets of several systems.
func (l *Labeller) set(why Reason) *terminology.Set {
	if why.Set == "" {
		return nil
	}
	for _, h := range l.table.LookupString(why.Code.System, why.Code.Code) {
		if h.Set.ID == why.Set {
			return h.Set
		}
	}
	return l.table.Set(why.Set)
}

package label

import (
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

// InlineLabelURL is the DS4P extension that puts a label on one element.
const InlineLabelURL = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label"

// inline looks for inline labels below a principal element.
func (l *Labeller) inline(m resource.Node, top *Labels) {
	m.Descend(func(n resource.Node) bool {
		if n.Kind() == resource.Object {
			l.inlineAt(n, top)
		}
		return true
	})
}

// inlineAt adds an element for n if n bears an inline label: the object itself,
// or for a primitive its `_name` twin.
func (l *Labeller) inlineAt(n resource.Node, top *Labels) {
	for x := range n.All("extension") {
		if !isInlineURL(x.Get("url")) {
			continue
		}
		sub := top.part()
		sub.stateInline(x)
		top.Elements = append(top.Elements, Element{n, sub})
	}
}

// stateInline adds the label of an inline-label extension; of another
// extension it adds nothing.
func (l *Labels) stateInline(x resource.Node) {
	if !isInlineURL(x.Get("url")) {
		return
	}
	why := Reason{Basis: "inline", at: x}
	l.state(x.Get("valueCoding"), why)
	l.state(x.Path("valueCodeableConcept", "coding"), why)
	for nested := range x.All("extension") {
		l.state(nested.Get("valueCoding"), why)
	}
	if !l.all { // else each code is noted
		why.Label = l.Level.String()
		l.Because = append(l.Because, why)
	}
}

// isInlineURL accepts the published URL and spellings of its last part, since
// missing an inline label leaks.
func isInlineURL(url resource.Node) bool {
	if url.Kind() != resource.String {
		return false
	}
	return url.Is(InlineLabelURL) || strings.Contains(strings.ToLower(url.Text()), "inline-sec-label")
}

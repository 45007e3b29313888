package label

import (
	"strconv"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

// PathTo returns the FHIRPath of a value of r: "Condition.code.coding[0]",
// "Observation.value.ofType(CodeableConcept)". "" for an absent value.
func PathTo(r *resource.Resource, to resource.Node) string {
	if !to.Exists() {
		return ""
	}
	at, path := r.Root(), r.Type()
	for at != to {
		next, name := child(at, to)
		if !next.Exists() {
			return path
		}
		at, path = next, path+name
	}
	return path
}

// child returns the member or element of at that holds to, and how FHIRPath
// comes to it.
func child(at, to resource.Node) (resource.Node, string) {
	start, end := to.Span()
	i := 0
	step := func(c resource.Node) bool {
		s, e := c.Span()
		return s <= start && end <= e
	}
	if at.Kind() == resource.Array {
		for c := range at.Elements() {
			if step(c) {
				return c, "[" + strconv.Itoa(i) + "]"
			}
			i++
		}
		return resource.Node{}, ""
	}
	for m := range at.Members() {
		if step(m) {
			return m, "." + elementName(m.Name())
		}
	}
	return resource.Node{}, ""
}

// choices are the elements with a type in their JSON names that a label may
// stand at or below, as R4 has them.
var choices = [...]string{"value", "medication", "onset", "abatement", "effective", "performed", "deceased", "occurrence", "reported", "product", "item", "source", "content", "subject", "allowed", "diagnosis", "procedure", "location", "target"}

// choiceTypes are the types that such a name ends in.
var choiceTypes = [...]string{"CodeableConcept", "Coding", "Reference", "String", "Annotation", "Attachment", "Quantity", "Period", "Range", "Age", "Code", "Uri", "Markdown", "DateTime", "Boolean", "Identifier", "Expression", "Signature", "ContactPoint", "HumanName", "Address"}

// elementName writes a JSON member's name as FHIRPath does: "_birthDate" is
// birthDate, "valueCoding" is value.ofType(Coding).
func elementName(name string) string {
	name = strings.TrimPrefix(name, "_")
	for _, stem := range choices {
		rest, ok := strings.CutPrefix(name, stem)
		if !ok {
			continue
		}
		for _, t := range choiceTypes {
			if rest == t {
				if t == "String" || t == "Code" || t == "Uri" || t == "Markdown" || t == "DateTime" || t == "Boolean" {
					t = strings.ToLower(t[:1]) + t[1:]
				}
				return stem + ".ofType(" + t + ")"
			}
		}
	}
	return name
}

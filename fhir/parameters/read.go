package parameters

import (
	"fmt"
	"maps"
	"slices"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
)

// A Param describes one parameter of an operation.
type Param struct {
	Name string
	// Value is the member that holds it: "valueString", "valueBoolean",
	// "valueReference", "valueCoding", "resource" …; "part" for a parameter made of
	// Parts. "value[x]" takes any value.
	Value    string
	Required bool
	Many     bool    // may be repeated
	Parts    []Param // what "part" may hold
}

// A Spec is all that an operation knows.
type Spec []Param

// A Set is what was read: parameters, or the parts of one.
type Set struct {
	at     string // FHIRPath of the list
	values map[string][]Value
}

// A Value is one parameter as it was sent.
type Value struct {
	Node  resource.Node // the value itself; of a parameter with parts its list
	Parts Set           // of a parameter with parts
	At    string        // FHIRPath, "Parameters.parameter[2].valueString"
}

// Read takes a Parameters resource apart. Errors are 400s that say where.
func Read(r *resource.Resource, s Spec) (Set, error) {
	if r == nil || r.Type() != "Parameters" {
		return Set{}, outcome.BadRequest(outcome.CodeStructure, "the body must be a Parameters resource").At("Parameters")
	}
	for m := range r.Root().Members() {
		switch name := m.Name(); name {
		case "resourceType", "id", "meta", "parameter":
		default:
			return Set{}, outcome.BadRequest(outcome.CodeStructure, "Parameters has no element %q that is understood here", clip(name)).At("Parameters." + clip(name))
		}
	}
	list := r.Root().Get("parameter")
	if list.Exists() && list.Kind() != resource.Array {
		return Set{}, outcome.BadRequest(outcome.CodeStructure, "parameter must be a list").At("Parameters.parameter")
	}
	return read(list, s, "Parameters.parameter")
}

func read(list resource.Node, s Spec, at string) (Set, error) {
	out := Set{at: at, values: map[string][]Value{}}
	i := 0
	for n := range list.Elements() {
		place := fmt.Sprintf("%s[%d]", at, i)
		i++
		if err := out.take(n, s, place); err != nil {
			return Set{}, err
		}
	}
	for _, p := range s {
		if p.Required && len(out.values[p.Name]) == 0 {
			return Set{}, outcome.BadRequest(outcome.CodeRequired, "the parameter %q is missing", p.Name).At(at)
		}
	}
	return out, nil
}

// take reads one parameter.
func (s *Set) take(n resource.Node, spec Spec, at string) error {
	if n.Kind() != resource.Object {
		return outcome.BadRequest(outcome.CodeStructure, "a parameter must be an object").At(at)
	}
	name := n.Get("name").Text()
	k := slices.IndexFunc(spec, func(p Param) bool { return p.Name == name })
	if k < 0 || name == "" {
		return outcome.BadRequest(outcome.CodeNotSupported, "there is no parameter %q here", clip(name)).At(at + ".name")
	}
	p := spec[k]
	if len(s.values[name]) > 0 && !p.Many {
		return outcome.BadRequest(outcome.CodeMultiple, "the parameter %q stands more than once", name).At(at)
	}
	v := Value{At: at}
	for m := range n.Members() {
		switch member := m.Name(); {
		case member == "name" || member == "id":
		case member == p.Value, p.Value == "value[x]" && isValue(member):
			v.Node, v.At = m, at+"."+member
		default:
			return outcome.BadRequest(outcome.CodeStructure, "the parameter %q takes %s, not %s", name, p.Value, clip(member)).At(at)
		}
	}
	if !v.Node.Exists() || v.Node.Kind() == resource.Null {
		return outcome.BadRequest(outcome.CodeRequired, "the parameter %q has no %s", name, p.Value).At(at)
	}
	if want := kindOf(p.Value); want != 0 && v.Node.Kind() != want &&
		!(p.Value == "valueBoolean" && v.Node.Kind() == resource.False) {
		return outcome.BadRequest(outcome.CodeStructure, "%s has the wrong JSON type", p.Value).At(v.At)
	}
	if p.Value == "part" {
		var err error
		if v.Parts, err = read(v.Node, p.Parts, v.At); err != nil {
			return err
		}
	}
	s.values[name] = append(s.values[name], v)
	return nil
}

func isValue(member string) bool { return len(member) > 5 && member[:5] == "value" }

// kindOf is the JSON kind of a value's member; 0 for any.
func kindOf(value string) resource.Kind {
	switch value {
	case "valueBoolean":
		return resource.True // or False
	case "valueInteger", "valueDecimal", "valuePositiveInt", "valueUnsignedInt":
		return resource.Number
	case "value[x]":
		return 0
	case "part":
		return resource.Array
	case "resource", "valueReference", "valueCoding", "valueCodeableConcept", "valueIdentifier", "valuePeriod",
		"valueSignature", "valueHumanName", "valueContactPoint", "valueAttachment", "valueDuration", "valueQuantity":
		return resource.Object
	}
	return resource.String
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}

// Has says whether the parameter was sent.
func (s Set) Has(name string) bool { return len(s.values[name]) > 0 }

// All returns every value of a parameter, in order.
func (s Set) All(name string) []Value { return s.values[name] }

// One returns the value of a parameter; its Node does not exist if none was sent.
func (s Set) One(name string) Value {
	if v := s.values[name]; len(v) > 0 {
		return v[0]
	}
	return Value{At: s.at}
}

// Text returns a string-like value, "" if none was sent. A Reference stands for
// its reference.
func (s Set) Text(name string) string { return s.One(name).Text() }

// Texts returns all string-like values of a parameter.
func (s Set) Texts(name string) []string {
	var out []string
	for _, v := range s.values[name] {
		out = append(out, v.Text())
	}
	return out
}

// Flag returns a boolean value, false if none was sent.
func (s Set) Flag(name string) bool {
	b, _ := s.One(name).Node.Bool()
	return b
}

// Text is the value as text; of a Reference its reference.
func (v Value) Text() string {
	if v.Node.Kind() == resource.Object {
		return v.Node.Get("reference").Text()
	}
	return v.Node.Text()
}

// Names lists the parameters that were sent, sorted.
func (s Set) Names() []string { return slices.Sorted(maps.Keys(s.values)) }

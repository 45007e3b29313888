package smart

import (
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
)

// A Criterion narrows a scope: a token search parameter of R4 with a value as
// FHIR search writes it: "code", "system|code", "system|", "|code", several with
// commas between (any of them). It means what a search by it would find, on the
// resource alone. Values are unescaped from the URL, not from FHIR's backslash.
type Criterion struct{ Param, Value string }

// holds says whether the criterion holds on a resource of the type, at root, in
// this form. What cannot be evaluated holds on nothing.
func (c Criterion) holds(typ string, root resource.Node) bool {
	return search.HasToken(root, typ, c.Param, c.Value)
}

// supported says whether the criterion can be evaluated on a type; for "*", on
// some type.
func (c Criterion) supported(typ string) bool { return search.CheckToken(typ, c.Param, c.Value) == nil }

// implies says whether whatever satisfies c satisfies d too.
func (c Criterion) implies(d Criterion) bool {
	return c.Param == d.Param && search.TokensWithin(c.Value, d.Value)
}

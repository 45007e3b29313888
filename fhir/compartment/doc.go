// Package compartment says which persons a resource is about.
//
// [Patients] follows R4's patient compartment: every Patient that one of the
// compartment's positions names. It decides nothing; it answers emptily for a
// resource that is about nobody (an Organization), so a caller that must not
// show records of other persons refuses what is about more than the one asked
// for, and treats a logical or contained reference as a person it cannot name
// ([Unresolved]).
//
// [Subject] is the one person whose consents govern the resource.
//
// Callers: gateway/smart (patient scopes), gateway/attribute and
// gateway/enforce (whose consents), the store's writers (index by person).
//
// Spec: https://hl7.org/fhir/R4/compartmentdefinition-patient.html
package compartment

//go:generate go run ./gen -compartment ../../../shared/data/fhir/r4-definitions/compartmentdefinition-patient.json -parameters ../../../shared/data/fhir/r4-definitions/search-parameters.json

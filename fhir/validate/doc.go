// Package validate checks a resource's bytes against the structures of FHIR
// R4: known elements, required elements, single or repeating, JSON kinds, the
// form of primitives, codes of required bindings, the shape and targets of
// references, extensions, narratives, and the invariants that a mapping gets
// wrong most easily. It returns issues with a place, and changes nothing.
//
// It covers every resource type of R4 4.0.1, from one table generated from the
// official definitions, and the claims of resources to be US Core 5.0.1 Patients
// or Encounters. It does not check other profiles, terminology beyond
// required bindings, or whether a reference resolves outside the resource.
// Where R4 leaves room it lets pass: an issue of severity error means that the
// bytes are not R4. A reference to a type that R4 does not list for the element
// is a warning, since even official examples have such.
//
// It works on bytes, not on typed models: those drop what they do not know.
// Callers: adapters/ingest and convert (what was built), gateway/rest (what is
// written).
//
// Spec: https://hl7.org/fhir/R4/json.html, https://hl7.org/fhir/R4/datatypes.html
package validate

// definitions.tsv is made by
//
//	go run ./gen -definitions DIR
//
// with DIR holding R4's profiles-types.json, profiles-resources.json and
// valuesets.json. A test compares it with the part of these files that stands
// beside the checkout.

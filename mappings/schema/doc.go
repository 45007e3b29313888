// Package schema knows the shape of the FHIR R4 types that mappings may build,
// and builds JSON that cannot have another shape.
//
// The shapes are read from the samply/golang-fhir-models types by reflection:
// element names and their order, what repeats, what is required, which codes a
// required binding allows. What those types lack is added here: `contained` and
// primitive extensions (`_birthDate`). Values are never encoded through the
// typed models, whose zero values mean something (an empty Consent encodes as
// draft): an element that nobody set is not in the output, and one that is
// required and missing is an error.
//
// It knows no mapping and no source. The engine in package mappings calls it.
//
// Spec: https://hl7.org/fhir/R4/json.html
package schema

// Package casefile runs the tests of mappings that stand beside them as data
// ([mappings.CaseFile]): it converts the input of a case as `handoff convert`
// would, last state of each resource, and compares what comes out with what the
// case expects, by FHIRPath.
//
// It stores nothing and knows no format of its own. It is called by
// `handoff map test` and by the tests of the built-in mappings.
//
// Spec: https://hl7.org/fhirpath/N1/
package casefile

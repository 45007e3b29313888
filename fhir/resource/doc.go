// Package resource holds one FHIR resource as the bytes it came in, with an
// index of where each element stands, so that a reader can look at any element
// and a writer can cut or set one while every other byte stays as it was.
//
// It turns bytes into a [Resource] (strictly: UTF-8, no duplicate names, names
// in exact case, capped size and depth) and a set of cuts and replacements back
// into bytes ([Editor]). It never converts a number, never reorders a member,
// never drops what it does not know: unknown fields, primitive extensions
// (`_birthDate`), `contained` and decimals such as 1.00 survive because they
// are never re-encoded.
//
// Everything that reads or changes FHIR JSON in Handoff goes through it: label,
// search, policy, enforce, broker. It knows no request, vendor or policy.
//
// Spec: https://hl7.org/fhir/R4/json.html
package resource

// Package store says what Handoff asks of a place to keep things: [Store] for
// FHIR resources with their versions, [Facts] for small compare-and-set values
// that may expire, [Log] for append-only streams. Every implementation (sqlite,
// mongo) passes the suite in storetest; correctness rests on the atomicity of a
// single document, so that all of them follow the same logic.
//
// A store keeps bytes and index entries; it decides nothing. It never parses a
// resource, never filters by rights, never lets a reader see part of a unit of
// work. Gateway and adapters meet here and nowhere else.
//
// Spec: https://hl7.org/fhir/R4/http.html (versions, conditional interactions)
package store

// Package identity keeps which Patients of which systems are one person, and
// the opaque ids under which resources of connected systems appear here.
//
// It never merges records and never answers a caller: broker asks it whom to
// ask for, ingest proposes links. Matching itself is fhir/match.
//
// Spec: IHE PIXm, PDQm
package identity

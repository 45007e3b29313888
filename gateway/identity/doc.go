// Package identity keeps which Patients of which systems are one person, and
// the opaque ids under which resources of connected systems appear here.
//
// [Links] turns a roster, an ingested Patient or a reviewer's word into
// versioned links, and a reference into the class of all Patients that
// confirmed links join. [IDMap] turns a system's id into an opaque one and
// back. It never merges records and never answers a caller: the pipeline asks
// it whom to ask for, ingest proposes links. Matching itself is fhir/match.
//
// Spec: IHE PIXm, PDQm
package identity

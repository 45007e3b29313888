// Package convert turns sources into FHIR without a store: NDJSON, or one
// transaction Bundle, and the rejects as JSON lines.
//
// A file is read twice: first to see which version of each record and of each
// shared resource is the last one, and what is expunged; then to write. So each
// resource comes out once, in its final state, and nothing comes out of a record
// that is expunged further down. A stream is read once: a resource comes out
// each time it changes, and a later line replaces an earlier one of its id.
//
// Memory holds a few words for each record key and each shared resource, never
// the resources (except for a Bundle made from a stream, and the Patients of a
// stream whose mapping merges persons). Of records that say only what changes
// (docs/adr/0024) it holds, packed, what they come to, until it comes out.
// Package cmd/handoff calls it.
package convert

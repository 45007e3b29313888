// Package bundle writes Bundles around resources that stay as they are, and
// reads an upstream's Bundle entry by entry.
//
// [Bundle] collects raw resources without copying or re-encoding them and
// writes the document in one go, so that a page can be decided and audited
// whole before its first byte. Its buffers are pooled.
//
// [Reader] takes a Bundle apart while it comes in: strict JSON (UTF-8, no
// duplicate names), capped in bytes and entries, every resource parsed by
// package resource. What it holds is one entry.
//
// It decides nothing: total, links and the security high-water mark are the
// caller's. Callers: gateway/rest (answers), fhir/client and gateway/upstream
// (pages of a search), the convert command (transactions).
//
// Spec: https://hl7.org/fhir/R4/bundle.html
package bundle

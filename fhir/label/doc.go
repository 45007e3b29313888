// Package label computes the security labels of a resource from its codes and
// its origin, whatever labels it brings: those add or raise, never lower.
//
// It never sets 42 CFR Part 2 from a clinical code: that follows from the
// origin. It changes no resource; enforce acts on what it finds. Ingest and
// the gateway call it.
//
// Spec: https://hl7.org/fhir/R4/security-labels.html, HL7 DS4P
package label

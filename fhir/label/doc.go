// Package label computes the security labels of a resource from its codes and
// its origin, whatever labels it brings: those add or raise, never lower.
//
// It turns one resource and its origin into [Labels] ([Labeller.Label]): the
// resource's own labels from meta.security, its principal codes and where it
// comes from, and a list of elements (secondary codes, contained resources,
// DS4P inline labels) with labels of their own. It also renders meta.security,
// of a resource ([MetaSecurity]) and of a Bundle ([HighWater]).
//
// Texts count as far as they name an ICD-10-CM code or a word of the value sets:
// in a principal element they label the resource, elsewhere the element that
// holds them, and the resource too if nothing else says what it is about. A
// Consent is labelled by what it is about. [Labeller.Explain] gives the cause of
// each label.
//
// It never sets 42 CFR Part 2 from a clinical code: that follows from the
// origin. It changes no resource; enforce acts on what it finds. Ingest and
// the gateway call it.
//
// Spec: https://hl7.org/fhir/R4/security-labels.html, HL7 DS4P
package label

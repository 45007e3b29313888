// Package consentform reads the form of a Consent: which elements of a written
// consent by 42 CFR 2.31 and of an authorization by 45 CFR 164.508 are there,
// and which of its clauses are void, will never match or contradict each other.
//
// It turns a Consent into [Element] and [Finding], each with its place and
// citation. It decides nothing: what a Consent opens is the decision point's to
// say (package gateway/whatif asks it), and a finding changes no decision. It
// has no clock and does no I/O. The command `consent lint` and the gateway's
// Consent registry call it.
//
// Spec: 42 CFR 2.31, 45 CFR 164.508, https://hl7.org/fhir/R4/consent.html
package consentform

// Package consent reads FHIR R4 Consents and says what one of them states about
// one resource in one context: permit, deny, a residual deny, or nothing, and
// through which provision path. How several Consents, the law and the scopes
// combine is policy's job.
//
// It does no I/O and has no clock. Reading is lenient towards denying: a
// Consent with something unknown in it may deny and never grants.
//
// Spec: https://hl7.org/fhir/R4/consent.html
package consent

// Package consent reads FHIR R4 Consents and says what one of them states about
// one resource in one context: permit, deny, a residual deny, or nothing, and
// through which provision path. How several Consents, the law and the scopes
// combine is policy's job.
//
// A Consent goes through three forms, so that the cost per resource is small:
//
//	Parse    bytes to rules, once a Consent: strict, but it never fails
//	Compile  rules to what is left of them for one question: who asks, for what, when
//	Judge    one resource against what is left; nothing is allocated
//
// Matching is three-valued. Unknown never satisfies a permit and always
// satisfies a deny. Reading is lenient towards denying only: a Consent with
// something in it that is not understood (an unknown code, a modifier
// extension, a value of the wrong kind, a recorder not entitled) may still deny
// and never grants.
//
// The package does no I/O and has no clock. It does not decide which Consents
// there are, nor who may record one: the caller says so in [Source].
//
// Spec: https://hl7.org/fhir/R4/consent.html, and IHE PCF appendix P for how
// elements of a provision add up.
package consent

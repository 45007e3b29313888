// Package capture turns what a person said or signed on the scene into a
// Consent: it reads the Parameters or the QuestionnaireResponse of
// Consent/$capture, holds them to the ceilings of how it was captured, and
// builds the Consent, the request to call back and what the record of the
// capture says.
//
// What is only said opens police contact data to health organisations, never
// health data to police; what is signed opens health data, and data of a Part 2
// program only with every element of 42 CFR 2.31. The form of law is set here
// and never taken from the caller. It reads no store, has no clock and decides
// nothing about an answer: the ceiling is kept beside the Consent (origin) and
// holds in every decision. The gateway's $capture calls it.
//
// Spec: 42 CFR 2.31, 45 CFR 164.508, https://hl7.org/fhir/R4/consent.html,
// https://hl7.org/fhir/R4/questionnaireresponse.html
package capture

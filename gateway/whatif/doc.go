// Package whatif shows what a Consent would and would not open: for kinds of
// requesters on the scene and around it, and classes of data, it asks the
// decision point itself, once without and once with the Consent, about samples
// made for the purpose. Nothing is guessed and nothing of a real person is read:
// the answer depends on the Consent, the law and the site's configuration alone.
//
// What it cannot show is the effect of the person's other Consents, of legal
// bases and of labels that a real record may have besides its class. It decides
// nothing that is enforced. The command `consent lint` and the gateway's Consent
// registry call it.
//
// Spec: 42 CFR 2.31-2.33, 45 CFR 164.508, https://hl7.org/fhir/R4/consent.html
package whatif

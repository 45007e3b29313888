// Package emergency is the paper of breaking the glass: the declaration of
// medical personnel, the record of what was disclosed under it (42 CFR 2.51(c)),
// the custodian's review, and the notice to its privacy contact.
//
//	Declaration  Task           of the declarer; in force for a limited time
//	Record       Communication  of the custodian, in the patient's records
//	Review       Task           of the custodian: due by a day, closed with an outcome
//	Notice       Communication  of the custodian, to its privacy contact
//
// The record is a Communication because that is what the law asks to be
// documented in the patient's records: information that went from one to
// another, when, and why; it stands in the Patient's compartment, while an
// AuditEvent stands in a trail. One record is kept per declaration and
// custodian, and grows with what is disclosed.
//
// Everything here is pure: times, ids and names are arguments; each form is
// written with its function and read with another. Whether a declaration counts
// is policy's to say; when a record is written is the gateway's: before the
// answer leaves.
//
// Spec: 42 CFR 2.51(c), https://hl7.org/fhir/R4/communication.html
package emergency

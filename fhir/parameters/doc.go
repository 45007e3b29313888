// Package parameters reads the Parameters resource that an operation takes and
// writes the one it returns.
//
// A [Spec] lists what an operation knows; [Read] refuses the rest (a name not
// listed, a value of another type, a second value where one is meant), and says
// where. Values stay raw nodes of the document that was sent. It decides
// nothing about what they mean: that is the operation's job. The gateway's
// operations call it.
//
// Spec: https://hl7.org/fhir/R4/parameters.html, https://hl7.org/fhir/R4/operations.html
package parameters

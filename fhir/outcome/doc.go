// Package outcome turns errors into FHIR OperationOutcomes.
//
// An [Error] says what the caller may know (status, issue code, diagnostics,
// the place in the request) and keeps apart what only the operator may know
// (the wrapped error). [Render] is the one translation at the edge: an error
// that is not an *Error, whatever it says, becomes a 500 with a constant text,
// so that no driver's, path's or upstream's words reach a caller by accident.
//
// What must not differ does not differ: a resource that is hidden, deleted and
// hidden, or was never there is answered with the same bytes ([NotFoundBody]),
// and an answer with systems missing carries the same constant ([Incomplete]).
//
// It never logs and never decides. Callers: gateway/rest, the broker, the
// console, the command line.
//
// Spec: https://hl7.org/fhir/R4/operationoutcome.html, issue codes
// https://hl7.org/fhir/R4/valueset-issue-type.html
package outcome

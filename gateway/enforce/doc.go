// Package enforce is the Policy Enforcement Point: it carries out one decision
// on the bytes of one resource, and it is the last to touch them.
//
// It turns a Decision into nothing, or into the resource without the elements
// that the decision removes, without references to what the caller may not see,
// with the computed labels in meta.security and with what the obligations ask
// for ([Apply]). Whatever it does not understand (an effect, an obligation, a
// node of another resource, a type without a known structure) lets nothing out:
// an error means no bytes, and so does the zero Result.
//
// It never decides what is withheld, never fetches, and never rewrites ids. What
// it returns is valid against the cardinalities of R4 as far as what came in was:
// a cut grows to the smallest optional element around it. The gateway's pipeline
// calls it for every resource of every answer.
//
// Spec: https://hl7.org/fhir/R4/security-labels.html, 42 CFR 2.32
package enforce

// Package broker asks connected systems about one person, all at once, and
// hands on what comes back as resources of this gateway.
//
// It turns a type, checked parameters and a list of (system, patient id) into
// resources whose ids and references are opaque, with the systems that failed
// beside them. What goes out to a system is the patient's id there and
// parameters that narrow without telling anything of a person. What comes back
// is kept only if it is about that patient, whatever the system claims.
//
// It decides nothing: whom to ask, and what of the answer may be shown, are the
// pipeline's and enforce's questions. It knows no caller; the key under which
// equal requests share one answer is given to it.
//
// Spec: https://hl7.org/fhir/R4/search.html
package broker

// Package rest is the FHIR RESTful API as HTTP: one table of routes, the
// reading of a request into an interaction, and the writing of an answer that
// the pipeline has finished.
//
// It decides nothing, touches no data and holds the only use of gin. Every
// FHIR route of the gateway stands in [Routes]; what is not there is answered
// by the same handler as an unknown interaction, so that it is authenticated
// and audited too.
//
// Spec: https://hl7.org/fhir/R4/http.html
package rest

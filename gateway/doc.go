// Package gateway answers one FHIR request at a time, in this order:
//
//	rest       which interaction is asked; what no route fits is refused too
//	auth       bearer token -> Principal                                           401
//	smart      do its scopes allow this interaction on this type?                  403
//	rest       read parameters and body; a parameter it does not know is refused   400
//	attribute  who the person is, across systems; Consents; agreements: the only reads before deciding
//	policy     may anything of this person go to this caller, from which system?
//	broker     ask those systems; say whether one did not answer
//	enforce    per resource keep, redact or drop; match again on the returned form  on any error: 500, no body
//	audit      one event a request, permitted or refused, durable first
//	render     the answer
//
// No step calls another: [Server.handle] in pipeline.go calls them in turn for
// every interaction, and an interaction only fills in hooks. Nothing is decided
// here: policy decides, enforce carries out, this package keeps the order and
// fails closed. cmd/handoff builds a Server and listens.
package gateway

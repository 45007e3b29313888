// Package auth says who is asking: it verifies what comes from outside signed
// (client assertions, access tokens), runs the SMART Backend Services token
// endpoint, and turns a bearer token into a [Principal].
//
//	TokenEndpoint  form -> assertion -> registered client -> jti used once -> scopes cut down -> audit -> token
//	Verifier       bearer -> signature (cached) -> exp -> deny list -> client's registration now -> Principal
//
// Every outside signature is verified by one function, verifySignature, against
// keys and algorithms pinned in configuration. The package never takes an
// organisation, role or purpose from a request; those come from registration.
// It decides nothing about data. The pipeline calls the verifier first; the
// token endpoint is a plain http.Handler that the server mounts.
//
// Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html,
// https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html
package auth

// Package client asks a FHIR R4 server over HTTP: it turns a type, an id or
// search parameters into requests, and the answers into raw resources.
//
// It trusts nothing that comes back. Sizes, pages, redirects and next links
// are bounded, compression is counted after unpacking, an answer must be FHIR
// JSON, and a token is sent to the server's own base and nowhere else. Only GET
// is retried. Errors name the system and the kind of request; they never carry
// an id, a query string or a piece of a body, so they may be logged.
//
// It never judges whether a resource may be shown, and never changes one. It
// authenticates with a [TokenSource]; [BackendTokens] implements SMART Backend
// Services with a signer that is passed in. gateway/upstream and the adapters
// that poll call it.
//
// Spec: https://hl7.org/fhir/R4/http.html,
// https://hl7.org/fhir/smart-app-launch/backend-services.html
package client

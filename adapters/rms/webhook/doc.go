// Package webhook takes the events that a records system sends over HTTP.
//
//	POST ── Scheme.Verify ── Events ── inbox.Receive ── 202, 200, 409, 503
//	        401 HMAC         split     durable
//
// A [Receiver] proves that a request comes from who holds the secret, and that it
// is not an old one, before it reads anything into the body. It answers 2xx when
// every event is durable. Who proves nothing is told nothing: one answer, whatever
// was wrong.
//
// The receiver interprets no event but its id. It is mounted by cmd/handoff on
// the gateway's own server, beside FHIR and its tokens.
package webhook

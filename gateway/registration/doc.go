// Package registration keeps the clients that are registered while the gateway
// runs, beside those of the configuration, and says of all of them what is wrong
// or wider than it need be.
//
//	configuration ─▶ Configured ──────────────┐
//	API (RFC 7591, 7592) ─▶ Metadata ─▶ Store ─▶ Facts ─▶ auth.Registry, at each request
//	command line: disable, enable, secrets ───┘
//	auth.Client ─▶ Lint ─▶ findings: scope, why, what instead
//
// What a registration may be is for auth to say ([auth.Client.Check]); here is
// added what of it somebody may bring in who is not the operator: roles and
// purposes that the organisation has already, no statement that others have to
// believe. Secrets are kept as hashes and shown once. The package issues no token
// and decides nothing about data. cmd/handoff mounts [Server] and gives [Store] to
// auth as its source.
//
// Spec: https://www.rfc-editor.org/rfc/rfc7591, https://www.rfc-editor.org/rfc/rfc7592
package registration

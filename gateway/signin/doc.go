// Package signin says which person is at the browser. People sign in at their
// organisation's OpenID Provider; the package checks what that says, keeps the
// session, and ends it in time (CJIS AC-7, AC-8, AC-11, AC-12, IA-2, IA-11).
//
//	provider's id token -> issuer, nonce, acr/amr -> organisation, roles -> Person in a session
//
// It knows no client and no scope and decides nothing about data: launch asks it
// who is there. Users kept here exist in the demo alone.
//
// Spec: https://openid.net/specs/openid-connect-core-1_0.html
package signin

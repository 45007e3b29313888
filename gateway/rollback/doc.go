// Package rollback tells that a store is older than what a gateway has seen of it: a
// backup of before was put in its place, or its deployment went back.
//
//	store: fact gateways/marks ──▶ compared ◀── store.seen, beside the audit trail
//	                                  │
//	         behind: store.ErrOlder ◀───────┴───────▶ raised, then noted beside the trail
//
// A store that is older lacks what was revoked, ended and expunged since, and by itself
// looks like any other. So gateways raise a number in it, and each notes beside its
// trail, which is no part of the store, how far the number has come. What was noted was
// acknowledged: a store with the same name that has less has lost something, and that is
// certain. A store with another name is another one, or of before it had a name: of that
// it tells, and decides nothing.
//
// The package decides nothing about requests and knows nothing of what was lost.
// cmd/handoff calls it. docs/adr/0034-several-gateways.md says why it is so.
package rollback

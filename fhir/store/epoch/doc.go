// Package epoch keeps what was read from a store for as long as nothing in the
// store has changed: a decorator of store.Store and store.Facts for stores that
// can tell (store.Epocher).
//
// A request pins the epoch once, at its start ([Cache.Pin]); within it, reads
// that an earlier request of the same epoch has made are answered from memory.
// A write that was acknowledged before the request started has another epoch,
// so a revoked Consent, a revoked token or an undone link is seen by every
// request that starts after it. Nothing is kept past a change, and nothing is
// answered from memory without a pinned epoch.
//
// It decides nothing. Records and facts it returns are shared: callers must not
// change them. cmd/handoff puts it between the gateway and the store.
package epoch

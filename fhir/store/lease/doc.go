// Package lease lets one of the processes that share a store do something at a
// time: run a feed, deliver notices.
//
//	free ──take──▶ held ──renewed every few seconds──▶ held ──released──▶ free
//	                 └── not renewed for Patience, as a watcher saw it ──▶ taken over, next term
//
// A lease is one fact, changed by compare-and-set alone. No two clocks are
// compared: a watcher takes over what it has itself seen unchanged for Patience,
// by its own monotonic clock, and a holder counts as such for two thirds of
// Patience after it sent its last renewal, by its own. So a holder that was
// stopped and goes on knows that it is none any more before anybody else is one.
//
// A process that stands still between its look at the lease and its write is
// stopped by what it writes: who holds a lease puts its term, which never comes
// again, into what it changes by compare-and-set (package inbox does). The lease
// alone promises that two work at once only for one such write.
//
// It decides nothing else. cmd/handoff calls it.
package lease

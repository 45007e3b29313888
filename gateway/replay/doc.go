// Package replay makes past decisions again from what the audit trail says of
// them, and compares.
//
//	event ─▶ question, Consents, resource, labels of that moment ─▶ policy ─▶ same | different | not replayable
//
// A decision depends on its arguments alone, so what comes out otherwise has
// been changed since: the rules, a label set, or something kept that should not
// change. What cannot be had any more (an expunged resource, one of a connected
// system, an event of a release that recorded less) is said to be not
// replayable, with the reason; it is never taken for the same.
//
// The package does no I/O and has no clock: an [Archive] gives it what an event
// names. It does not check the trail; `handoff audit replay` verifies it first.
package replay

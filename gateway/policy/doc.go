// Package policy is the Policy Decision Point: it says whether one resource may
// be disclosed in answer to one request, and on what conditions.
//
// An [Engine] holds the law. [Engine.Begin] compiles what does not depend on
// the resource (Consents, purposes, scopes, a declared basis) into a [Session];
// [Session.Decide] judges one resource, in this order:
//
//	grounds   Consents, else the baseline; else an accepted legal basis; else breaking the glass
//	gates     42 CFR Part 2, psychotherapy notes, criminal justice information: they only withhold
//	elements  labelled parts of the resource, judged like resources; a basis limited to elements
//	scopes    on the form in which the resource would be returned
//	duties    the obligations that go with the ground
//
// Deny overrides: one Consent that denies wins over all that permit. The zero
// value of everything denies, and what cannot be judged (no labels, no
// resource) is Indeterminate, which lets nothing out.
//
// [Session.Possible] answers before any system is asked: could anything from
// there be permitted at all?
//
// The law is data: [Law] holds the legal bases, the baseline and the
// minimum-necessary profile, each row with its citation, and [USFederal] is the
// one built in. A rule pack in another form (a file per jurisdiction) is read
// into a Law and given to [New]; the engine knows no paragraph by itself, apart
// from the gates, whose conditions on a Consent stand in package consent.
//
// It does no I/O and has no clock. Everything a decision depends on arrives in
// the [Request] and the [Subject], the time included, so any decision ever made
// can be run again. The pipeline calls it for every resource; enforce carries
// out what it decides.
package policy

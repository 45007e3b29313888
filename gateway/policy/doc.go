// Package policy is the Policy Decision Point: it says whether one resource may
// be disclosed in answer to one request, and on what conditions.
//
// An [Engine] holds the law. [Engine.Begin] compiles what does not depend on
// the resource (Consents, purposes, scopes, a declared basis) into a [Session];
// [Session.Decide] judges one resource, in this order:
//
//	grounds   Consents, else a ground of the law; else an accepted legal basis; else breaking the glass
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
// The law is data. [Compile] makes a [Law] of rule packs (package packs says
// what a pack is and how one is read); [USFederal] is the built-in federal pack
// alone. How packs combine:
//
//	grounds       of the federal pack, in its order: the first that applies (first-applicable)
//	restrictions  of any pack that applies: one takes a ground away (deny-overrides), or limits it
//	obligations   of all packs add up
//	extents       intersect; of several declared bases each opens its own
//	bases         a state's stands on a federal one: the conditions, gates and extents of both hold
//	agreements    fill an abstract federal ground, while they last
//
// So a pack of a state never lets more out than federal law does, but for the
// types of basis that it names itself, and those never more than the federal
// basis under them. A state's pack applies where the custodian is; where that is
// not known, its restrictions do and its bases do not. The engine knows no
// paragraph by itself, apart from the forms of Consent that gates ask for, which
// stand in package consent.
//
// It does no I/O and has no clock. Everything a decision depends on arrives in
// the [Request] and the [Subject], the time included, so any decision ever made
// can be run again. The pipeline calls it for every resource; enforce carries
// out what it decides.
package policy

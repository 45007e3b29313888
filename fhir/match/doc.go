// Package match compares people: it turns two records into a verdict whether
// they are the same person, and a set of records into the pairs that may be
// linked.
//
// A pair is automatic only on an identifier of one assigning authority, or on
// name, full birth date, sex and one thing more, and only if neither side has a
// second candidate. Anything less is possible at most, which is for a reviewer.
// A wrong link shows one person's record under another's name: where the rules
// are in doubt they say "possible".
//
// Everything here is a pure function: no clock, no store, no network.
// gateway/identity proposes links with it, ingest through that.
//
// Spec: design of the project (decisions 2.7); IHE PIXm and PDQm for the terms.
package match

// Package packs reads rule packs: the law, a state's law and sharing agreements
// as YAML, strictly, with the place of everything that is wrong. It holds the
// packs that are built in, and the JSON Schema of the format. It decides
// nothing and opens no file: package policy compiles what it reads into a Law,
// and gateway/law finds the files.
//
// # A pack
//
// A pack is of one kind. A federal pack says what is permitted, and what stands
// in the way; a state's pack restricts, and may name a basis that rests on a
// federal one; an agreement restricts nothing but itself: it fills a federal
// rule that asks for an agreement. A pack has rules; a rule has a citation and
// the place where its text was compared, or the mark "unverified", with which
// it is off until the configuration turns it on.
//
// # Effects
//
//	permit     a ground of disclosure where no Consent speaks
//	basis      a kind of declared legal basis, which is a ground if it is valid
//	emergency  a ground that overrides a patient's deny, or opens a gate
//	accept     an agreement accepts a basis in advance
//	deny       without a ground; in a state's pack: takes grounds away
//	require    takes grounds away unless what it requires holds
//	limit      leaves a ground, and lets only the elements of its extent out
//	gate       withholds data of some labels from grounds that do not pass it
//	oblige     adds obligations
//
// # Conditions
//
// A condition tests one fact, by the key that it has beside id and not. Those in
// a list must all hold; alternatives are lists of which one must hold. A fact
// that is not known (no role, no purpose, no custodian's state) never helps a
// ground and never spares one a restriction, negated or not. The schema says
// what each condition tests ([Schema]).
//
// # Combining
//
// Within a federal pack the grounds are tried in the order of the file
// (first-applicable): the first permit or deny whose conditions hold decides,
// and a permit whose data stand behind a gate that it does not pass is a deny of
// that gate. Within a state's pack and an agreement, deny overrides. Across
// packs: a permit needs the federal pack's ground, and no restriction of any
// pack that applies; obligations add up; what a limit leaves out goes, so
// extents intersect. A state's pack applies where its jurisdiction is the
// custodian's, or where the custodian's is not known.
package packs

// Package terminology holds the value sets, code systems and code hierarchies
// that Handoff decides by, each with its source and version.
//
// It turns a system URI in any of its spellings into one canonical URI
// ([Canonical], [SystemOf]), a clinical code into the sensitivities it implies
// ([Table.Lookup]), and two codes of one hierarchy into "does this one cover
// that one" ([Subsumes]). Everything is compiled in; nothing is fetched.
//
// It never says what a resource's labels are (package label does), nor what may
// be disclosed (gateway/policy does). In particular no code here means 42 CFR
// Part 2: that follows from where a record comes from.
//
// Spec: https://terminology.hl7.org (v3-ActCode 11.0.0, v3-ActReason 4.0.0,
// v3-Confidentiality 5.0.0); data/*.txt name the sources of the code lists.
package terminology

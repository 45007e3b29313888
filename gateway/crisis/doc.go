// Package crisis turns what a caller may see of a person into the answer to the
// one question on the scene: is there a plan that may be shown, what helps, what
// to avoid, whom to call, where to go.
//
// [Summarise] takes resources that were decided, cut to the minimum-necessary
// profile and enforced, and writes a Parameters resource. What the site offers
// to everybody (a crisis line, a crisis centre) stands in every answer, and the
// answer is filled up to a whole number of [SizeClass] bytes: that nothing
// exists and that everything is withheld give the same bytes.
//
// It never decides, fetches or reads a clock, and shows no text that was not in
// the resources given. Sentences of a plan stay whole; what cannot be told to
// help or to harm is listed as guidance. The gateway's operation
// Patient/$crisis-summary calls it.
//
// Spec: design police.md 6 (the scene), 45 CFR 164.514(d) (minimum necessary)
package crisis

// Package attribute is the Policy Information Point: it gathers the facts a
// decision needs and nothing else. [Directory] answers from configuration who
// an organisation is, what a system's resources come from, which agreements are
// in force and for whom a recorder may grant; [Gatherer] reads who the person
// is across systems and which Consents speak about them.
//
// It makes no decision and returns no resource to a caller. The pipeline calls
// it between the scope check and policy; these are the only reads before
// deciding. An error here means no answer.
package attribute

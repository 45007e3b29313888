// Package legalbasis is the case file of a declared legal basis: an order, a
// process or a determination on which a custodian may disclose (45 CFR 164.512,
// 42 CFR 2.12(c)(5), 2.61-2.67). A declaration opens nothing; it becomes a fact
// when the custodian accepts it, and stays one until it ends.
//
//	Declare ─▶ requested ─ Accept ─▶ accepted ─ Withdraw ─▶ withdrawn
//	               │                    └─ validUntil passes: no longer in force
//	               ├─ Reject ─▶ rejected
//	               └─ Cancel ─▶ cancelled (also from accepted)
//
// A [Case] is kept as two Tasks: the custodian's has everything, the
// declarer's tells what it declared itself, the state and until when
// ([Case.CustodianTask], [Case.DeclarerTask]). [Read] turns the custodian's
// Task back into the Case. [Case.Basis] is what policy is asked with.
//
// It does no I/O and has no clock: every step takes the time and who acts as
// arguments and gives a new Case. Whether a basis suffices in law is policy's to
// say; who may do which step is the gateway's.
//
// Spec: https://hl7.org/fhir/R4/task.html
package legalbasis

// Package casefile runs decision cases: data that say for Consents, resources
// and a request what must be returned. It reads a case, decides and enforces
// through the same label, policy and enforce as the gateway, evaluates the
// search over what is visible, and compares the outcome with what the case
// expects.
//
// In a case meta.source names the custodian, the Consents count as recorded by
// somebody entitled to grant, and a legal basis counts as accepted; nothing
// else differs from the gateway. [Facts] stand for its configuration: which rule
// packs are in force, and what is known of organisations. A case without any is
// decided by the federal pack. It takes no file names and prints nothing:
// `handoff decide` and conformance/cases do.
//
// The format is that of the decision cases in conformance/cases (README there).
package casefile

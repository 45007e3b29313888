// Package disclosure turns audit events into the lists of disclosures that the
// law gives a patient:
//
//	42 CFR 2.24     by an intermediary, on a general designation; 3 years back
//	42 CFR 2.25     of Part 2 records, on a Consent; 3 years back
//	45 CFR 164.528  the accounting; 6 years back
//
// What an event permitted and sent is a disclosure, apart from what went to its
// own custodian. Whether it belongs in the accounting follows from what was
// recorded with it: an obligation to account (AOD) puts it in, and one of the
// exceptions of 164.528(a)(1) leaves it out, by the citations of its grounds. A
// disclosure of which neither is certain is put in and marked: a list may be too
// long, never too short.
//
// It reads no trail and verifies none: `handoff audit disclosures` does, and
// gives the events one by one. It decides about no disclosure.
package disclosure

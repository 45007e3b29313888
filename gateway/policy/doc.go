// Package policy is the Policy Decision Point: it says whether one resource may
// be disclosed in answer to one request, and on what conditions.
//
// It does no I/O. Everything a decision depends on arrives in the [Request] and
// the [Subject], the time included, so any decision ever made can be run again.
// Consents are judged by consent; policy combines them with the law (45 CFR
// 164, 42 CFR Part 2, CJIS), the sharing agreements and the scopes. The
// pipeline calls it for every resource; enforce carries out what it decides.
package policy

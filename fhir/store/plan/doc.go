// Package plan turns a search plan into the form that every store works from:
// checked against the same bounds, constants folded, alternatives on one parameter
// gathered into spans of values, and the cursor of a page read and bound to its
// search. So two stores refuse the same plans, and a page's end written by one is
// read by the other.
//
// It decides neither where a search starts nor how it is written for a server, and
// knows no resource. fhir/store/sqlite and fhir/store/mongo call it.
package plan

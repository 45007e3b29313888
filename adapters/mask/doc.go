// Package mask shows the structure of a record's text without its values, so
// that somebody can find a fault in a rejected record without reading about the
// person in it.
//
// Segments, separators and positions of HL7 v2, columns of delimited text, tags
// and attribute names of XML and names of JSON stay; every value becomes "***".
// The value at the place of the fault becomes its shape: letters A and a, digits
// 9. What cannot be read as one of these is masked as a whole, word by word. The
// package never returns a value. It is called by cmd/handoff.
package mask

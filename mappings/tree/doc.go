// Package tree is the shape in which a decoder hands a source record to the
// mapping engine: a tree of named fields with text values, each with its place
// in the input. A CSV row, an HL7 v2 message and an XML document all fit.
//
// It interprets nothing: text is kept as it was decoded, empty and absent are
// told apart, and a value knows its line and column.
package tree

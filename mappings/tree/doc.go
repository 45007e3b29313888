// Package tree is the shape in which a decoder hands a source record to the
// mapping engine: a tree of named fields with text values, each with its place
// in the input. A CSV row, an HL7 v2 message and an XML document all fit.
//
// It interprets nothing: text is kept as it was decoded, empty and absent are
// told apart, and a value knows its line and column. Decoders build it,
// mappings read it; neither knows the other.
//
// # Delimited files
//
// One [Record] a row, Kind as the format names it ("contact"). The Root has
// one child for each column that the row has, in file order. Name is the header
// text, trimmed, with its case kept; Text is the decoded value (trimmed or not:
// the engine trims). A column that is there but blank is a child with Text "";
// a column that a short row lacks is no child. Pos.Line is the physical line on
// which the record starts, Pos.Column the field's number from 1, Pos.Path the
// header text. Two columns of one header are two children of one name.
//
// # HL7 v2
//
// One Record a message, Kind = MSH-9.1 "_" MSH-9.2 ("ADT_A04"; the trigger, not
// the structure of MSH-9.3). The Root's children are the segments in message
// order, Name "MSH", "PID", "PV1", "ZPD". A segment's children are its fields,
// Name "1", "2", … with repetitions as several children of one name; MSH-1 and
// MSH-2 are fields "1" and "2" with their literal text. A field's children are
// its components "1", "2", …, a component's its sub-components, but only where
// the field really has that separator: a node without children holds its own
// whole text, unescaped, in Text. So PID-8 = F is a leaf, and its component 1
// is the leaf itself; [Node.Part] reads both shapes alike. A field that is
// empty is left out or has Text ""; a field that is `""` has Null set and Text
// "". Pos.Line is the segment's number in the message from 1 (or its line in
// the file), Pos.Path its HL7 address ("PID-5[2].1").
//
// # XML and JSON
//
// Elements and members are children named by local name; attributes are
// children named "@name"; repetition is several children of one name.
package tree

// Package hl7v2 reads HL7 v2 messages from files: one message or many, with or
// without batch envelopes (FHS, BHS … BTS, FTS) and MLLP framing bytes, whatever
// the line ends.
//
// It turns bytes into one [adapters.Item] for each message, envelope segment and
// stretch of other text, and messages into the tree that mappings/tree
// describes: delimiters from MSH-1 and MSH-2, character set from MSH-18, escapes
// undone, the explicit null told from the empty field. What it cannot read it
// hands on as a reject with segment, field and place. It knows no field's
// meaning beyond MSH.
//
// A listener for MLLP will frame messages and acknowledge them, and decode each
// with [Decode]; it has its place beside this reader.
//
// Spec: HL7 v2.5.1 chapter 2 (2.5 segments and delimiters, 2.7 escapes, 2.10.3
// batches, 2.15.9 MSH).
package hl7v2

// Package jsonl reads JSON as systems hand it on: one object a line, an array of
// objects, or objects one after the other, over any number of lines.
//
// It turns bytes into one [adapters.Item] for each object and covers the whole
// input. JSON is read strictly: a name that stands twice, text that is no UTF-8
// or a literal that is none makes a reject with its line, and reading goes on at
// the next line that begins a record. In the tree a member is a child of its
// name, the items of an array are repetitions, numbers and booleans are the text
// that stood there, "" is a child without text, and null is no child at all.
//
// It holds one record in memory, whatever the size of the input. It knows no
// member's meaning. Formats whose objects need more than that (rms/webhook,
// rms/eido) read through it with a [Shaper].
//
// Spec: RFC 8259, RFC 7493, https://jsonlines.org
package jsonl

// Package csv reads delimited exports of records and dispatch systems: CSV,
// semicolon, tab and pipe files as they really are.
//
// It turns bytes into one [adapters.Item] for each record, title line, repeated
// header, trailer and blank line, and covers the whole input: nothing is
// dropped, nothing is guessed silently. Encoding and delimiter are sniffed or
// configured. A record with a broken quote or the wrong number of columns is
// handed on as a reject with its line, and reading goes on at the next line that
// begins a record. Text is kept as text: a formula stays the characters it is.
//
// It holds one record and a bounded look-ahead in memory, whatever the size of
// the file. It knows no column's meaning: that is the mapping's, which also
// names the columns by which a header is recognised.
//
// The grammar is RFC 4180, read tolerantly (see parser in parse.go).
package csv

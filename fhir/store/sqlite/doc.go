// Package sqlite keeps resources, facts and streams in one SQLite file: the
// embedded default of [store.Store], [store.Facts] and [store.Log], without cgo.
//
// One goroutine writes. It gathers up to 64 waiting jobs into a transaction, a
// savepoint each, and answers them after the commit has reached the disk (WAL,
// synchronous=FULL). A few readers, which cannot write, see the state of the
// last commit, so no reader ever sees half of a unit of work.
//
//	Write ──▶ jobs ──▶ writer: BEGIN · SAVEPOINT job · … · COMMIT ──▶ answers
//	Read, Search ──▶ reader: one snapshot each
//
// Writes follow the steps that hold for a store with single-document atomicity
// as well: the version's row first, then the head swung by compare-and-set; what
// no head reaches is not there. Here a savepoint undoes both.
//
// A search plan is compiled to SQL so that it starts from the most selective
// condition, found by counting index entries, and looks the others up per
// candidate. Every stored value carries a checksum; what was read and is not
// what was written gives [store.ErrDamaged], never data.
//
// What is expunged leaves the file's bytes: Erase overwrites what nothing refers to in
// every b-tree page, and cuts the log (docs/adr/0035).
//
// It parses no resource and decides nothing.
package sqlite

// Package folder watches a drop folder and has every file in it read once.
//
//	look ── complete? ── known? ── ingest ── report ── archive or rejected
//	names    same size    hash      rows      beside
//	         and time
//
// A [Watcher] looks again and again: file systems over a network tell of no
// changes. It reads a file only when its sender has finished it, and knows
// contents by their hash: the same content again is reported and not read, the
// same name with another content is. What cannot be read waits, and holds up no
// other file. Links and devices are refused: whoever may put files here shall not
// make the gateway read others.
//
// A kill loses nothing: how far a file was read is the ingest pipeline's cursor,
// what became of it stands in [store.Facts] before the file is moved.
//
// The package decodes nothing. It is called by cmd/handoff.
package folder

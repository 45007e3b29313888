// Package adaptertest is the suite that every adapter passes: a bad record does
// not stop the reading, an input cut at any byte is accounted for, reading goes
// on at a cursor, stops with its context, a replay changes nothing, and goldens
// show record, resources and findings side by side.
package adaptertest

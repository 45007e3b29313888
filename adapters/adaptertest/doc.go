// Package adaptertest is the suite that every adapter runs: a bad record does
// not stop the reading, an input that is cut at any byte is accounted for, a
// source goes on at every cursor and refuses one of another input, stops with
// its context, tells a failing reader. Converting and ingesting twice changes
// nothing, an ingestion that was killed at any record goes on and writes each
// resource once. Goldens hold the input, what comes of it, and all findings.
//
// A new format gets all of it by one test that fills in a [Suite]. It is called
// by the tests of adapters alone.
package adaptertest

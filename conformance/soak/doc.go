// Package soak lets a gateway take records by several feeds at once, kills its
// process without warning again and again, and then compares what was
// acknowledged with what is stored: every acknowledged record is there, once.
//
// It drives the built binary from outside, over its sockets, its drop folder and
// its command line, and reads the store after it has ended. The time is that of
// HANDOFF_SOAK: two minutes in CI and by `make soak`; without it nothing is run.
package soak

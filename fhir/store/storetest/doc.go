// Package storetest is the suite that every implementation of [store.Store],
// [store.Facts] and [store.Log] passes: what the contract says, and what it
// means under races, kill -9 and reopening.
//
// An implementation's test is a TestMain that calls [Main], so that the suite
// can start the test binary again as a process to kill, and a test that calls
// [Run].
package storetest

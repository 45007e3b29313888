// Package house holds the rules of the source tree as tests: who may import
// whom, that every package says what it is for, that no file outgrows its
// reader, that no document points to what is not there. It reads the files itself, so that no cache or build tag hides one.
// Nobody imports it.
package house

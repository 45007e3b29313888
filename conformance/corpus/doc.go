// Package corpus holds the tests that go over everything that is there to be
// read: each file of the sample data beside the checkout is given to each
// adapter, as a stranger would who picks the wrong one. All of it converts or is
// refused with a reason and a place, nothing breaks off, and what comes out is
// valid FHIR. Nobody imports it.
package corpus

// Package cases holds the project's own decision cases: Consents, resources and
// a request in, and what may be returned out. They are data (data/*.json, the
// format is in README.md), so that another implementation can run them.
//
// The test writes the files from the tables beside it (go test -update), reads
// them back and runs them through the code that `handoff decide` runs. For each
// rule there is a case that it permits and one that it withholds.
//
// Nothing imports this package.
package cases

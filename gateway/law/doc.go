// Package law finds the rule packs that a configuration names, reads those that
// are files of the site, turns its sharing agreements into packs, and has all
// compiled into the Law by which policy decides. It decides nothing itself, and
// what cannot be read, or names what is not there, is an error with file, line
// and column: the gateway does not start without its law. cmd calls it for
// serve, for the checks of a configuration, and for decide.
package law

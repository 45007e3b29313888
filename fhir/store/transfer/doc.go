// Package transfer copies a store into another and proves that both hold the same.
//
// [Run] turns an empty destination into what the source holds: resources with every
// version, index entry and claim, facts with their versions and expiries, streams
// with their positions. How far it has come is kept in the destination, as a fact,
// so that a copy that was killed goes on where it stopped; what the last step wrote
// is written again, which changes nothing. [Compare] then reads both sides and
// compares them item by item. Both read in pieces of a few megabytes.
//
// It deletes nothing and never writes to a resource, fact or stream of the source.
// It knows no kind of store; the command line opens them and calls it.
package transfer

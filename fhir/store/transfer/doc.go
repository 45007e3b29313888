// Package transfer copies a store into another and proves that both hold the same.
//
// [Run] turns an empty destination into what the source holds: resources with every
// version, index entry and claim, facts with their versions and expiries, streams
// with their positions. It walks both sides in order, by what tells quickly whether
// something is another, and brings over what differs. So a run after another that was
// killed, or that copied while the source was in use, brings what lacks and what has
// changed since; what the source holds no more goes. [Compare] then reads both sides
// and compares them item by item. Both read in pieces of a few megabytes.
//
// That a destination is no finished copy yet is kept in it, as a fact: until then it
// is nobody's store, and only then anything is deleted from it. A resource, fact or
// stream of the source is never written to. It knows no kind of store; the command
// line opens them and calls it.
package transfer

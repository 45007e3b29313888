// Package mongo keeps resources, facts and streams in a MongoDB database that
// several gateways share: [store.Store], [store.Facts] and [store.Log] on
// mongo-driver.
//
// Correctness rests on one thing: a write to a single document is atomic. No
// database transaction is used, so that the same holds on a standalone server, a
// replica set, a sharded cluster and compatible servers.
//
//	version  immutable: the bytes of one version, written first
//	head     one a resource: which version is the newest, its index entries;
//	         swung by compare-and-set. History is what the chain from it reaches
//	unit     one a unit of work: its heads carry intents, and flipping this
//	         document from pending to committed makes all of them visible
//	claim    who holds a claim; it counts while the holder's head says so
//	fact, log, position, number   the rest
//
// Reads and writes are majority, from the primary. Queries use neither $regex nor
// collation, $lookup, $expr or pipeline updates. Every stored value carries a
// checksum.
//
// It parses no resource and decides nothing.
package mongo

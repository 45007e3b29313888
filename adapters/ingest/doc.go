// Package ingest brings the records of a source into a store:
//
//	Source ── flow (map, in order) ── keep raw ── validate ── label ── index
//	                                     │                                │
//	                                     └── rejects        link ── one unit of writes
//
// Ids come from the source's keys, so a replay changes nothing: a known content
// is a duplicate, an older one is superseded and never applied again, a newer
// one updates what is stored. Everything that comes of one record is written as
// one unit ([store.Store.Apply]) by compare-and-set. A cursor is kept after what
// is durable, so that a run that was killed goes on where it stopped.
//
// Records that say only what changes ([mappings.Result].Partial) are merged with
// what is known of their resources, slot by slot, so that the order in which they
// come does not matter (docs/adr/0024). What is known stands in [store.Facts]
// beside the record's state.
//
// The raw text of each record stands in the raw stream ([store.Log]), encrypted
// under a key of its own that stands in [store.Facts]. The log is append-only;
// expunging destroys the key, and with it every copy of the text and of its
// rejects. What stays is a keyed hash.
//
// Restrictions fail closed ([flow.Judge]): a seal, a void or the revocation of a
// consent wins against an equal modification time, a seal against any, and only
// a later record lifts it. An expunge is never undone; one that hits nothing is a
// reject. An order that names an incident and no record reaches all its records.
//
// Merges of persons are laid over Patients whenever they are written, are told to
// the [Merger], and can be undone ([flow.Merged], docs/adr/0025).
//
// Custodian and origin come from the configuration alone. The package decides
// nothing about access. It is called by cmd/handoff and by receivers.
package ingest

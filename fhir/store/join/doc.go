// Package join makes one call of a store out of those that wait for it at the same
// time:
//
//	caller ──┐                        ┌──▶ result
//	caller ──┼── wait ── one call ────┼──▶ result
//	caller ──┘  (while one is under way)   └──▶ result
//
// Many callers share a sync of the disk that way, or a way to the server, and one
// alone waits for nobody. A call begins after the last of those that it is made for has
// come, and no two are under way at a time.
//
// It decides neither what a call is nor what its failure means to each caller: whoever
// has a [Queue] says so. fhir/store/mongo (entries of a stream), adapters/inbox
// (messages) and adapters/ingest (units of records, their texts) do.
package join

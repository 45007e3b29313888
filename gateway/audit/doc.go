// Package audit keeps the trail: one event per interaction, permitted or
// refused, durable before the answer leaves. Events are chained by hash in an
// append-only segment log; signed checkpoints go to a second place, so that a
// changed, removed, reordered or truncated record shows.
//
//	Record ─▶ queue ─▶ one writer: seq, hash of the record before ─▶ segment, one fsync a batch ─▶ answers
//	                        └─ every N records or T seconds: count and head hash, signed ─▶ Anchor
//
// A segment is a file of lines, one JSON record each, named by the sequence
// number of its first. A record's hash is the SHA-256 of its line without the
// newline, so the chain can be checked with sha256sum and nothing else. What no
// checkpoint covers yet is chained, but its end could be cut off unseen: keep
// the anchor where the writer's host cannot change it.
//
// The trail holds ids, codes and counts, never clinical content. With what was
// decided stands what it depended on ([Facts]), so that package replay can make a
// decision again. It decides nothing. The pipeline and the token endpoint write to it through [Recorder];
// `handoff audit` reads it with [Verify], [Follow] and [Summarize].
// [AuditEvent] renders an event as FHIR.
//
// Spec: IHE ITI Basic Audit Log Patterns, https://profiles.ihe.net/ITI/BALP/;
// CJIS Security Policy 5.9.5, AU-2 to AU-11
package audit

// Package audit keeps the trail: one event per interaction, permitted or
// refused, durable before the answer leaves. Events are chained by hash in an
// append-only segment log; signed checkpoints go to a second place, so that a
// changed, removed, reordered or truncated record shows.
//
// It decides nothing and holds no clinical content. The pipeline and the token
// endpoint write to it; `handoff audit` reads it.
//
// Spec: IHE ITI Basic Audit Log Patterns, https://profiles.ihe.net/ITI/BALP/
package audit

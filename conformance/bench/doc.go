// Command bench measures the gateway as whole processes and prints one table:
// the machine, how often each thing was measured, medians and ratios taken in
// one run. It fails on a wrong answer (every response is checked: status, ids,
// number of entries, bytes of a known element) and never on a slow one.
//
// What is compared runs side by side and in turn (A B A B …), so that other
// work on the machine meets both alike; the ratios are worth more than the
// times. The gateway is built from ./cmd/handoff and started with a
// configuration, keys and records of its own in a temporary folder; an
// in-memory FHIR server and an httputil.ReverseProxy run as processes of their
// own (this binary once more). Everything listens on loopback, on ports that
// are free, and ends with the bench.
//
//	go run ./conformance/bench                 all of it, over half an hour
//	go run ./conformance/bench -short          a smoke test, under a minute
//	go run ./conformance/bench -only deciding  what the name of a part matches
//	go run ./conformance/bench -only feeds -rows 50000  with shorter inputs
//	go run ./conformance/bench -only stores      both stores, where HANDOFF_TEST_MONGO_URI names a MongoDB
//	go run ./conformance/bench -only costly -resources 5000,25000   the searches that cost stores most
//	go run ./conformance/bench -json           the same as data
//	go run ./conformance/bench -profile DIR    also CPU profiles of the gateway
//
// Nobody imports it; `make bench` runs it, docs/performance.md keeps a run.
package main

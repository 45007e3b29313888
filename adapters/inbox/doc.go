// Package inbox keeps the messages that receivers (MLLP, webhook) take, from
// before they are acknowledged until they are stored, rejected or set aside:
//
//	receiver ── Box.Receive ── log (ciphertext) + fact (key, state) ── acknowledged
//	                               │
//	           Feed ── source ── ingest.Pipeline ── settled: key destroyed, counted
//
// A message is durable when Receive returns. Its text stands in a log stream,
// encrypted under a key of its own; the key stands in a fact beside the state of
// the message. Once the pipeline has stored or rejected what is in it, the
// pipeline's own raw or reject stream has the text under each record's key, and
// the inbox destroys its key: an order to expunge a record then reaches every
// copy. What stays for a while is a keyed hash, by which a copy is known.
//
// States of a message: received, parsed, mapped, stored, rejected, deferred. One
// that cannot be stored now is deferred and tried again; one that never will be
// is rejected; none keeps others waiting, and none is lost. The order of the
// records of one person is the pipeline's.
//
// Several processes may have the inbox of a system open: each takes messages, and
// the one that holds the feed's lease processes them. See docs/adr/0034.
//
// The package interprets no message. It is called by the receivers and by
// cmd/handoff.
package inbox

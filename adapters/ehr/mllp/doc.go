// Package mllp takes HL7 v2 messages from the network and sends them: framing,
// connections, and which acknowledgement goes back when.
//
//	conn ── Splitter ── ParseHeader ── inbox.Receive ── AA or CA
//	        frames      MSH            durable       └─ Outcome ── AA, AE, AR
//
// A [Listener] hands each message to the inbox as it came and says that it was
// taken only when the inbox has it. Order on a connection is kept: the next
// message is read after the last one is durable. When the inbox is full the
// connection is held, so that the sender's own queue fills and not the memory
// here.
//
// With MSH-15 and MSH-16 empty the original mode holds (one acknowledgement: AA,
// AE or AR), else the enhanced one (CA, CE or CR as MSH-15 asks, and when
// processing has ended AA, AE or AR as MSH-16 asks; HL7 v2.5.1 section 2.9 and
// table 0155).
//
// A [Sender] is the other side, for those who connect a feed.
//
// The package maps nothing, and reads of a message its MSH segment alone. It is
// called by cmd/handoff. Spec: HL7 v2 Transport Specification, MLLP release 1.
package mllp

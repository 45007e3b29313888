package inbox

import (
	"context"
	"errors"
	"time"
)

// An Arrival is one message as a receiver took it from the wire.
type Arrival struct {
	Source string // who sent it, as people see it: "mllp 10.1.2.3", "webhook rms"
	// Key is what the sender calls this message: MSH-3, MSH-4 and MSH-10, the id
	// of an event. "": it has no name of its own.
	Key  string
	Body []byte
	At   time.Time // when its last byte came
}

// A Receipt says what became of an arrival.
type Receipt struct {
	Seq       uint64 // its number in the inbox
	Duplicate bool   // the same key and body is here already: Seq is the first one's
}

// What Receive answers with. Match them with errors.Is.
var (
	// ErrCollision: another body is here under the same key. This one is kept
	// too, as rejected: the receipt says where.
	ErrCollision = errors.New("another message has this key")
	// ErrBusy: more waits than the inbox may hold. Nothing was kept; the sender
	// should try again.
	ErrBusy = errors.New("the inbox is full")
)

// A Receiver keeps messages. An arrival is durable when Receive returns without
// an error: only then may a sender be told that it was taken.
type Receiver interface {
	Receive(ctx context.Context, a Arrival) (Receipt, error)
}

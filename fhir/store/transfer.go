package store

import (
	"context"
	"time"
)

// A Timekeeper is a store by whose clock every process that shares it goes, so
// that a code that one has issued has not expired for another whose own clock is
// minutes off. An embedded store has its process's clock.
type Timekeeper interface {
	Now() time.Time
}

// An Archived resource is all that a store keeps of one: every version that its
// head reaches, oldest first, the newest with its Index, and its claims.
type Archived struct {
	Key      Key
	Versions []*Record
	Claims   []string
}

// A Stream names a stream and the reach of it.
type Stream struct {
	Name      string
	Last      uint64            // number of its last entry
	Positions map[string]uint64 // reader to position
}

// A Transferer can give everything it holds and take what another holds, as it
// is: versions, instants, numbers and expiries stay. It is for a store that
// nobody else uses meanwhile. What is put twice is there once; what is put over
// something else gives ErrConflict.
type Transferer interface {
	// Keys lists resources, deleted ones among them, that sort after after (by
	// type, then id, as bytes); the zero Key is before all.
	Keys(ctx context.Context, after Key, limit int) ([]Key, error)
	Archive(ctx context.Context, k Key) (*Archived, error)
	Restore(ctx context.Context, rs []*Archived) error

	// RestoreFacts puts facts (as Scan gives them) with their versions; an expired one
	// is left out.
	RestoreFacts(ctx context.Context, fs []Fact) error

	// Streams lists streams whose name sorts after after.
	Streams(ctx context.Context, after string, limit int) ([]Stream, error)
	// RestoreEntries puts entries at their numbers, which follow the last one there
	// or repeat what is there; RestorePositions a stream's positions.
	RestoreEntries(ctx context.Context, stream string, es []Entry) error
	RestorePositions(ctx context.Context, s Stream) error
}

// A Finding is something wrong in a store.
type Finding struct {
	Kind   string // "orphan", "lost-version", "index-drift", "stale-claim", "missing-index", "damaged", …
	What   string // the resource, claim, stream or index it is about; never content
	Detail string
	Mended bool // --repair put it right
}

// CheckOptions of a Checker.
type CheckOptions struct {
	Repair bool
	// Entries computes what a live record's index should be; nil: entries are not
	// compared with content.
	Entries func(*Record) ([]string, error)
	// Progress, if set, is told what has been looked at so far, and of how many.
	Progress func(done, total int64)
}

// A Checker can compare what it holds with itself. Without Repair it writes nothing.
type Checker interface {
	CheckStore(ctx context.Context, o CheckOptions, found func(Finding)) error
}

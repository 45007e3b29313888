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

// An Archived is a stretch of what a store keeps of one resource: versions that its
// head reaches, oldest first and one after the other. The stretch that is Complete
// ends with the newest version, which has its Index, and holds the claims. A
// resource with a long history comes in several stretches, so that none is large.
type Archived struct {
	Key      Key
	Versions []*Record
	Complete bool
	Claims   []string // sorted, each once
}

// A Stream names a stream and the reach of it.
type Stream struct {
	Name      string
	Last      uint64            // number of its last entry
	Positions map[string]uint64 // reader to position
}

// Sizes says how much a store holds, as far as it can be told quickly: for a bar,
// not for a proof.
type Sizes struct{ Resources, Facts, Entries int64 }

// A Transferer can give everything it holds and take what another holds, as it
// is: versions, instants, numbers and expiries stay. It is for a store that
// nobody else uses meanwhile. What is put twice is there once; what is put over
// something else gives ErrConflict. What is damaged is not given: ErrDamaged.
type Transferer interface {
	// Identity names this store, whatever its address is. It is made when it is
	// first asked for, and stays.
	Identity(ctx context.Context) (string, error)
	Sizes(ctx context.Context) (Sizes, error)

	// Keys lists resources, deleted ones among them, that sort after after (by
	// type, then id, as bytes); the zero Key is before all.
	Keys(ctx context.Context, after Key, limit int) ([]Key, error)
	// Archive gives resources to each, in the order of keys, every stretch of one
	// before the next. One that is not there gives ErrNotFound.
	Archive(ctx context.Context, keys []Key, each func(*Archived) error) error
	// Restore puts stretches; the versions of one follow those that are there, or
	// repeat them.
	Restore(ctx context.Context, rs []*Archived) error

	// RestoreFacts puts facts (as Scan gives them) with their versions; an expired one
	// is left out.
	RestoreFacts(ctx context.Context, fs []Fact) error
	// FactVersion is not below any version that a fact was ever given, of facts that
	// are gone as well. After RaiseFactVersion new facts get versions above v.
	FactVersion(ctx context.Context) (int64, error)
	RaiseFactVersion(ctx context.Context, v int64) error

	// Streams lists streams, and such as have positions only, whose name sorts after
	// after.
	Streams(ctx context.Context, after string, limit int) ([]Stream, error)
	// RestoreEntries puts entries at their numbers, which follow the last one there
	// or repeat what is there; RestorePositions a stream's positions.
	RestoreEntries(ctx context.Context, stream string, es []Entry) error
	RestorePositions(ctx context.Context, s Stream) error
}

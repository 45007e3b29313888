package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
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
	// Chain, of the stretch that is Complete, is that of the resource's Print, if all of
	// its versions were asked for.
	Chain [sha256.Size]byte
}

// A Mark is what tells that a resource is another than it was, read for less than its
// content. Marks of two stores are equal where they hold the same newest version with
// the same entries and claims; what came before it they do not tell.
type Mark struct {
	Key
	Version     int64 // of the newest version
	LastUpdated time.Time
	Deleted     bool
	Beside      [sha256.Size]byte // BesideSum of its entries and claims
	// Expunging says that there is no such resource, but that what is left of it has
	// still to go: who was at that has died, perhaps.
	Expunging bool
}

// A Print is a Mark with what tells, within one store, that each version below it is the
// row or document that it was when another Print was equal: their names and checksums,
// read without their content. Those of two stores have nothing to do with one another.
type Print struct {
	Mark
	Chain [sha256.Size]byte
}

// BesideSum is over what a resource has beside its versions: index entries and claims,
// both as sets.
func BesideSum(index, claims []string) (out [sha256.Size]byte) {
	h := sha256.New()
	var n [8]byte
	number := func(i int) {
		binary.BigEndian.PutUint64(n[:], uint64(i))
		h.Write(n[:])
	}
	for _, list := range [][]string{index, claims} {
		if !slices.IsSorted(list) {
			list = slices.Sorted(slices.Values(list))
		}
		number(len(list))
		for _, s := range list {
			number(len(s))
			h.Write([]byte(s))
		}
	}
	h.Sum(out[:0])
	return out
}

// A Since asks for the versions of a resource from one on; all of them if it is 0.
type Since struct {
	Key
	Version int64
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
// is: versions, instants, numbers and expiries stay. What it gives it may give while
// others write to it: each resource is then of some moment, and no two of the same.
// It takes only while nobody else uses it. What is damaged is not given: ErrDamaged.
//
// A copy that is brought up to date takes what its source has become: facts and claims
// give way. Versions and entries never change, so that others under the same number
// are another history: ErrConflict.
type Transferer interface {
	// Identity names this store, whatever its address is. It is made when it is
	// first asked for, and stays.
	Identity(ctx context.Context) (string, error)
	Sizes(ctx context.Context) (Sizes, error)

	// Keys lists resources, deleted ones among them, that sort after after (by
	// type, then id, as bytes); the zero Key is before all. Marks gives their marks, and
	// those of resources that are half expunged.
	Keys(ctx context.Context, after Key, limit int) ([]Key, error)
	Marks(ctx context.Context, after Key, limit int) ([]Mark, error)
	// Unlisted refuses, with ErrDamaged, a store that holds versions which were acknowledged
	// and which none of these lists leads to: their head is lost, or behind.
	Unlisted(ctx context.Context) error
	// Prints gives the prints of what Keys lists.
	Prints(ctx context.Context, after Key, limit int) ([]Print, error)
	// Archive gives resources to each, in the order in which they are asked for, every
	// stretch of one before the next. One that is not there, or not at that version,
	// gives ErrNotFound.
	Archive(ctx context.Context, wants []Since, each func(*Archived) error) error
	// Restore puts stretches; the versions of one follow those that are there, or
	// repeat them. A claim goes over to the resource that makes it: who held it here
	// is another than its source says, and has to be put as well.
	Restore(ctx context.Context, rs []*Archived) error
	// Forget removes what a Restore that was cut off has left of resources of which there
	// is none.
	Forget(ctx context.Context, keys []Key) error

	// RestoreFacts puts facts (as Scan gives them) with their versions in place of what
	// is there under their keys; an expired one leaves nothing. DropFacts removes
	// facts; one that is absent is no error.
	RestoreFacts(ctx context.Context, fs []Fact) error
	DropFacts(ctx context.Context, keys []string) error
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

package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
)

// What a store answers with. Match them with errors.Is.
var (
	ErrNotFound = errors.New("not found")
	ErrConflict = errors.New("version conflict") // the head is not the version the writer expected
	ErrExists   = errors.New("exists already")   // a claim or a fact's key is taken
	ErrDamaged  = errors.New("store is damaged") // what was read is not what was written
	ErrNewer    = errors.New("written by a newer version of Handoff")
	ErrLocked   = errors.New("locked by another process")
	ErrFull     = errors.New("no space left")
	ErrAway     = errors.New("the store cannot be reached now") // it may be there again in a moment
	ErrOlder    = errors.New("the store is older than what was seen of it")
	ErrCursor   = errors.New("page cursor does not belong to this search")
	ErrInvalid  = errors.New("invalid request to the store") // a fault of the caller: trying again does not help
	// ErrTooLarge is an ErrInvalid: what is to be kept beside a content has no room.
	ErrTooLarge = fmt.Errorf("%w: it is larger than the store can keep", ErrInvalid)
)

// A Key names a resource on this server.
type Key struct{ Type, ID string }

func (k Key) String() string { return k.Type + "/" + k.ID }

// A Record is one version of a resource with what Handoff knows about it.
type Record struct {
	Key
	Version     int64     // from 1, one step per accepted write
	LastUpdated time.Time // UTC, milliseconds, set by the store from its clock
	Deleted     bool      // a deletion is a version without Raw
	Raw         []byte    // the resource as it was given, byte for byte
	Origin      resource.Origin
	Labels      []string // computed security labels, "system|code"
	LabelSet    string   // version of the label set they were computed with
	// Index holds the search entries of the head, "param|value", as a set: a
	// store may sort them and drop repetitions and entries of reserved
	// parameters. Only Read fills it.
	Index []string
}

// What a Write may expect of the head.
const (
	Absent     int64 = 0  // no head, or a deleted one
	AnyVersion int64 = -1 // whatever is there
)

// A Write is one compare-and-set on a resource.
type Write struct {
	Record // Version and LastUpdated are set by the store
	Expect int64
	// Claims are strings that at most one live resource may hold, for
	// conditional creates: "Patient|identifier|system|value". A write whose
	// claim is held by another resource fails with a *ClaimError, which names the
	// first of them in the order of their bytes. The claims of
	// a resource are those of its newest version.
	Claims []string
}

// A VersionError says what a writer expected and what the head is. It unwraps
// to ErrConflict.
type VersionError struct {
	Key    Key
	Expect int64 // as in Write
	Have   int64 // newest version; Absent if there is no head or it is deleted and Expect is Absent
}

func (e *VersionError) Error() string {
	if e.Expect == Absent {
		return fmt.Sprintf("%s exists already, at version %d", e.Key, e.Have)
	}
	return fmt.Sprintf("%s is at version %d, not %d", e.Key, e.Have, e.Expect)
}

// Unwrap makes errors.Is(err, ErrConflict) true.
func (e *VersionError) Unwrap() error { return ErrConflict }

// A WriteError says which write of a unit failed, counted from 0.
type WriteError struct {
	Index int
	Key   Key
	Err   error
}

func (e *WriteError) Error() string { return fmt.Sprintf("write %d, %s: %v", e.Index, e.Key, e.Err) }

// Unwrap gives the reason.
func (e *WriteError) Unwrap() error { return e.Err }

// A ClaimError says which resource holds a claim already.
type ClaimError struct {
	Claim  string
	Holder Key
}

func (e *ClaimError) Error() string { return fmt.Sprintf("%s is held by %s", e.Claim, e.Holder) }

// Unwrap makes errors.Is(err, ErrExists) true.
func (e *ClaimError) Unwrap() error { return ErrExists }

// A Store keeps resources. All methods are safe for concurrent use.
type Store interface {
	// Read returns the newest version. A deleted resource gives its deletion
	// record and no error; one that never was gives ErrNotFound.
	Read(ctx context.Context, k Key) (*Record, error)
	// ReadVersion returns one version; one that is not there gives ErrNotFound.
	ReadVersion(ctx context.Context, k Key, version int64) (*Record, error)
	// History returns versions newest first, below the version before (0: from
	// the newest), at most limit. A resource that never was gives ErrNotFound.
	History(ctx context.Context, k Key, before int64, limit int) ([]*Record, error)
	// Write does one compare-and-set; the record it returns is durable. An
	// expectation that does not hold gives a *VersionError (ErrConflict), a
	// deletion of what never was ErrNotFound. A Write that begins when ctx is
	// done is not done; once begun it ends, whatever ctx says, so that its
	// outcome is always known.
	// A Write whose Raw, Origin, Labels and Index equal the head's still makes
	// a version: who wants idempotence compares first.
	Write(ctx context.Context, w Write) (*Record, error)
	// Apply does several writes as one unit: all of them or none, and no
	// call of a reader sees some of them. The error is a *WriteError that names
	// the write that failed. A resource stands at most once in a unit; claims
	// that one write gives up another may take.
	Apply(ctx context.Context, ws []Write) ([]*Record, error)
	// Search returns live heads that satisfy the plan, in its order. Over all
	// pages every resource that is not written meanwhile comes exactly once.
	// One whose sort value changes meanwhile may come twice or not at all; when
	// sorted by _id none is missed. Index is not filled.
	Search(ctx context.Context, p Plan) (Page, error)
	// Count returns how many heads satisfy the plan's Where.
	Count(ctx context.Context, p Plan) (int, error)
	// Expunge removes every version, index entry and claim of a resource.
	Expunge(ctx context.Context, k Key) error
	// Ping says whether the store can serve.
	Ping(ctx context.Context) error
	Close() error
}

// An Epocher is a Store that can tell whether anything in it has changed: the
// epoch read now differs from one read before if a write was acknowledged in
// between, by this process or another. What was read since an epoch was taken
// may be kept for as long as the epoch stands (package epoch does).
type Epocher interface {
	Epoch(ctx context.Context) (int64, error)
}

// An Eraser is a store whose files hold what was removed from it, or replaced in it,
// until something else is written over it. Erase writes over all of it that was there
// when it was called; its time grows with the files. An error says that some of it may
// still be there; it is owed then, as after a kill, and the store's sweeper makes up for
// it. What only a reader of an older state keeps is no error: it goes when the reader
// has ended. A store of which somebody else keeps the files is none.
type Eraser interface {
	Erase(ctx context.Context) error
}

// An Op says how an Expr judges a resource's index entries.
type Op uint8

// The operations of an Expr. The zero value matches nothing.
const (
	Never  Op = iota
	All       // every live resource of the type
	And       // all Args; without Args the same as All
	Or        // any of Args; without Args the same as Never
	Not       // not Args[0]
	Equal     // some entry of Param is exactly Value
	Prefix    // some entry of Param starts with Value
	Range     // one entry of Param is >= Low (if set) and < High (if set)
	Exists    // some entry of Param exists
)

// An Expr is a condition on index entries, as data.
type Expr struct {
	Op        Op
	Param     string
	Value     string
	Low, High string
	Args      []Expr
}

// Reserved parameters that a plan may name in Range, Equal and Sort without
// their standing in Record.Index.
const (
	ParamID          = "_id"
	ParamLastUpdated = "_lastUpdated" // values as resource.FormatInstant writes them
)

// MaxSort is how many keys a Plan may sort by.
const MaxSort = 4

// A SortKey orders by a parameter: ascending by its smallest entry, descending
// by its largest; resources without an entry come last. Ties go by the next key,
// in the end by id.
type SortKey struct {
	Param      string
	Descending bool
}

// A Plan is one search as data.
type Plan struct {
	Type  string
	Where Expr
	Sort  []SortKey // at most MaxSort; none: newest LastUpdated first
	After string    // Page.Next of the page before; "" from the start
	Limit int       // records per page, from 1 to 10,000
}

// A Page is a stretch of a search's result.
type Page struct {
	Records []*Record
	// Next is an opaque place to go on from, "" at the end. It survives a
	// restart and holds the last sort value: seal it before a client sees it.
	Next string
}

// A Fact is a small value under a key, with a version for compare-and-set.
// A version never comes again for its key, not even after expiry or deletion.
type Fact struct {
	Key     string
	Value   []byte
	Version int64
	Expires time.Time // zero: never
}

// Facts keeps small values: used assertion ids, codes, links, id maps, cursors.
// An expired fact, one whose Expires is not after the store's clock, is absent
// in every method. An expiry that has passed when it is given is refused with
// ErrInvalid, because a used token id that is forgotten at once protects nothing.
type Facts interface {
	Get(ctx context.Context, key string) (Fact, error) // ErrNotFound
	// PutIfAbsent gives exactly one of several concurrent callers success; the
	// others get ErrExists.
	PutIfAbsent(ctx context.Context, key string, value []byte, expires time.Time) (Fact, error)
	// CompareAndSet replaces the fact of this version, else ErrConflict.
	CompareAndSet(ctx context.Context, key string, version int64, value []byte, expires time.Time) (Fact, error)
	// Delete removes a fact; one that is absent is no error. It never removes one that
	// is put after it has returned, though the server may do what it asked for late.
	Delete(ctx context.Context, key string) error
	// Scan returns facts whose key starts with prefix and sorts after after (as
	// bytes), in order of key.
	Scan(ctx context.Context, prefix, after string, limit int) ([]Fact, error)
}

// A Gatherer is Facts that can read several keys in one step, for less than as many
// Gets. It returns those that are there, each once, in no order.
type Gatherer interface {
	Gather(ctx context.Context, keys []string) ([]Fact, error)
}

// Gather reads several facts from any Facts: those that are there, each once, in no order.
func Gather(ctx context.Context, facts Facts, keys []string) ([]Fact, error) {
	if g, ok := facts.(Gatherer); ok {
		return g.Gather(ctx, keys)
	}
	var out []Fact
	for _, key := range slices.Compact(slices.Sorted(slices.Values(keys))) {
		f, err := facts.Get(ctx, key)
		switch {
		case err == nil:
			out = append(out, f)
		case !errors.Is(err, ErrNotFound):
			return nil, err
		}
	}
	return out, nil
}

// A Sweeper removes what has expired. Correctness never waits for it: it only
// frees space.
type Sweeper interface {
	// Sweep returns how many facts it removed.
	Sweep(ctx context.Context) (int, error)
}

// An Entry is one record of a stream.
type Entry struct {
	Seq  uint64 // from 1, without gaps within a stream
	At   time.Time
	Data []byte
}

// Log keeps append-only streams: raw input, rejects, queues.
type Log interface {
	// Append makes data durable before it returns and gives the first
	// sequence number; the others follow it.
	Append(ctx context.Context, stream string, data ...[]byte) (uint64, error)
	// ReadFrom returns entries with Seq >= from, oldest first.
	ReadFrom(ctx context.Context, stream string, from uint64, limit int) ([]Entry, error)
	// Checkpoint stores how far a reader has come; Position gives it back (0:
	// nothing yet). A position never moves backwards.
	Checkpoint(ctx context.Context, stream, reader string, seq uint64) error
	Position(ctx context.Context, stream, reader string) (uint64, error)
}

package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
)

// What a store answers with. Match them with errors.Is.
var (
	ErrNotFound = errors.New("not found")
	ErrConflict = errors.New("version conflict") // the head is not the version the writer expected
	ErrExists   = errors.New("exists already")   // a claim or a fact's key is taken
	ErrDamaged  = errors.New("store is damaged") // what was read is not what was written
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
	Index       []string // search entries of the head, "param|value"
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
	// claim is held by another resource fails with a *ClaimError. The claims of
	// a resource are those of its newest version.
	Claims []string
}

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
	// ReadVersion returns one version; Index is not filled.
	ReadVersion(ctx context.Context, k Key, version int64) (*Record, error)
	// History returns versions newest first, below the version before (0: from
	// the newest), at most limit.
	History(ctx context.Context, k Key, before int64, limit int) ([]*Record, error)
	// Write does one compare-and-set; the record it returns is durable.
	// A Write whose Raw, Origin, Labels and Index equal the head's still makes
	// a version: who wants idempotence compares first.
	Write(ctx context.Context, w Write) (*Record, error)
	// Apply does several writes as one unit: all of them or none, and no
	// reader sees some of them. The error names the write that failed.
	Apply(ctx context.Context, ws []Write) ([]*Record, error)
	// Search returns heads that satisfy the plan, in its order.
	Search(ctx context.Context, p Plan) (Page, error)
	// Count returns how many heads satisfy the plan's Where.
	Count(ctx context.Context, p Plan) (int, error)
	// Expunge removes every version, index entry and claim of a resource.
	Expunge(ctx context.Context, k Key) error
	// Ping says whether the store can serve.
	Ping(ctx context.Context) error
	Close() error
}

// An Op says how an Expr judges a resource's index entries.
type Op uint8

// The operations of an Expr. The zero value matches nothing.
const (
	Never  Op = iota
	All       // every live resource of the type
	And       // all Args
	Or        // any of Args
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

// A SortKey orders by a parameter: ascending by its smallest entry, descending
// by its largest; resources without an entry come last. Ties go by id.
type SortKey struct {
	Param      string
	Descending bool
}

// A Plan is one search as data.
type Plan struct {
	Type  string
	Where Expr
	Sort  []SortKey // at most one key; none: newest LastUpdated first
	After string    // Page.Next of the page before; "" from the start
	Limit int       // records per page, at least 1
}

// A Page is a stretch of a search's result.
type Page struct {
	Records []*Record
	Next    string // opaque place to go on from; "" at the end
}

// A Fact is a small value under a key, with a version for compare-and-set.
type Fact struct {
	Key     string
	Value   []byte
	Version int64
	Expires time.Time // zero: never
}

// Facts keeps small values: used assertion ids, codes, links, id maps, cursors.
// An expired fact is absent in every method.
type Facts interface {
	Get(ctx context.Context, key string) (Fact, error) // ErrNotFound
	// PutIfAbsent gives exactly one of several concurrent callers success; the
	// others get ErrExists.
	PutIfAbsent(ctx context.Context, key string, value []byte, expires time.Time) (Fact, error)
	// CompareAndSet replaces the fact of this version, else ErrConflict.
	CompareAndSet(ctx context.Context, key string, version int64, value []byte, expires time.Time) (Fact, error)
	Delete(ctx context.Context, key string) error
	// Scan returns facts whose key starts with prefix and sorts after after.
	Scan(ctx context.Context, prefix, after string, limit int) ([]Fact, error)
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

package mongo

import (
	"math"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// A collection is one of the collections below: no other can be named.
type collection struct{ name string }

// The collections of a database.
var (
	heads     = collection{"head"}
	versions  = collection{"version"}
	units     = collection{"unit"}
	claims    = collection{"claim"}
	facts     = collection{"fact"}
	logs      = collection{"log"}
	positions = collection{"position"}
	numbers   = collection{"number"}  // counters: epoch, blocks of fact versions
	meta      = collection{"handoff"} // layout, lease of migrations
	chunks    = collection{"chunk"}   // parts of what is too large for one document
)

// A counter is one of the counters in numbers.
type counter struct{ name string }

// The counters.
var (
	epochs       = counter{"epoch"} // see bumpEpoch
	factVersions = counter{"fact"}  // versions of facts, given out in blocks
)

// A numberDoc is a counter.
type numberDoc struct {
	ID   string `bson:"_id"`
	Last int64  `bson:"n"`
}

// A chunkDoc is a part of something too large for one document.
type chunkDoc struct {
	ID   string `bson:"_id"` // chunkID
	Data []byte `bson:"b"`
	Sum  int64  `bson:"sum"` // over owner, number and data
	At   int64  `bson:"at"`  // when written, nanoseconds: only for the sweep
}

// A state is what a head says of one version.
type state struct {
	Version int64    `bson:"v"` // 0: nothing yet (a head that a pending unit has made)
	Nonce   string   `bson:"n"` // of the version document
	Updated string   `bson:"u"` // resource.FormatInstant, to the millisecond
	Deleted bool     `bson:"d"`
	Index   []string `bson:"ix"` // "Type|param|value" by entryOf, sorted; empty if deleted
	Claims  []string `bson:"cl,omitempty"`
	// Cleared is the unit whose intent was taken from the head last, since it is in this
	// state. It makes the state another: what was sent to the server before that, and is
	// done late, does not fit it any more.
	Cleared string `bson:"a,omitempty"`
}

// State is state under a name that the driver looks into when it is embedded.
type State = state

// A headDoc is one resource. Its base state is what stands until the intent's unit
// is committed; whoever finds a committed unit's intent may roll it forward.
type headDoc struct {
	ID         string `bson:"_id"` // keyOf
	Type       string `bson:"t"`
	ResourceID string `bson:"i"` // encoded
	State      `bson:",inline"`
	Intent     *intent `bson:"x,omitempty"`
	// IntentType repeats Type while there is an intent, for a sparse index: the
	// heads with intents are few.
	IntentType string `bson:"xt,omitempty"`
	// Expunging says that every version, claim and chunk of this resource is to go
	// before the head does: for readers it is not there, and a writer who finds it
	// finishes the work first.
	Expunging bool `bson:"e,omitempty"`
	// Gone is since when, nanoseconds by the store's clock, there is nothing: the
	// resource was expunged (or that was begun, while Expunging), or the unit that was to
	// make it came to nothing. See goneKept.
	Gone int64 `bson:"g,omitempty"`
}

// An intent is the state that a unit wants for a head. Where only one head has one,
// no unit document is needed: the unit is called by soloUnit, is pending while the
// intent stands, and is committed by the replacement of the head.
type intent struct {
	Unit  string `bson:"tx"`
	State `bson:",inline"`
}

// A versionDoc is one version, immutable but for Stood. A writer that lost its compare-and-set
// leaves an orphan: it is removed by the writer, or else by the sweep.
type versionDoc struct {
	ID       string `bson:"_id"` // versionID
	Key      string `bson:"k"`   // keyOf
	Version  int64  `bson:"v"`
	Nonce    string `bson:"n"`
	Previous string `bson:"p"` // nonce of the version before; "" of the first
	Updated  string `bson:"u"`
	Deleted  bool   `bson:"d"`
	Origin   []byte `bson:"o"` // JSON
	Labels   []byte `bson:"l"` // JSON
	LabelSet string `bson:"ls"`
	Raw      []byte `bson:"raw"`
	Chunks   int    `bson:"c,omitempty"` // Raw stands in this many chunk documents instead
	Sum      int64  `bson:"sum"`         // over key, version and all fields before
	At       int64  `bson:"at"`          // when last written, nanoseconds by the store's clock: only to tell young orphans
	// Stood, of a first version, tells whether its head ever stood. It is the one field
	// that changes: see vouch.
	Stood witness `bson:"h,omitempty"`
}

// Statuses of a unit.
const (
	pending   = "p"
	committed = "c"
	aborted   = "a"
)

// unnumbered is above every number that the epoch counter gives.
const unnumbered = math.MaxInt64

// A unitDoc is one unit of work. It stays for unitKept after it is closed, so that a
// search that began before can tell what changed meanwhile. A unit that is not there
// (any more) and whose intent still stands was aborted.
type unitDoc struct {
	ID      string   `bson:"_id"` // random
	Status  string   `bson:"s"`
	Open    bool     `bson:"o,omitempty"`  // intents may still stand
	Number  int64    `bson:"c"`            // unnumbered while it is open; then from the epoch counter, see closeUnit
	Types   []string `bson:"ts"`           // of its members
	Members []string `bson:"m"`            // keyOf of its heads
	Claims  []string `bson:"cl,omitempty"` // claimID of those it takes
	Lost    int      `bson:"w,omitempty"`  // how many times its writer had to begin again before: see outranks
	At      int64    `bson:"at"`           // when begun, or closed, nanoseconds: only for the sweep
}

const (
	// unitKept is how long a closed unit can be looked up; a search takes less.
	unitKept = time.Minute
	// unitPatience is how long, by its own monotonic clock, a writer waits for a
	// pending unit in its way before it aborts it. Aborting is always safe: whoever
	// flips the document first has decided.
	unitPatience = 3 * time.Second
)

// A claimDoc says who took a claim and by which unit. It counts while the unit is
// pending, or the holder's head lists the claim; else anyone may take it over by
// compare-and-set on the unit.
type claimDoc struct {
	ID   string `bson:"_id"` // claimID
	Key  string `bson:"k"`   // keyOf the holder
	Unit string `bson:"tx"`
	// A unit that takes a claim from one of its own members leaves here whose it was,
	// should the unit not come to be.
	PreviousKey  string `bson:"pk,omitempty"`
	PreviousUnit string `bson:"pt,omitempty"`
}

// A factDoc is a fact.
type factDoc struct {
	ID      string `bson:"_id"` // encoded
	Value   []byte `bson:"b"`
	Version int64  `bson:"v"` // from a block of the counter "fact": never given twice
	Expires int64  `bson:"e"` // nanoseconds, 0 never; of one that was removed, when, negative: see removed
	// Before are the last few versions that compare-and-set has replaced, so that a
	// writer whose answer was lost knows that it won, though another has won since.
	Before []int64 `bson:"p,omitempty"`
	Sum    int64   `bson:"sum"` // over key, version, expiry and value
}

// A batchDoc is what one write appended to a stream. Its first number is in its id,
// so that two writers cannot take the same, and it is whole or not there.
type batchDoc struct {
	ID     string   `bson:"_id"` // batchID: stream and first number
	Stream string   `bson:"s"`   // encoded
	First  int64    `bson:"f"`
	Last   int64    `bson:"e"`
	Nonce  string   `bson:"n"`            // of the writer, to know its own after a lost answer
	At     []int64  `bson:"at,omitempty"` // nanoseconds, one an entry
	Data   [][]byte `bson:"b,omitempty"`
	// Chunks: At and Data stand, packed, in this many chunks of the owner
	// batchOwner(Chunked) instead.
	Chunks  int    `bson:"c,omitempty"`
	Chunked string `bson:"cn,omitempty"` // repeats Nonce, for a sparse index
	Sum     int64  `bson:"sum"`          // over stream, numbers, times and data
}

// A positionDoc is how far a reader of a stream has come.
type positionDoc struct {
	ID     string `bson:"_id"` // positionID
	Stream string `bson:"s"`   // encoded
	Reader string `bson:"r"`   // encoded
	Seq    int64  `bson:"n"`
}

// encode turns any bytes into valid UTF-8 that sorts, and has prefixes, as the bytes
// do: each byte from 0x80 on becomes the character of that number.
func encode(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			var b strings.Builder
			for j := 0; j < len(s); j++ {
				b.WriteRune(rune(s[j]))
			}
			return b.String()
		}
	}
	return s
}

// decode undoes encode; a character beyond 0xff is no encoding.
func decode(s string) (string, bool) {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			out := make([]byte, 0, len(s))
			for _, r := range s {
				if r > 0xff {
					return "", false
				}
				out = append(out, byte(r))
			}
			return string(out), true
		}
	}
	return s, true
}

func keyOf(k store.Key) string { return encode(k.Type) + "/" + encode(k.ID) }

// entryOf is an index entry as a head has it; a Record's is "param|value".
func entryOf(typ, entry string) string { return encode(typ) + "|" + encode(entry) }

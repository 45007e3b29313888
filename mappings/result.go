package mappings

import (
	"time"

	"github.com/handoff-health/handoff/mappings/tree"
)

// An Action is what the source asks to be done with a record's resources. The
// engine only says so; ingest acts. The zero value is Reject: a result that
// nobody filled in stores nothing.
type Action uint8

// The actions.
const (
	// Reject: nothing is stored; Result.Issues says why (severity error).
	Reject Action = iota
	// Upsert: create the resources or update those with the same ids, each if
	// it supersedes what is stored (see Resource.Supersedes).
	Upsert
	// Seal: as Upsert; the resources carry meta.security R or V, and whatever
	// is stored under Result.Key from before must be given the same labels.
	// Resources may be empty: a sealed or void record whose content cannot be
	// read, or one that is meant by Result.Scope. What is stored is then given V.
	Seal
	// Expunge: delete what is stored under Result.Key, with history, links and
	// tokens; Resources is empty. See Result.Scope.
	Expunge
	// Test: a training or test record: nothing is stored; it is counted.
	Test
	// Keep: a record that is accepted and that nothing is made of; its text is
	// kept for a later mapping. Resources is empty.
	Keep
)

func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return "unknown"
}

var actionNames = [...]string{Reject: "reject", Upsert: "upsert", Seal: "seal", Expunge: "expunge", Test: "test", Keep: "keep"}

// Source tells the engine where records come from, for Provenance and ids.
type Source struct {
	Adapter string // "rms/csv"
	Name    string // file or connection as shown to people
	SHA256  string // hex, of the whole file; "" for a stream
}

// Options of one Apply. The engine has no clock and no random: everything that
// could differ between two runs is here.
type Options struct {
	IDs    IDFunc // nil: TestIDs, for `convert` and tests
	Source Source
	// Received is when the record reached us. It bounds future dates and is
	// Provenance.recorded. Zero: the record's own modification time stands in,
	// so that a conversion gives the same bytes on every day.
	Received time.Time
	Trace    bool // fill Result.Trace
}

// An IDFunc makes a logical id, and other keyed tokens, from the resource type,
// the source system and the source's own key. It must be a keyed one-way
// function that gives a FHIR id: see NewIDs.
type IDFunc func(resourceType, system, key string) string

// A Result is what became of one record.
type Result struct {
	Action Action
	Reason string // for Reject, Seal, Expunge, Test: a code, e.g. "record-sealed"
	// Key names the record at its source: "rms|ZZ0010100|25-100000|R822349".
	// All results with one Key are versions of one record. Resources with
	// Owned set belong to this Key alone: those stored from an earlier version
	// and not in this one are gone at the source.
	Key string
	// Groups are wider keys under which the record can be found again when its
	// own key has been blanked at the source, the widest first: the incident
	// ("rms|ZZ0010100|25-100000"), then the unidentified of the incident. Ingest
	// keeps which records are in a group. Empty: the mapping has none.
	Groups []string
	// Scope is not empty on an Expunge or a Seal that does not name its record
	// by Key: the action is meant for all records whose Groups hold Scope. Key
	// then names no record, and Resources is empty.
	Scope string
	// Version orders results of one Key, compared as text: the source's
	// modification time in UTC, "" if it has none (then arrival order counts).
	Version string
	// Digest is the hex SHA-256 over the resources without Provenance: the same
	// Key, Version and Digest is a duplicate.
	Digest    string
	Resources []Resource
	Merges    []Merge // of an Upsert, in order
	// Partial: the record says what changes. Its resources have Slots, which
	// are to be merged with what is known (see Slots.Update), and what it does
	// not name stays.
	Partial bool
	Issues  []Issue
	// Unmapped lists source values for which no mapping row or code exists, to
	// be counted per source by Unmapped.Count keys.
	Unmapped []Unmapped
	Trace    []Trace
}

// A Resource is one FHIR resource of a result, as JSON with its id.
type Resource struct {
	Type, ID      string
	Key           string // source system and key the id was made from
	SourceVersion string // as Result.Version
	Digest        string // hex SHA-256 of Raw; for Provenance too
	Owned         bool   // belongs to Result.Key alone (not Patient, Organization, …)
	// Stub: a minimal form, for a Patient that only a merge names. It is stored
	// where nothing of its id is, and anything else takes its place.
	Stub bool
	Raw  []byte
	// Slots are what the record says about the resource; Raw is what they alone
	// come to. nil: the record tells the whole resource, as always of a Consent,
	// whose parts mean nothing without each other, a Provenance and a stub.
	Slots Slots
}

// Supersedes says whether r replaces a stored resource of the same id: newer
// source version wins, a tie goes to the greater digest, so that any order of
// arrival ends in the same state. Equal digests: a duplicate, false.
func (r *Resource) Supersedes(version, digest string) bool {
	if r.Digest == digest {
		return false
	}
	if r.SourceVersion == "" || version == "" {
		return true
	}
	if r.SourceVersion != version {
		return r.SourceVersion > version
	}
	return r.Digest > digest
}

// Severity of an issue, in the words of OperationOutcome.issue.severity.
type Severity string

// The severities. An error in a field drops the field; in a record, the record.
const (
	Error       Severity = "error"
	Warning     Severity = "warning"
	Information Severity = "information"
)

// An Issue is one finding about a record.
type Issue struct {
	Severity Severity
	Code     string // stable, lower case with dashes: "birth-date-sentinel"
	Message  string // for people; never quotes a value of the record
	Field    string // column or HL7 address: "DOB", "PID-7"
	Pos      tree.Position
}

// An Unmapped is a value or field for which there was no mapping.
type Unmapped struct {
	Field      string // column or HL7 address
	Vocabulary string // the vocabulary that lacks Code; "" if the field has no row
	Code       string // the original code; "" if the field has no row
	Pos        tree.Position
}

// A Trace ties one element of the output to the row and the input it came from.
type Trace struct {
	Resource string // "Encounter/…"
	Element  string // "period.start", "name[0].given[1]"
	Row      string // file:line of the mapping row
	Via      string // of a row of a datatype: the rows that use it, the outermost first
	Inputs   []tree.Position
}

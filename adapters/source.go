package adapters

import (
	"context"
	"fmt"
	"io"

	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

// A Kind says what an Item is. The zero value is a reject: an item that nobody
// filled in is reported, never passed over.
type Kind uint8

// The kinds of items. Header, Trailer and Blank are the non-records.
const (
	Rejected Kind = iota // a record that could not be decoded
	Data                 // a decoded record
	Header               // a header, a repeated header, a title line, a batch header
	Trailer              // "END OF REPORT", a total, a batch trailer
	Blank                // an empty line, a row of empty cells
)

var kindNames = [...]string{"reject", "record", "header", "trailer", "blank"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", k)
}

// An Item is one stretch of the input, or a record in it. All items of a source
// together cover the whole input, each byte once: see Size.
type Item struct {
	Kind   Kind
	Record *tree.Record // for Data
	// Unread is, of a Rejected item, what was read of it where that may tell the
	// record that it is of: an expunge of that reaches the reject, too.
	Unread *tree.Record
	// Issues are the decoder's findings. A reject has at least one of severity
	// error, the reason first. Findings about the file as a whole stand on the
	// header's or the trailer's item.
	Issues []mappings.Issue
	Raw    []byte // the item's bytes; cut where a size cap was exceeded
	Pos    tree.Position
	// Extract says that Raw is no stretch of the input but a text of this record
	// alone, made where several records share one stretch (the persons of an
	// incident in one XML message): who destroys one record's text leaves the
	// others', and nothing of it stands in theirs. Covers is then the number of
	// bytes that the item accounts for; of records that share, the first has all.
	Extract bool
	Covers  int
}

// Size is the number of bytes of the input that the item accounts for.
func (it *Item) Size() int {
	if it.Extract {
		return it.Covers
	}
	return len(it.Raw)
}

// A Cursor is a place between two items of a source, as text that can be kept.
// The empty cursor is the start. A cursor carries a checksum of what was read
// before it, so that a file which was replaced meanwhile is noticed.
type Cursor string

// A Source reads records of one input in order. It is used by one goroutine.
type Source interface {
	// Next returns the next item, io.EOF after the last. Another error is about
	// the source itself (unreadable, no header, the context's end); nothing was
	// lost, and a new source opened at Cursor goes on.
	Next(ctx context.Context) (Item, error)
	// Cursor is the place after the last item that Next returned.
	Cursor() Cursor
	Close() error
}

// An Input is what a Source reads.
type Input struct {
	Name   string    // file or connection, as people see it
	Reader io.Reader // if it can seek, formats may look over all of it first
	SHA256 string    // of the whole file, hex; "" for a stream
}

// Options are what configuration says about a source.
type Options struct {
	Profile *mappings.Profile // nil: the format's default
	From    Cursor
	// Fields are the columns that the mapping reads, for formats that find
	// columns by name. None: any row of names is taken for a header.
	Fields []Field
	// Kinds are the record types that the mapping knows, for formats with
	// several; mappings.AnyKind is all. Others are rejected as unsupported. None: the format's own list.
	Kinds []string
	// MaxRecord is the largest record in bytes; 0 means 1 MiB (delimited files)
	// or 8 MiB (HL7 v2).
	MaxRecord int
}

// A Field is a column that a mapping reads: what mappings.Map.Fields returns.
type Field = mappings.Column

// A Format is one way to write records, by name.
type Format struct {
	Name        string // "rms/csv"
	Description string // one line for people
	Mapping     string // the built-in mapping that fits if no profile names one
	// Open starts to read. Its error says what is wrong with the input as a
	// whole: a *FileError names the place.
	Open func(ctx context.Context, in Input, opts Options) (Source, error)
}

// A FileError is a fault of a whole input: nothing of it can be read as records.
type FileError struct {
	Source string
	Line   int    // 0: the file as such
	Code   string // "no-header", "missing-column", "binary", "empty", "replaced"
	Reason string
}

func (e *FileError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", e.Source, e.Line, e.Reason)
	}
	return fmt.Sprintf("%s: %s", e.Source, e.Reason)
}

// A Reject is a rejected record as the reject stream keeps it and as convert
// prints it: one JSON object a record.
type Reject struct {
	Source   string            `json:"source"`
	Line     int               `json:"line"`
	Field    string            `json:"field"`
	Severity mappings.Severity `json:"severity"`
	Code     string            `json:"code"`
	Message  string            `json:"message"`
}

// RejectOf picks the reason out of a record's issues: the first error, else the
// first issue. fallback is the code if there is none.
func RejectOf(pos tree.Position, issues []mappings.Issue, fallback string) Reject {
	r := Reject{Source: pos.Source, Line: pos.Line, Field: pos.Path, Severity: mappings.Error, Code: fallback, Message: "the record was rejected"}
	for i, is := range issues {
		if is.Severity != mappings.Error && (i > 0 || hasError(issues)) {
			continue
		}
		r.Code, r.Message = is.Code, is.Message
		if is.Field != "" {
			r.Field = is.Field
		}
		if is.Pos.Line > 0 {
			r.Line = is.Pos.Line
		}
		break
	}
	return r
}

func hasError(issues []mappings.Issue) bool {
	for _, is := range issues {
		if is.Severity == mappings.Error {
			return true
		}
	}
	return false
}

package flow

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/mappings"
)

// An Outcome is what became of one item.
type Outcome uint8

// The outcomes. The zero value is a reject.
const (
	Rejected Outcome = iota
	Created
	Updated
	Duplicate  // the same content is known already
	Superseded // something newer is known: counted among the duplicates
	NonRecord
)

// A Report counts what became of the items of one source.
type Report struct {
	Source     string         `json:"source"`
	Records    int            `json:"records"` // all items
	Created    int            `json:"created"`
	Updated    int            `json:"updated"`
	Duplicates int            `json:"duplicates"` // with Superseded
	Rejects    int            `json:"rejects"`
	Headers    int            `json:"headers"`
	Trailers   int            `json:"trailers"`
	Blanks     int            `json:"blanks"`
	Superseded int            `json:"superseded"` // of Duplicates
	Sealed     int            `json:"sealed"`     // of Created and Updated
	Expunged   int            `json:"expunged"`   // of Updated
	Kept       int            `json:"kept"`       // of Created and Updated: accepted, nothing made of them
	RejectedBy map[string]int `json:"rejectedBy,omitempty"`
	Findings   map[string]int `json:"findings,omitempty"` // warnings and hints by code
	Unmapped   map[string]int `json:"unmapped,omitempty"` // fields and codes without a mapping
	Before     Before         `json:"before,omitzero"`
}

// Before counts what runs over the same input did that were interrupted, and are
// gone on with. It is beside the counts of the report, not in them.
type Before struct {
	Records int `json:"records"`
	Rejects int `json:"rejects"`
}

// Refused says how many rejects there are of the whole input.
func (r *Report) Refused() int { return r.Rejects + r.Before.Rejects }

// NonRecords are the items that are no records.
func (r *Report) NonRecords() int { return r.Headers + r.Trailers + r.Blanks }

// AddsUp says whether the counts obey the rule.
func (r *Report) AddsUp() bool {
	return r.Records == r.Created+r.Updated+r.Duplicates+r.Rejects+r.NonRecords()
}

// Count takes an item and its outcome into the report. For a non-record the
// item's kind counts.
func (r *Report) Count(m *Mapped, o Outcome) {
	r.Records++
	switch o {
	case Created:
		r.Created++
	case Updated:
		r.Updated++
	case Duplicate:
		r.Duplicates++
	case Superseded:
		r.Duplicates++
		r.Superseded++
	case NonRecord:
		switch m.Item.Kind {
		case adapters.Trailer:
			r.Trailers++
		case adapters.Blank:
			r.Blanks++
		default:
			r.Headers++
		}
	default:
		r.Rejects++
		bump(&r.RejectedBy, RejectOf(m).Code)
	}
	for i := range m.Item.Issues {
		r.finding(&m.Item.Issues[i])
	}
	if m.Result == nil {
		return
	}
	for i := range m.Result.Issues {
		r.finding(&m.Result.Issues[i])
	}
	for _, u := range m.Result.Unmapped {
		bump(&r.Unmapped, UnmappedKey(&u))
	}
	switch {
	case m.Result.Action == mappings.Seal && (o == Created || o == Updated):
		r.Sealed++
	case m.Result.Action == mappings.Expunge && o == Updated:
		r.Expunged++
	case m.Result.Action == mappings.Keep && (o == Created || o == Updated):
		r.Kept++
	}
}

// UnmappedKey is how reports name a field without a row or a code without an
// entry.
func UnmappedKey(u *mappings.Unmapped) string {
	if u.Vocabulary == "" {
		return u.Field
	}
	return fmt.Sprintf("%s=%s (%s)", u.Field, code(u.Code), u.Vocabulary)
}

// personal are forms that no code has: dates, telephone and social security
// numbers, mail addresses.
var personal = regexp.MustCompile(`[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{2,4}|\b(19|20)[0-9]{2}[01][0-9][0-3][0-9]([0-9]{2,6})?\b|[0-9]{3}[-. )]+[0-9]{3,4}[-. ][0-9]{4}|@`)

// code is a source code as a report may show it. What is longer than codes are
// may be text about a person that slipped into the column: it is not shown, nor
// is what has the form of a date, a number of a person or an address.
func code(s string) string {
	if len(s) > 24 || personal.MatchString(s) {
		return "(text)"
	}
	return s
}

func (r *Report) finding(is *mappings.Issue) {
	if is.Severity != mappings.Error {
		bump(&r.Findings, is.Code)
	}
}

// maxKeys bounds the tallies: input decides on their keys.
const maxKeys = 2000

func bump(m *map[string]int, key string) {
	if *m == nil {
		*m = map[string]int{}
	}
	if _, ok := (*m)[key]; !ok && len(*m) >= maxKeys {
		key = "(other)"
	}
	(*m)[key]++
}

// RejectOf is the reject that an item becomes.
func RejectOf(m *Mapped) adapters.Reject {
	if m.Result == nil {
		return adapters.RejectOf(m.Item.Pos, m.Item.Issues, "rejected")
	}
	code := m.Result.Reason
	if m.Result.Action == mappings.Test {
		return adapters.Reject{Source: m.Item.Pos.Source, Line: m.Item.Pos.Line, Severity: mappings.Error,
			Code: "test-record", Message: "a test or training record: nothing of it is kept"}
	}
	if code == "" {
		code = "rejected"
	}
	return adapters.RejectOf(m.Item.Pos, m.Result.Issues, code)
}

// Add takes another report's counts into r.
func (r *Report) Add(o *Report) {
	r.Records += o.Records
	r.Created += o.Created
	r.Updated += o.Updated
	r.Duplicates += o.Duplicates
	r.Rejects += o.Rejects
	r.Headers += o.Headers
	r.Trailers += o.Trailers
	r.Blanks += o.Blanks
	r.Superseded += o.Superseded
	r.Sealed += o.Sealed
	r.Expunged += o.Expunged
	r.Kept += o.Kept
	r.Before.Records += o.Before.Records
	r.Before.Rejects += o.Before.Rejects
	for _, pair := range []struct {
		to   *map[string]int
		from map[string]int
	}{{&r.RejectedBy, o.RejectedBy}, {&r.Findings, o.Findings}, {&r.Unmapped, o.Unmapped}} {
		for k, n := range pair.from {
			if *pair.to == nil {
				*pair.to = map[string]int{}
			}
			(*pair.to)[k] += n
		}
	}
}

// WriteTo writes the report as text for people: the sum in one line, then what
// was rejected and found, by code.
func (r *Report) WriteTo(w io.Writer) (int64, error) {
	n, err := fmt.Fprintf(w, "%s: %d records = %d created + %d updated + %d duplicates + %d rejects + %d non-records",
		r.Source, r.Records, r.Created, r.Updated, r.Duplicates, r.Rejects, r.NonRecords())
	total := int64(n)
	line := func(format string, args ...any) {
		if err == nil {
			n, err = fmt.Fprintf(w, format, args...)
			total += int64(n)
		}
	}
	if r.NonRecords() > 0 {
		line(" (%d header, %d trailer, %d blank)", r.Headers, r.Trailers, r.Blanks)
	}
	if r.Superseded > 0 {
		line("; %d of the duplicates superseded", r.Superseded)
	}
	if r.Sealed > 0 {
		line("; %d sealed", r.Sealed)
	}
	if r.Expunged > 0 {
		line("; %d expunged", r.Expunged)
	}
	if r.Kept > 0 {
		line("; %d kept unread", r.Kept)
	}
	line("\n")
	if r.Before.Records > 0 {
		line("  an interrupted run had done %d records more, %d of them rejects\n", r.Before.Records, r.Before.Rejects)
	}
	tally := func(title string, m map[string]int) {
		if len(m) == 0 {
			return
		}
		line("  %s:", title)
		for i, k := range slices.Sorted(maps.Keys(m)) {
			if i == 40 {
				line(" and %d more", len(m)-40)
				break
			}
			if i > 0 {
				line(",")
			}
			line(" %s %d", k, m[k])
		}
		line("\n")
	}
	tally("rejected", r.RejectedBy)
	tally("found", r.Findings)
	tally("unmapped", r.Unmapped)
	return total, err
}

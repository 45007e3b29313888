// Package field reads the text of one field as a person or a system typed it:
// dates in a dozen spellings, names, addresses, telephone numbers, expiry
// terms. It turns text into a value plus findings that say what was odd, and
// it gives no value rather than a made-up one.
//
// It knows no FHIR resource and no source format, has no clock and keeps no
// state. Mapping files call it through the functions of package mappings.
// Findings never quote what they are about: names and numbers stay out of logs.
package field

// A Finding says what was odd about a text.
type Finding struct {
	Code    string // stable: "birth-date-sentinel"
	Message string
	Level   Level
}

// A Level is how much a finding matters.
type Level uint8

// The levels.
const (
	Note    Level = iota // worth counting
	Warning              // the value was changed, dropped or is doubtful
	Fault                // the record must not be used
)

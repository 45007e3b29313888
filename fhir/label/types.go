package label

import (
	"slices"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// A Code is a coded label.
type Code struct{ System, Code string }

func (c Code) String() string { return c.System + "|" + c.Code }

// Code systems of labels.
const (
	Confidentiality = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
	ActCode         = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
	// CJI is the project's code system for criminal justice information.
	CJI = terminology.Base + "/CodeSystem/cji-label"
	// RecordOrigin is the project's code system for the kind of source that a
	// record comes from; its one code is "police".
	RecordOrigin = terminology.Base + "/CodeSystem/record-origin"
)

// Part2 is the law tag of a 42 CFR Part 2 program's record.
const Part2 = "42CFRPart2"

// LabelSetVersion names the rules and value sets that labels are computed by.
// Labels kept with another version are stale: compute them anew.
const LabelSetVersion = rules + terminology.Version

// rules names the rules of this package; change it with them.
const rules = "rules4/"

// A Level is a v3-Confidentiality level. They are ordered; the zero value is
// the level that an unlabelled resource has.
type Level int8

// The levels, from unrestricted to very restricted.
const (
	U Level = iota - 3
	L
	M
	N // normal: the zero value
	R
	V
)

// String returns the level's v3-Confidentiality code.
func (l Level) String() string { return terminology.LevelCode(int(l)) }

// Labels is what is known about how sensitive a resource, or an element of it,
// is. Codes are normalised (retired codes and old systems read as current).
type Labels struct {
	Level       Level
	Stated      bool     // some level was stated or computed
	Computed    bool     // holds more than the resource states itself
	Sensitivity []string // v3-ActCode sensitivities: SUD, PSY, HIV … sorted
	Law         []string // 42CFRPart2, HIPAAPsyNotes, … sorted
	CJI         []string // CHRI, NCIC-RESTRICTED, JUVENILE: sorted
	Other       []Code   // obligations, refrain codes and what else meta.security has
	Inline      bool     // PROCESSINLINELABEL: elements carry labels of their own
	Because     []Reason // why each computed label is there
	Elements    []Element
	Version     string // of the label set

	mentions terminology.Mention // what the texts may name
	attached bool                // there is an attachment with data
	all      bool                // Because lists every reason, not only what is new
}

// A Reason says where a label comes from.
type Reason struct {
	Label string // "SUD", "42CFRPart2", "R"
	Basis string // "stated", "code", "text", "consent", "origin", "notice", "inline"
	Code  Code   // the code that implies it; for words the phrase, without a system
	Set   string // the value set that holds the code

	at resource.Node // the value that says so; absent for an origin
}

// An Element is a part of a resource that has labels of its own: a code in a
// secondary element, a contained resource, an inline label.
type Element struct {
	Node   resource.Node // the value that carries the label (a Coding, a contained resource …)
	Labels Labels
}

// Reset empties l and keeps its memory.
func (l *Labels) Reset() {
	*l = Labels{
		Sensitivity: l.Sensitivity[:0], Law: l.Law[:0], CJI: l.CJI[:0], Other: l.Other[:0],
		Because: l.Because[:0], Elements: l.Elements[:0], all: l.all,
	}
}

// part returns empty labels for a part of what l is for.
func (l *Labels) part() Labels { return Labels{all: l.all} }

// Sensitive says whether l holds anything beyond the level normal: a level
// above it, a sensitivity, a law tag or a criminal-justice label.
func (l *Labels) Sensitive() bool {
	return l.Level > N || len(l.Sensitivity)+len(l.Law)+len(l.CJI) > 0
}

// HasLaw says whether l has the law tag.
func (l *Labels) HasLaw(tag string) bool { return slices.Contains(l.Law, tag) }

// raise takes the higher of the level so far and level.
func (l *Labels) raise(level Level) {
	if !l.Stated || level > l.Level {
		l.Level = level
	}
	l.Stated = true
}

// insert keeps a sorted set; it says whether s is new.
func insert(set []string, s string) ([]string, bool) {
	i, found := slices.BinarySearch(set, s)
	if found {
		return set, false
	}
	return slices.Insert(set, i, s), true
}

func (l *Labels) addOther(c Code) {
	if !slices.Contains(l.Other, c) {
		l.Other = append(l.Other, c)
	}
}

// compute adds a sensitivity that content implies, with the level restricted.
func (l *Labels) compute(sensitivity string, why Reason) {
	var added bool
	if l.Sensitivity, added = insert(l.Sensitivity, sensitivity); added || l.all {
		l.Computed = l.Computed || added
		why.Label = sensitivity
		l.Because = append(l.Because, why)
	}
	if !l.Stated || l.Level < R {
		l.raise(R)
		l.Computed = true
		why.Label = "R"
		l.Because = append(l.Because, why)
	}
}

// computeLaw adds a law tag that something other than the tag itself implies.
func (l *Labels) computeLaw(tag string, why Reason) {
	var added bool
	if l.Law, added = insert(l.Law, tag); added || l.all {
		l.Computed = l.Computed || added
		why.Label = tag
		l.Because = append(l.Because, why)
	}
}

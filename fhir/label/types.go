package label

import "github.com/handoff-health/handoff/fhir/resource"

// A Code is a coded label.
type Code struct{ System, Code string }

func (c Code) String() string { return c.System + "|" + c.Code }

// Code systems of labels.
const (
	Confidentiality = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
	ActCode         = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
	// CJI is the project's code system for criminal justice information.
	CJI = "https://handoff-health.github.io/fhir/CodeSystem/cji-label"
)

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

// Labels is what is known about how sensitive a resource, or an element of it,
// is. Codes are normalised (retired codes and old systems read as current).
type Labels struct {
	Level       Level
	Stated      bool     // some level was stated or computed
	Sensitivity []string // v3-ActCode sensitivities: SUD, PSY, HIV … sorted
	Law         []string // 42CFRPart2, HIPAAPsyNotes, … sorted
	CJI         []string // CHRI, NCIC-RESTRICTED, JUVENILE: sorted
	Other       []Code   // obligations, refrain codes and what else meta.security has
	Inline      bool     // PROCESSINLINELABEL: elements carry labels of their own
	Because     []Reason // why each computed label is there
	Elements    []Element
	Version     string // of the label set
}

// A Reason says where a label comes from.
type Reason struct {
	Label string // "SUD", "42CFRPart2", "R"
	Basis string // "stated", "code", "origin", "inline"
	Code  Code   // the code that implies it, for basis "code"
	Set   string // the value set that holds the code
}

// An Element is a part of a resource that has labels of its own: a code in a
// secondary element, a contained resource, an inline label.
type Element struct {
	Node   resource.Node // the value that carries the label (a Coding, a contained resource …)
	Labels Labels
}

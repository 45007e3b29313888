package packs

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// Role reads a role: a code of the actor-role system, or system|code of another.
func Role(text string) (label.Code, bool) {
	system, code, ok := strings.Cut(text, "|")
	if !ok {
		system, code = terminology.ActorRole.URI(), text
	}
	s := terminology.SystemOf(system)
	if code == "" || s == terminology.Unknown && !strings.Contains(system, ":") ||
		s == terminology.ActorRole && !slices.Contains(terminology.ActorRoles(), code) {
		return label.Code{}, false
	}
	return label.Code{System: terminology.Canonical(system), Code: code}, true
}

// PurposeOfUse reads a purpose: LAWENF, CRISIS, a code of v3-ActReason, or
// system|code of one of these two systems.
func PurposeOfUse(text string) (label.Code, bool) {
	system, code, ok := strings.Cut(text, "|")
	if !ok {
		code = text
	}
	local := slices.Contains(terminology.PurposesOfUse(), code)
	reason := terminology.Subsumes(terminology.ActReason.URI(), "PurposeOfUse", code)
	s := terminology.SystemOf(system)
	switch {
	case local && (!ok || s == terminology.PurposeOfUse):
		return label.Code{System: terminology.PurposeOfUse.URI(), Code: code}, true
	case reason && (!ok || s == terminology.ActReason):
		return label.Code{System: terminology.ActReason.URI(), Code: code}, true
	}
	return label.Code{}, false
}

// A LabelKind says in which list of labels a code stands.
type LabelKind uint8

// The kinds of labels.
const (
	NoLabel LabelKind = iota
	Sensitivity
	LawTag
	CJILabel
)

// Label says what kind of label a code is.
func Label(code string) LabelKind {
	if s, ok := terminology.Sensitivity(code); ok && s == code {
		return Sensitivity
	}
	if s, ok := terminology.Law(code); ok && s == code {
		return LawTag
	}
	if slices.Contains(label.CJICodes(), code) {
		return CJILabel
	}
	return NoLabel
}

// ObservedCode reads a code of what is observed: "loinc|883-9", "snomed|112143006"
// or system|code.
func ObservedCode(text string) (label.Code, bool) {
	system, code, _ := strings.Cut(text, "|")
	switch {
	case code == "":
		return label.Code{}, false
	case system == "loinc":
		return label.Code{System: terminology.LOINC.URI(), Code: code}, true
	case system == "snomed":
		return label.Code{System: terminology.SNOMEDCT.URI(), Code: code}, true
	}
	return label.Code{System: system, Code: code}, strings.Contains(system, ":")
}

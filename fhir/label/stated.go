package label

import (
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
	"slices"
)

// state adds the labels of a list of Codings: meta.security, or the value of an
// inline label.
func (l *Labels) state(security resource.Node, why Reason) {
	for c := range security.Elements() {
		code := c.Get("code")
		if code.Kind() != resource.String {
			continue
		}
		why.at = c
		l.stateCode(c.Get("system"), stringBytes(code), why)
	}
}

// stateTags adds labels that a sender put in meta.tag by mistake: they count as
// those of meta.security do. Other tags are none.
func (l *Labels) stateTags(tag resource.Node) {
	for c := range tag.Elements() {
		system, code := c.Get("system"), c.Get("code")
		if system.Kind() != resource.String || code.Kind() != resource.String {
			continue
		}
		switch terminology.SystemOf(stringBytes(system)) {
		case terminology.Confidentiality, terminology.ActCode, terminology.ActUSPrivacyLaw, terminology.CJILabel:
			l.stateCode(system, stringBytes(code), Reason{Basis: "stated", at: c})
			l.Computed = true
		}
	}
}

// stateCode adds one label. A label without a system is read by its code: it
// can only add or raise.
func (l *Labels) stateCode(system resource.Node, code []byte, why Reason) {
	known := terminology.Unknown
	if system.Kind() == resource.String {
		known = terminology.SystemOf(stringBytes(system))
	}
	switch known {
	case terminology.Confidentiality:
		l.stateConfidentiality(code, why)
	case terminology.ActCode, terminology.ActUSPrivacyLaw:
		l.stateActCode(code, why)
	case terminology.CJILabel:
		l.CJI, _ = insert(l.CJI, cjiCode(code))
		l.note(cjiCode(code), Code{CJI, string(code)}, why)
	default:
		if system.Kind() == resource.String {
			l.addOther(Code{canonical(system, known), string(code)})
			return
		}
		if _, ok := terminology.Rank(code); ok {
			l.stateConfidentiality(code, why)
			return
		}
		l.stateActCode(code, why)
	}
}

func canonical(system resource.Node, known terminology.System) string {
	if known != terminology.Unknown {
		return known.URI()
	}
	return system.Text()
}

// stateConfidentiality reads a v3-Confidentiality code, retired ones included:
// they became sensitivities, and what they restricted stays restricted. A code
// that is none is read as restricted.
func (l *Labels) stateConfidentiality(code []byte, why Reason) {
	if rank, ok := terminology.Rank(code); ok {
		l.raise(Level(rank))
		l.note(Level(rank).String(), Code{Confidentiality, string(code)}, why)
		return
	}
	if s, ok := terminology.Retired(code); ok && s != "" {
		l.Sensitivity, _ = insert(l.Sensitivity, s)
		l.note(s, Code{Confidentiality, string(code)}, why)
		l.Computed = true
		return
	}
	if s, ok := terminology.Sensitivity(code); ok { // SUD, say, in the wrong system
		l.Sensitivity, _ = insert(l.Sensitivity, s)
		l.note(s, Code{Confidentiality, string(code)}, why)
		l.Computed = true
		return
	}
	why.Label, why.Code = "R", Code{Confidentiality, string(code)}
	l.raise(R)
	l.Computed = true
	l.Because = append(l.Because, why)
}

// note keeps why a stated label is there, where every reason is asked for.
func (l *Labels) note(label string, code Code, why Reason) {
	if l.all {
		why.Label, why.Code = label, code
		l.Because = append(l.Because, why)
	}
}

// impliesPart2 are the marks that say the record is a Part 2 record: the one
// that displays the notice of 2.32, and a Part 2 consent directive. A refrain
// code such as NORDSCLCD stands on other records as well.
var impliesPart2 = [...]string{"RedisclosureProhibitionMark", "42CFRPart2CD"}

func (l *Labels) stateActCode(code []byte, why Reason) {
	if s, ok := terminology.Sensitivity(code); ok {
		l.Sensitivity, _ = insert(l.Sensitivity, s)
		l.note(s, Code{ActCode, string(code)}, why)
		return
	}
	if s, ok := terminology.Law(code); ok {
		l.Law, _ = insert(l.Law, s)
		l.note(s, Code{ActCode, string(code)}, why)
		return
	}
	for _, mark := range impliesPart2 {
		if string(code) == mark {
			why.Code = Code{ActCode, mark}
			l.computeLaw(Part2, why)
			l.addOther(Code{ActCode, mark})
			return
		}
	}
	switch string(code) {
	case "PROCESSINLINELABEL":
		l.Inline = true
	case "NORDSLCD": // retired
		l.addOther(Code{ActCode, "NORDSCLCD"})
		return
	}
	l.addOther(Code{ActCode, string(code)})
}

// cjiCodes are the project's labels of criminal justice information; others
// of that system count as well, as they are written.
var cjiCodes = [...]string{"CHRI", "NCIC-RESTRICTED", "JUVENILE"}

// CJICodes returns the project's labels of criminal justice information.
func CJICodes() []string { return slices.Clone(cjiCodes[:]) }

func cjiCode(code []byte) string {
	for _, c := range cjiCodes {
		if string(code) == c {
			return c
		}
	}
	return string(code)
}

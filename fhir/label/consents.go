package label

import (
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// consent labels a Consent by what it gives away of the person. One about
// records under 42 CFR Part 2 says that there are some, and so that the person
// is a patient of such a program (2.13(c)): it is itself such a record. One with
// a rule about substance use says at least that this matters to the person.
func (l *Labels) consent(n resource.Node) {
	part2 := namesPart2In(n.Get("policyRule").Raw()) || namesPart2In(n.Get("category").Raw()) || namesPart2In(n.Get("policy").Raw())
	sud := false
	for m := range n.Members() {
		if name := m.Name(); name == "meta" || name == "text" || name == "contained" {
			continue
		}
		m.Descend(func(c resource.Node) bool {
			code := c.Get("code")
			if c.Kind() != resource.Object || code.Kind() != resource.String {
				return true
			}
			if s := c.Get("system"); s.Kind() == resource.String {
				switch terminology.SystemOf(stringBytes(s)) {
				case terminology.ActCode, terminology.ActUSPrivacyLaw, terminology.Confidentiality:
				default:
					return true
				}
			}
			b := stringBytes(code)
			part2 = part2 || indexFold(b, "42cfrpart2") == 0 || indexFold(b, "mdhhs-5515part2") == 0
			if s, ok := terminology.Sensitivity(b); ok {
				sud = sud || s == "ETH" || terminology.Subsumes(ActCode, "SUD", s)
			}
			return true
		})
	}
	why := Reason{Basis: "consent", at: n}
	if part2 {
		l.computeLaw(Part2, why)
	}
	if part2 || sud {
		l.compute("SUD", why)
	}
}

// namesPart2In says whether a text names 42 CFR Part 2.
func namesPart2In(raw []byte) bool {
	for from := 0; ; {
		i := indexCFR(raw[from:])
		if i < 0 {
			return false
		}
		from += i
		if namesPart2(raw, from) {
			return true
		}
		from += 3
	}
}

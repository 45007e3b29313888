package label

import (
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// medicationReference adds what a contained Medication implies, or the display
// of a reference to another one, to the resource whose medication[x] points at
// it: the drug is the subject matter there too.
func (l *Labeller) medicationReference(n, root resource.Node, own, top *Labels) {
	texts := top.mentions&terminology.MentionText != 0
	medication := n.Get("medicationReference")
	rd := reading{l: l, words: true, visit: func(text []byte, _, at resource.Node, words, service bool) {
		l.text(text, at, words, service, own)
	}}
	if ref := medication.Get("reference"); ref.Kind() == resource.String {
		r := stringBytes(ref)
		if len(r) > 1 && r[0] == '#' {
			for c := range root.All("contained") {
				if !c.Get("id").Is(string(r[1:])) {
					continue
				}
				for _, part := range [...]string{"code", "ingredient"} {
					l.own(c.Get(part), own, top)
					if texts {
						rd.below(c.Get(part), c, part)
					}
				}
			}
		}
	}
	if texts {
		rd.below(medication.Get("display"), medication, "display")
	}
}

package label

import (
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// Texts are skimmed on the way through a resource: only if one may name a code
// or a word are all of them read (freetext.go). Nearly every resource gets by
// without.

// skim notes what the texts below n may name.
func (l *Labeller) skim(n resource.Node, top *Labels) {
	n.Descend(func(c resource.Node) bool {
		if c.Kind() == resource.String {
			l.skimString(c, top)
		}
		return true
	})
}

const skimmedAll = terminology.MentionText | terminology.MentionNotice

// skimString notes what one string may name, and whether it is the content of
// an attachment.
func (l *Labeller) skimString(n resource.Node, top *Labels) {
	raw := n.Raw()
	if len(raw) < 5 || top.mentions == skimmedAll && top.attached {
		return
	}
	switch name := n.RawName(); {
	case string(name) == "data":
		top.attached = true
	case isFreeText(name):
		top.mentions |= l.table.Mentions(raw)
	}
}

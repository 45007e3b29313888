package consent

import (
	"slices"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// A labelRule is provision.securityLabel. Its entries are alternatives.
type labelRule struct {
	stated      bool
	broken      bool // an entry that cannot be read
	levels      bool // some entry is a level
	low, high   label.Level
	sensitivity []string
	law         []string
	other       []label.Code // cji labels and what else there is
}

func parseLabels(n resource.Node) labelRule {
	r := labelRule{stated: true}
	for c := range n.Elements() {
		if c.Kind() != resource.Object || c.Get("code").Text() == "" {
			r.broken = true
			continue
		}
		r.add(readCoding(c))
	}
	r.broken = r.broken || n.Kind() == resource.Array && n.Len() == 0
	return r
}

func (r *labelRule) add(c coding) {
	switch c.system {
	case terminology.Confidentiality:
		if rank, ok := terminology.Rank(c.code); ok {
			r.level(label.Level(rank))
		} else if s, ok := terminology.Retired(c.code); ok && s != "" {
			r.sensitivity = append(r.sensitivity, s)
		} else {
			r.broken = true
		}
		return
	case terminology.ActCode, terminology.ActUSPrivacyLaw:
		if s, ok := terminology.Sensitivity(c.code); ok {
			r.sensitivity = append(r.sensitivity, s)
			return
		}
		if l, ok := terminology.Law(c.code); ok {
			r.law = append(r.law, l)
			return
		}
	case terminology.Unknown:
		if c.uri == "" {
			r.broken = true
			return
		}
		r.other = append(r.other, label.Code{System: c.uri, Code: c.code})
		return
	}
	r.other = append(r.other, label.Code{System: c.system.URI(), Code: c.code})
}

func (r *labelRule) level(l label.Level) {
	if !r.levels {
		r.low, r.high, r.levels = l, l, true
		return
	}
	r.low, r.high = min(r.low, l), max(r.high, l)
}

// permits says whether a permit with these labels covers data labelled so. A
// level covers itself and what is lower, whatever the sensitivities. The other
// entries must together cover every sensitivity, and one of them must apply.
func (r *labelRule) permits(l *label.Labels) truth {
	if r.levels && l.Level <= r.high {
		return yes
	}
	if r.touches(l) && r.coversAll(l) {
		return yes
	}
	if r.broken {
		return unknown
	}
	return no
}

// touches says whether any entry but the levels applies to the data.
func (r *labelRule) touches(l *label.Labels) bool {
	for _, s := range l.Sensitivity {
		if r.covers(s) {
			return true
		}
	}
	return r.touchesTags(l)
}

func (r *labelRule) touchesTags(l *label.Labels) bool {
	for _, law := range r.law {
		if slices.Contains(l.Law, law) {
			return true
		}
	}
	for _, o := range r.other {
		if o.System == label.CJI && slices.Contains(l.CJI, o.Code) || slices.Contains(l.Other, o) {
			return true
		}
	}
	return false
}

func (r *labelRule) coversAll(l *label.Labels) bool {
	part2 := slices.Contains(r.law, label42CFRPart2) && slices.Contains(l.Law, label42CFRPart2)
	for _, s := range l.Sensitivity {
		if !r.covers(s) && !(part2 && SubstanceUse(s)) {
			return false
		}
	}
	return true
}

// covers says whether an entry is the sensitivity or stands above it.
func (r *labelRule) covers(s string) bool {
	for _, entry := range r.sensitivity {
		if subsumes(entry, s) {
			return true
		}
	}
	return false
}

// denies says whether a deny with these labels reaches data labelled so: its
// level or a higher one, or any label it names.
func (r *labelRule) denies(l *label.Labels) truth {
	if r.levels && l.Level >= r.low || r.touches(l) || r.reachesKin(l) {
		return yes
	}
	if r.broken {
		return unknown
	}
	return no
}

// reachesKin widens a deny to the names under which the same kind of data is
// also labelled: mental health has three, and a psychotherapy note two.
func (r *labelRule) reachesKin(l *label.Labels) bool {
	for _, entry := range r.sensitivity {
		if mentalHealth(entry) && slices.ContainsFunc(l.Sensitivity, mentalHealth) ||
			entry == labelPsychotherapy && slices.Contains(l.Law, labelPsyNotes) {
			return true
		}
	}
	return slices.Contains(r.law, labelPsyNotes) && slices.Contains(l.Sensitivity, labelPsychotherapy)
}

// onlyPsychotherapy says whether the rule is about psychotherapy notes alone.
func (r *labelRule) onlyPsychotherapy() bool {
	if !r.stated || r.broken || r.levels || len(r.other) > 0 || len(r.sensitivity)+len(r.law) == 0 {
		return false
	}
	for _, s := range r.sensitivity {
		if s != labelPsychotherapy {
			return false
		}
	}
	for _, s := range r.law {
		if s != labelPsyNotes {
			return false
		}
	}
	return true
}

// Labels that gates are about.
const (
	label42CFRPart2    = "42CFRPart2"
	labelPsyNotes      = "HIPAAPsyNotes"
	labelPsychotherapy = "PSYTHPN"
)

func mentalHealth(s string) bool { return s == "MH" || s == "PSY" || s == "BH" }

// SubstanceUse says whether a v3-ActCode sensitivity is of the SUD family. ETH,
// which v3-ActCode has apart, is its older name.
func SubstanceUse(s string) bool { return subsumes("SUD", s) }

// subsumes is v3-ActCode's hierarchy with ETH read as SUD.
func subsumes(entry, s string) bool {
	if entry == s {
		return true
	}
	if entry == "ETH" {
		entry = "SUD"
	}
	if s == "ETH" {
		s = "SUD"
	}
	return terminology.Subsumes(actCode, entry, s)
}

const actCode = "http://terminology.hl7.org/CodeSystem/v3-ActCode"

package policy

import (
	"slices"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/consent"
)

// Possible says whether anything of the person that comes from o could be
// permitted: false means that asking the system would be a disclosure for
// nothing. It errs towards true: whenever Decide could permit a resource about
// the person of that origin, Possible is true. What a directory opens is not
// the person's and does not count.
func (s *Session) Possible(o resource.Origin) bool {
	if !s.reaches() || len(s.asked) == 0 {
		return false
	}
	m := matter{subject: &Subject{Origin: o}, originOnly: true}
	m.police = o.Police || s.req.Direction == PoliceToHealth
	m.own = s.req.OwnRecords && o.Custodian != "" && o.Custodian == s.req.Requester.Organization
	m.gates = s.surelyBehind(&m)
	for _, d := range s.bases {
		if d.could(o) && s.couldPass(&d.ground, &m) {
			return true
		}
	}
	for i := range s.asked {
		if !s.purposeCould(&s.asked[i], &m) {
			return false
		}
	}
	return true
}

// testOrigin answers a question about data of which only the origin is known.
func (s *Session) testOrigin(c *condition, m *matter) truth {
	switch c.fact {
	case ofLabel: // what comes from a Part 2 program is labelled so
		if m.subject.Origin.Part2 && slices.Contains(c.labels.law, label.Part2) {
			return yes
		}
		if m.datum.Labels != nil {
			return truthOf(c.labels.touches(m.datum.Labels))
		}
		return unknown
	case ofLabelled, ofSensitive:
		if m.subject.Origin.Part2 {
			return truthOf(c.flag)
		}
		return unknown
	case ofDirectory: // it is the person's
		return truthOf(!c.flag)
	case ofSubject:
		if c.texts[0] == "none" {
			return no
		}
		return unknown
	case ofPoliceRecord, ofPart2Program, ofOwnRecord, ofCustodian:
		return s.testCustody(c, m)
	}
	return unknown
}

// surelyBehind are the gates behind which all data of the origin stand.
func (s *Session) surelyBehind(m *matter) (set gateSet) {
	for _, r := range s.law.gates {
		if s.applies(r) == yes && s.all(r.dynamic, false, nil, m) && s.all(r.static, false, nil, m) {
			set |= r.bit
		}
	}
	return set
}

// couldPass says whether a ground passes the gates behind which all data of the
// origin stand, and no restriction surely takes it away.
func (s *Session) couldPass(g *ground, m *matter) bool {
	for _, r := range s.law.gates {
		if m.gates&r.bit != 0 && (g.rule == nil || g.rule.passes&r.bit == 0) &&
			(len(r.require)+len(r.alternatives) == 0 || !s.couldMeet(r, g, m)) {
			return false
		}
	}
	for _, r := range g.restricts {
		if r.effect == "deny" && s.applies(r) == yes && s.all(r.static, false, g, m) && s.all(r.dynamic, false, g, m) {
			return false
		}
	}
	return true
}

// couldMeet is met with what is unknown taken for given.
func (s *Session) couldMeet(r *rule, g *ground, m *matter) bool {
	return s.all(r.require, true, g, m) &&
		(len(r.alternatives) == 0 || slices.ContainsFunc(r.alternatives, func(a []condition) bool { return s.all(a, true, g, m) }))
}

// could says whether the declared basis could reach data of the origin.
func (d *declared) could(o resource.Origin) bool {
	for _, x := range d.row.rule.extents {
		if x.Custodian == "" || o.Custodian == "" {
			continue
		}
		program, _ := d.from.Attributes[x.Custodian].(string)
		if local(program) != local(o.Custodian) {
			return false
		}
	}
	return true
}

// purposeCould says whether one declared purpose has any ground for data of
// the origin.
func (s *Session) purposeCould(a *asked, m *matter) bool {
	if s.consentCould(a, m) {
		return true
	}
	for i := range a.grounds {
		g := &a.grounds[i]
		if g.kind != 0 && s.all(g.rule.dynamic, true, g, m) && (g.fill == nil || s.all(g.fill.dynamic, true, g, m)) && s.couldPass(g, m) {
			return true
		}
		if g.kind == 0 && s.all(g.rule.dynamic, false, g, m) {
			break // it surely decides
		}
	}
	for i := range a.emergencies {
		g := &a.emergencies[i]
		if s.all(g.rule.dynamic, true, g, m) && m.gates&^g.rule.opens&^s.emergencyOpens(a) == 0 {
			return true
		}
	}
	return false
}

func (s *Session) emergencyOpens(a *asked) (set gateSet) {
	for i := range a.emergencies {
		set |= a.emergencies[i].rule.opens
	}
	return set
}

// consentCould says whether a Consent could be a ground.
func (s *Session) consentCould(a *asked, m *matter) bool {
	need := consent.Need(0)
	for _, r := range s.law.gates {
		if m.gates&r.bit == 0 || len(r.require)+len(r.alternatives) > 0 && s.couldMeet(r, &a.consent, m) {
			continue
		}
		if r.need == 0 {
			return false
		}
		need |= r.need
	}
	for _, r := range a.consent.restricts {
		if r.effect == "deny" && s.applies(r) == yes && s.all(r.static, false, &a.consent, m) && s.all(r.dynamic, false, &a.consent, m) {
			return false
		}
	}
	return a.consents.Could(m.subject.Origin.Custodian, need)
}

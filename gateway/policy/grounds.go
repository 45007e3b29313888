package policy

import (
	"github.com/handoff-health/handoff/gateway/consent"
)

// A finding is what holds for one declared purpose.
type finding struct {
	permitted bool
	effect    consent.Effect // of the Consents
	duties    dutySet
	opened    reach
}

// forPurpose combines what the Consents state, deny overrides, and falls back
// to the grounds of the law.
func (s *Session) forPurpose(m *matter, a *asked) finding {
	st := a.consents.Strictest(&m.datum)
	f := finding{effect: st.Effect}
	switch st.Effect {
	case consent.Deny, consent.Residual:
		if !s.overridden(m, a, st.Effect, &f) {
			m.say(atom{what: byStatement, statement: st})
		}
	case consent.Permit:
		s.consented(m, a, st, &f)
	default:
		s.grounded(m, a, &f)
	}
	return f
}

// consented takes a Consent's permit through the gates: each wants one that is
// valid in its form.
func (s *Session) consented(m *matter, a *asked, st consent.Statement, f *finding) {
	g, before := &a.consent, len(m.said)
	m.through = 0
	behind, _ := s.behind(g, m)
	for _, r := range s.law.gates {
		if behind&r.bit == 0 {
			continue
		}
		q, ok := consent.Statement{}, false
		if r.need != 0 {
			q, ok = a.consents.Qualified(&m.datum, r.need)
		}
		if !ok {
			m.said = m.said[:before]
			m.say(atom{rule: r})
			return
		}
		m.through |= r.bit
		f.duties |= r.duties
		m.say(atom{what: byStatement, effect: permits, statement: q, rule: r})
	}
	if behind == 0 {
		m.say(atom{what: byStatement, effect: permits, statement: st})
	}
	x, ok := s.restrict(g, m, nil)
	if !ok {
		m.said = m.said[:before]
		m.say(atom{rule: m.lost})
		f.duties = 0
		return
	}
	f.permitted, f.opened = true, x
	f.duties |= s.dutiesOf(g, m)
}

// overridden looks for a ground in whose way the deny does not stand: a
// patient's opt-out restricts disclosure, and an organisation's look at its own
// record is none.
func (s *Session) overridden(m *matter, a *asked, by consent.Effect, f *finding) bool {
	for i := range a.grounds {
		g := &a.grounds[i]
		if g.kind == 0 || g.rule.overrides == 0 || !s.all(g.rule.dynamic, false, g, m) {
			continue
		}
		switch {
		case by == consent.Residual && g.rule.overrides&residual != 0:
		case by == consent.Deny && g.rule.overrides&anyDeny != 0:
		case by == consent.Deny && g.rule.overrides&unnamedDeny != 0 && !a.consents.DeniesByName(&m.datum):
		default:
			continue
		}
		if behind, _ := s.behind(g, m); behind != 0 {
			continue
		}
		if x, ok := s.restrict(g, m, nil); ok {
			s.permit(m, g, x, f)
			return true
		}
	}
	return false
}

// grounded decides where no Consent speaks: the first ground whose conditions
// hold.
func (s *Session) grounded(m *matter, a *asked, f *finding) {
	for i := range a.grounds {
		g := &a.grounds[i]
		if !s.all(g.rule.dynamic, false, g, m) {
			continue
		}
		if g.kind == 0 {
			m.say(atom{rule: g.rule})
			return
		}
		x, ok := s.filling(g, m)
		if !ok {
			continue
		}
		if behind, first := s.behind(g, m); behind != 0 {
			m.say(atom{rule: first})
			return
		}
		if x, ok = s.restrict(g, m, x); ok {
			s.permit(m, g, x, f)
			return
		}
		m.say(atom{rule: m.lost})
		if !g.rule.abstract { // another agreement may do
			return
		}
	}
	m.say(atom{what: unruled})
}

// filling says whether the agreement that fills an abstract permit reaches the
// data, and how far.
func (s *Session) filling(g *ground, m *matter) (x reach, ok bool) {
	if g.fill == nil {
		return nil, true
	}
	if !s.all(g.fill.dynamic, false, g, m) {
		return nil, false
	}
	for _, e := range g.fill.extents {
		if x, ok = e.reaches(m, nil, x); !ok {
			return nil, false
		}
	}
	return x, true
}

func (s *Session) permit(m *matter, g *ground, x reach, f *finding) {
	f.permitted, f.opened = true, x
	f.duties |= s.dutiesOf(g, m)
	a := atom{effect: permits, rule: g.rule}
	if g.agreement > 0 {
		a.what, a.index = byAgreement, g.agreement-1
	}
	m.say(a)
	if g.fill != nil {
		m.say(atom{effect: permits, rule: g.fill})
	}
}

// onEmergency overrides what stands in the way of each purpose that has no
// other ground: a patient's deny, unless the Consent has itself ruled on
// breaking the glass, and gates that an emergency opens.
func (s *Session) onEmergency(m *matter, found []finding, v *verdict) bool {
	if len(found) == 0 { // no purpose, so nothing that an emergency could serve
		return false
	}
	before := len(m.said)
	for i := range found {
		f := &found[i]
		v.duties |= f.duties
		if f.permitted {
			v.limits = append(v.limits, f.opened...)
			continue
		}
		if !s.overcome(m, &s.asked[i], f, v) {
			m.said = m.said[:before]
			return false
		}
	}
	v.permitted = true
	return true
}

// overcome finds an emergency's ground for everything in the way of a purpose.
func (s *Session) overcome(m *matter, a *asked, f *finding, v *verdict) bool {
	if len(a.emergencies) == 0 {
		return false
	}
	denied := f.effect == consent.Deny || f.effect == consent.Residual
	behind, _ := s.behind(&a.emergencies[0], m)
	if !denied && behind == 0 || denied && a.rulesBreakGlass(m) {
		return false
	}
	if denied && !s.emergency(m, a, anyDeny, 0, v) {
		return false
	}
	for _, r := range s.law.gates {
		if behind&r.bit != 0 && !s.emergency(m, a, 0, r.bit, v) {
			return false
		}
	}
	return true
}

// rulesBreakGlass says whether the person has ruled on breaking the glass for
// this resource: under the purpose asked for, or under that of breaking the
// glass, which a broader emergency purpose does not get around.
func (a *asked) rulesBreakGlass(m *matter) bool {
	return a.consents.RulesBreakGlass(&m.datum) || a.broken != nil && a.broken.RulesBreakGlass(&m.datum)
}

// emergency uses the first ground that overrides this.
func (s *Session) emergency(m *matter, a *asked, deny override, gate gateSet, v *verdict) bool {
	for i := range a.emergencies {
		g := &a.emergencies[i]
		if g.rule.overrides&deny == 0 && g.rule.opens&gate == 0 || !s.all(g.rule.dynamic, false, g, m) {
			continue
		}
		x, ok := s.restrict(g, m, nil)
		if !ok {
			m.say(atom{rule: m.lost})
			continue
		}
		v.limits = append(v.limits, x...)
		v.duties |= s.dutiesOf(g, m)
		m.sayOnce(atom{effect: permits, rule: g.rule})
		return true
	}
	return false
}

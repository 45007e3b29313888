package policy

import (
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/policy/packs"
)

// A ground is something on which data may go, as far as the Session knows it:
// what depends on the data alone is left to be tested.
type ground struct {
	kind      groundKind // 0: a rule that denies
	rule      *rule      // nil: a Consent
	fill      *rule      // the agreement's rule that fills an abstract one
	agreement int32      // or, from 1, the agreement that the request names
	basis     *declared
	asked     *asked // nil: it is for all purposes
	duties    dutySet
	obliges   []*rule // oblige further, if the data are such
	restricts []*rule // take it away, if the data are such
}

// applies says whether a pack's rule is in force for the request. Federal rules
// always are; a state's where the custodian is, or may be; an agreement's while
// it lasts.
func (s *Session) applies(r *rule) truth {
	if r.kind == packs.Federal {
		return yes
	}
	t := s.inJurisdiction(r.jurisdiction)
	if r.kind == packs.Agreement {
		if s.req.Jurisdiction == "" {
			t = yes
		}
		if !s.during(r.period) {
			return no
		}
	}
	return t
}

// during says whether the instant of the request lies in a period, whose days
// are read in the request's offset.
func (s *Session) during(p *packs.Period) bool {
	if p == nil {
		return true
	}
	at := s.req.At
	end, err := time.ParseInLocation(time.DateOnly, p.End, at.Location())
	if err != nil || !at.Before(end.AddDate(0, 0, 1)) {
		return false
	}
	if p.Start == "" {
		return true
	}
	start, err := time.ParseInLocation(time.DateOnly, p.Start, at.Location())
	return err == nil && !at.Before(start)
}

// findGates lists the gates that may stand before data of this request: those
// that are in force and whose conditions on the request hold, or may.
func (s *Session) findGates() {
	whole := true
	for _, r := range s.law.gates {
		whole = whole && s.stands(r)
	}
	if whole {
		s.gates = s.law.gates
		return
	}
	for _, r := range s.law.gates {
		if s.stands(r) {
			s.gates = append(s.gates, r)
		}
	}
}

func (s *Session) stands(gate *rule) bool {
	return s.applies(gate) != no && s.all(gate.static, true, nil, nil)
}

// findGrounds prepares what can be a ground for one purpose.
func (s *Session) findGrounds(a *asked) {
	a.consent = ground{kind: byConsent, asked: a}
	s.surround(&a.consent)
	a.grounds = make([]ground, 0, len(s.law.grounds))
	for _, r := range s.law.grounds {
		g := ground{rule: r, asked: a, duties: r.duties}
		if r.effect == "permit" {
			g.kind = byPermit
		}
		if !s.all(r.static, false, &g, nil) {
			continue
		}
		if r.abstract {
			s.filled(a, g)
			continue
		}
		s.surround(&g)
		a.grounds = append(a.grounds, g)
		if len(r.dynamic) == 0 {
			break // it always decides
		}
	}
	for _, r := range s.law.emergencies {
		g := ground{kind: byEmergency, rule: r, asked: a, duties: r.duties}
		if s.all(r.static, false, &g, nil) {
			s.surround(&g)
			a.emergencies = append(a.emergencies, g)
		}
	}
	btg := label.Code{System: terminology.ActReason.URI(), Code: "BTG"}
	if len(a.emergencies) > 0 && a.purpose != btg {
		a.broken = s.compile(btg, s.actor())
	}
}

// filled adds an abstract permit once for each agreement that fills it.
func (s *Session) filled(a *asked, g ground) {
	add := func(g ground) {
		s.surround(&g)
		a.grounds = append(a.grounds, g)
	}
	for _, f := range s.law.fills[g.rule] {
		if s.applies(f) == yes && s.all(f.static, false, &g, nil) {
			one := g
			one.fill, one.duties = f, g.duties|f.duties
			add(one)
		}
	}
	if !g.rule.named {
		return
	}
	for i, id := range s.req.Agreements {
		if !s.law.agreements[id] { // one that the law has is judged by its terms
			one := g
			one.agreement = int32(i + 1)
			add(one)
			return
		}
	}
}

// surround notes which restrictions and obligations go with a ground. A rule
// that denies needs none.
func (s *Session) surround(g *ground) {
	if g.kind == 0 {
		return
	}
	for i, r := range s.law.restricts {
		if s.applies(r) != no && s.all(r.static, true, g, nil) {
			if g.restricts == nil {
				g.restricts = make([]*rule, 0, len(s.law.restricts)-i)
			}
			g.restricts = append(g.restricts, r)
		}
	}
	for _, r := range s.law.obliges {
		switch {
		case s.applies(r) == no || !s.all(r.static, true, g, nil):
		case len(r.dynamic) == 0:
			g.duties |= r.duties
		default:
			g.obliges = append(g.obliges, r)
		}
	}
}

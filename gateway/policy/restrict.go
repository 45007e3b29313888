package policy

// restrict asks the restrictions of all packs about a ground that would
// otherwise open the resource as far as x. ok is false if one of them takes it
// away: then m.lost is that rule.
func (s *Session) restrict(g *ground, m *matter, x reach) (_ reach, ok bool) {
	for _, r := range g.restricts {
		if !s.all(r.dynamic, true, g, m) {
			continue
		}
		switch r.effect {
		case "require":
			ok = s.met(r, g, m)
		case "limit":
			ok = true
			for _, e := range r.extents {
				if ok {
					x, ok = e.reaches(m, g.from(), x)
				}
			}
		default:
			ok = false
		}
		if !ok {
			m.lost = r
			return nil, false
		}
	}
	return x, true
}

// from is the declared basis of a ground, nil if it is none.
func (g *ground) from() *LegalBasis {
	if g.basis == nil {
		return nil
	}
	return g.basis.from
}

// met says whether what a rule requires holds.
func (s *Session) met(r *rule, g *ground, m *matter) bool {
	if !s.all(r.require, false, g, m) {
		return false
	}
	for _, a := range r.alternatives {
		if s.all(a, false, g, m) {
			return true
		}
	}
	return len(r.alternatives) == 0
}

// gatesOf are the gates behind which data of these labels stand.
func (s *Session) gatesOf(m *matter) (set gateSet) {
	for _, r := range s.gates {
		if s.all(r.dynamic, true, nil, m) {
			set |= r.bit
		}
	}
	return set
}

// behind are the gates that a ground does not pass, and the first of them.
func (s *Session) behind(g *ground, m *matter) (set gateSet, first *rule) {
	for _, r := range s.law.gates {
		if m.gates&r.bit == 0 || g.rule != nil && g.rule.passes&r.bit != 0 {
			continue
		}
		if len(r.require)+len(r.alternatives) > 0 && s.met(r, g, m) {
			continue
		}
		if set == 0 {
			first = r
		}
		set |= r.bit
	}
	return set, first
}

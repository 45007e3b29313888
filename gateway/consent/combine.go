package consent

// Strictest is what the Consents of the Set state together, deny-overrides: a
// deny, else a permit, else a residual deny. Of several that state the same the
// first is named.
func (s *Set) Strictest(d *Datum) Statement { return s.walk(d) }

// walk is Strictest by asking each Consent.
func (s *Set) walk(d *Datum) Statement {
	var out Statement
	for i := range s.bound {
		st := s.Judge(i, d, 0)
		switch {
		case st.Effect == Deny:
			return st
		case st.Effect == Permit && out.Effect != Permit, st.Effect == Residual && out.Effect == None:
			out = st
		}
	}
	return out
}

// Qualified finds a permit that counts for gated data. Denies are not looked at:
// ask [Set.Strictest] first.
func (s *Set) Qualified(d *Datum, need Need) (Statement, bool) {
	for i := range s.bound {
		if st := s.Judge(i, d, need); st.Effect == Permit {
			return st, true
		}
	}
	return Statement{}, false
}

// RulesBreakGlass says whether a Consent that withholds the resource has itself
// ruled on breaking the glass: then it is followed as written.
func (s *Set) RulesBreakGlass(d *Datum) bool {
	for i := range s.bound {
		if !s.bound[i].c.breakGlass {
			continue
		}
		if e := s.Judge(i, d, 0).Effect; e == Deny || e == Residual {
			return true
		}
	}
	return false
}

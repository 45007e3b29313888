package consent

// Strictest is what the Consents of the Set state together, deny-overrides: a
// deny, else a permit, else a residual deny. Of several that state the same the
// first is named.
func (s *Set) Strictest(d *Datum) Statement {
	if s.index == nil || s.open(d) {
		return s.walk(d)
	}
	if s.alike(d) {
		return Statement{}
	}
	q := search{set: s, d: d, a: d.aspect(s.index), want: Deny}
	if q.find(s.index.denies) {
		return q.found
	}
	if q.want = Permit; q.find(s.index.permits) {
		return q.found
	}
	return s.index.left(s, d)
}

// open says whether so little is known of the resource that the index could
// leave out a deny that reaches it.
func (s *Set) open(d *Datum) bool {
	return d.custodian.empty() && s.index.ids[byCustodian].count > 0 || d.patient.empty() && s.index.patients
}

// alike says that all Consents of the Set are about one person, and the resource
// is not about that one.
func (s *Set) alike(d *Datum) bool {
	return !s.index.patients && s.concerns(&s.bound[0], d) == no
}

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
	if s.index == nil || s.open(d) {
		return s.walkQualified(d, need)
	}
	q := search{set: s, d: d, a: d.aspect(s.index), want: Permit, need: need}
	ok := q.find(s.index.permits)
	return q.found, ok
}

func (s *Set) walkQualified(d *Datum, need Need) (Statement, bool) {
	for i := range s.bound {
		if st := s.Judge(i, d, need); st.Effect == Permit {
			return st, true
		}
	}
	return Statement{}, false
}

// DeniesByName says whether a Consent that denies the resource has a rule to
// that effect which names the requester among its recipients.
func (s *Set) DeniesByName(d *Datum) bool {
	if s.index == nil || s.open(d) {
		return s.walkByName(d)
	}
	q := search{set: s, d: d, a: d.aspect(s.index), want: Deny, named: true}
	return q.find(s.index.denies)
}

func (s *Set) walkByName(d *Datum) bool {
	for i := range s.bound {
		if s.Judge(i, d, 0).Effect == Deny && s.namesIn(i, d) {
			return true
		}
	}
	return false
}

// namesIn says whether a deny of the i-th Consent that reaches the resource
// names the requester.
func (s *Set) namesIn(i int, d *Datum) bool {
	e := evaluation{set: s, b: &s.bound[i], d: d}
	for k := range e.b.forms {
		if e.b.forms[k].named && e.matches(k) != no {
			return true
		}
	}
	return false
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

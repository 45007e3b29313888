package policy

// withinMinimum holds a permit to the minimum-necessary profile, for a request
// that asks for no more. What the profile does not list, and what is of a
// sensitivity of which nothing goes, is denied.
func (s *Session) withinMinimum(m *matter, v *verdict) {
	m.datum.Labels = m.subject.Labels
	x := reach(nil)
	ok := s.law.minimum != nil
	if ok {
		x, ok = s.law.minimum.reaches(m, nil, nil)
	}
	if !ok {
		v.permitted = false
		m.say(atom{what: minimum})
		return
	}
	v.limits = append(v.limits, x...)
}

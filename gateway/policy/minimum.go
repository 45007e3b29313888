package policy

import "github.com/handoff-health/handoff/fhir/label"

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

// neverGoes says whether data of these labels are of a sensitivity of which the
// profile lets nothing go, a part of a resource no more than the whole.
func (s *Session) neverGoes(l *label.Labels) bool {
	return s.law.minimum == nil || s.law.minimum.never.touches(l)
}

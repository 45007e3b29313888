package policy

// internal decides on a record that the gateway keeps for its custodian: its
// organisation sees it whole, within the scopes, and nobody else does. Consents
// do not speak on it: a custodian must be able to answer an order, and a
// declarer to see what became of its own, whatever the person has decided about
// the data. No agreement and no basis opens it either.
func (s *Session) internal(m *matter) Decision {
	if !m.own {
		return s.deny(m, atom{what: internalElse})
	}
	m.say(atom{what: internalOwn, effect: permits})
	if !s.InScope(m.subject.Resource, m.subject.Patient) {
		return s.deny(m, atom{what: outsideScope})
	}
	return Decision{Effect: Permit, Reasons: s.reasonsOf(m.said), Obligations: s.law.list(auditing)}
}

package policy

// internal decides on a record that the gateway keeps for its custodian: its
// organisation sees it whole, within the scopes, and nobody else does. Consents
// do not speak on it: a custodian must be able to answer an order, and a
// declarer to see what became of its own, whatever the person has decided about
// the data. No agreement and no basis opens it either.
func (s *Session) internal(c *matter) Decision {
	if !c.own {
		return Decision{Effect: Deny, Reasons: []Reason{{Rule: "internal/not-own", Effect: "deny", Detail: "it is kept for another organisation"}}}
	}
	d := Decision{Effect: Permit, Reasons: []Reason{{Rule: "internal/own", Effect: "permit", Detail: "the gateway keeps it for the requester's organisation"}}}
	if !s.inScope(c.subject, &d) {
		return Decision{Effect: Deny, Reasons: append(d.Reasons, Reason{Rule: "gate/scope", Effect: "deny", Detail: "no scope of the token covers it"})}
	}
	d.Obligations = []Obligation{Audit}
	return d
}

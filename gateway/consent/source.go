package consent

// Source returns what was known of where the Consent comes from, its Reference
// filled in: what the audit trail keeps, so that a decision can be made again.
func (c *Consent) Source() Source {
	s := c.source
	s.Reference = c.name
	return s
}

// A Designation says how the rule of a Consent named its recipient.
type Designation uint8

// The designations. The zero value is that the rule cannot be found.
const (
	Undetermined Designation = iota
	Individual               // by reference or identifier
	General                  // as one of a class, as a participant of an exchange, or not at all
)

// Designates says how the rule at a path ("provision.provision[0]", from a
// reason) named the actor as recipient: individually, or by a general
// designation in the sense of 42 CFR 2.31(a)(4)(ii)(B).
func (c *Consent) Designates(path string, actor *Actor) Designation {
	a := newAsker(actor)
	for i := range c.rules {
		p := &c.rules[i]
		if p.path != path {
			continue
		}
		for j := range p.actors.recipients {
			if r := &p.actors.recipients[j]; !r.display && r.matches(&a, a.members) == yes {
				return Individual
			}
		}
		return General
	}
	return Undetermined
}

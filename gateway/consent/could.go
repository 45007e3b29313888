package consent

// Could says whether any Consent could permit any resource of the custodian,
// whatever its content; custodian is "" if unknown. It is an upper bound.
func (s *Set) Could(custodian string, need Need) bool {
	c := parseReference(custodian)
	for i := range s.bound {
		if s.bound[i].could(s.person, &c, need) {
			return true
		}
	}
	return false
}

func (b *bound) could(person []reference, custodian *reference, need Need) bool {
	if !b.grants || len(person) > 0 && !b.person {
		return false
	}
	if b.c.rules[0].stance == unstated {
		return false
	}
	for i := range b.context {
		p := &b.c.rules[i]
		if p.stance != permits || b.context[i] != yes || p.actors.keeps(custodian) == no {
			continue
		}
		f := b.forms[i]
		if need&Part2 != 0 && (!f.part2 || !custodian.empty() && !b.c.disclosesFor(p, custodian)) {
			continue
		}
		return true
	}
	return false
}

package consent

import "time"

// A candidate is a Consent that may state something; deniesOnly, that it may
// not grant because another version of it might have ended it.
type candidate struct {
	c          *Consent
	deniesOnly bool
}

// current leaves out what is not in force: drafts, other scopes, and every
// version of a Consent but the newest. Versions share a business identifier and
// the person.
//
// Only a version that is understood, and that the same entitled organisation
// recorded, ends an older deny. Any other, one of another scope too, ends only
// older permits. Versions whose dates do not tell which is newer stand side by
// side.
func current(consents []*Consent, person []reference, loc *time.Location) []candidate {
	known := make([]*Consent, 0, len(consents))
	byID := map[Identifier][]*Consent{}
	for _, c := range consents {
		if c == nil || c.status == ignored {
			continue
		}
		if c.privacy != no {
			known = append(known, c)
		}
		for _, id := range c.identifiers {
			byID[id] = append(byID[id], c)
		}
	}
	var out []candidate
	for _, c := range known {
		if len(c.rules) == 0 || c.status == ended {
			continue
		}
		k, gone := candidate{c: c}, false
		for _, id := range c.identifiers {
			for _, o := range byID[id] {
				if o == c || !samePerson(c, o, person) {
					continue
				}
				switch {
				case o.newerThan(c, loc) && o.replaces() && o.recorder == c.recorder:
					gone = true
				case !c.newerThan(o, loc) && (o.newerThan(c, loc) || o.status != inForce || !c.hasDate || !o.hasDate):
					k.deniesOnly = true
				}
			}
		}
		if !gone {
			out = append(out, k)
		}
	}
	return out
}

// newerThan says whether c was certainly made after o.
func (c *Consent) newerThan(o *Consent, loc *time.Location) bool {
	return c.hasDate && o.hasDate && c.dated.first(loc).After(o.dated.last(loc))
}

// replaces says whether the Consent is understood well enough, and comes from
// somebody entitled, to end a deny.
func (c *Consent) replaces() bool {
	return c.entitled && c.Understood()
}

func samePerson(a, b *Consent, person []reference) bool {
	return a.patient.same(b.patient) == yes || about(a.patient, person) && about(b.patient, person)
}

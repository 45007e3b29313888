package policy

import "slices"

// A duty is a set of circumstances that obligations follow from.
type duty uint8

const (
	onConsent      duty = 1 << iota // a Consent is a ground
	onPart2Consent                  // Part 2 data goes on a Consent
	onOverride                      // a patient's deny is overridden
	onEmergency                     // Part 2 data goes under 42 CFR 2.51
)

// obligations are what goes with a disclosure on these grounds.
func (s *Session) obligations(d duty, bases []*declared) []Obligation {
	out := append(make([]Obligation, 0, 4), Audit)
	add := func(when bool, os ...Obligation) {
		for _, o := range os {
			if when && !slices.Contains(out, o) {
				out = append(out, o)
			}
		}
	}
	add(d&onPart2Consent != 0, Part2Notice, Part2Copy)
	add(d&onPart2Consent != 0 && (s.police || !s.req.Requester.TreatingProvider), NoRedisclosure)
	add(d&onEmergency != 0, Part2Emergency)
	add(d&onOverride != 0, NoReuse)
	for _, b := range bases {
		add(true, b.row.Obligations...)
		add(s.police, b.row.ToPolice...)
		add(b.judgment, HumanApproval)
	}
	add(s.police && len(bases) == 0 && d&onConsent != 0, MinimumNeeded)
	return out
}

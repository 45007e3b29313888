package law

import (
	"slices"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/policy/packs"
)

// Served returns what says whether a purpose of use is named by a rule of the law in
// force that opens something, or by a sharing agreement for the organisation. For
// any other purpose only a Consent could open anything.
func Served(c *config.Config) (func(organization, system, code string) bool, error) {
	selected, err := inForce(c)
	if err != nil {
		return nil, err
	}
	var tests []*packs.Purpose
	for _, s := range selected {
		for _, r := range s.Pack.Rules {
			if !slices.Contains([]string{"permit", "basis", "emergency"}, r.Effect) || r.Abstract {
				continue
			}
			for _, when := range slices.Concat(r.When, r.Require) {
				if when.Purpose != nil && !when.Not {
					tests = append(tests, when.Purpose)
				}
			}
		}
	}
	return func(organization, system, code string) bool {
		for i := range c.Agreements {
			if a := &c.Agreements[i]; "Organization/"+a.To == organization && takes(purposes(a.Purposes), system, code) {
				return true
			}
		}
		return slices.ContainsFunc(tests, func(p *packs.Purpose) bool { return takes(p, system, code) })
	}, nil
}

// takes says whether the test takes the purpose.
func takes(p *packs.Purpose, system, code string) bool {
	within := func(list []string) bool {
		return slices.ContainsFunc(list, func(s string) bool {
			of := attribute.Purpose(s)
			return of.System == system && (of.Code == code || terminology.Subsumes(system, of.Code, code))
		})
	}
	exactly := slices.ContainsFunc(p.Exactly, func(s string) bool { return attribute.Purpose(s) == label.Code{System: system, Code: code} })
	return (exactly || within(p.Within)) && !within(p.Except)
}

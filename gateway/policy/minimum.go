package policy

import (
	"slices"

	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/consent"
)

// withinMinimum holds a permit to the minimum-necessary profile, for a request
// that asks for no more. What the profile does not list, and what is of a
// sensitivity of which nothing goes, is denied.
func (s *Session) withinMinimum(c *matter, v verdict) verdict {
	if !s.req.MinimumNecessary || v.kept != nil {
		return v
	}
	kept, ok := keptOf(s.law.Profile.Types, c.subject.Resource)
	if !ok || s.never(c.subject.Labels.Sensitivity) {
		return verdict{reasons: append(slices.Clip(v.reasons), Reason{
			Rule: "profile/minimum-necessary", Effect: "deny", Citation: s.law.Profile.Citation, Detail: "the profile of a crisis response does not list it",
		})}
	}
	v.kept, v.citation = []*Kept{kept}, s.law.Profile.Citation
	return v
}

// never says whether one of the sensitivities is one of which the profile lets
// nothing go.
func (s *Session) never(sensitivities []string) bool {
	return slices.ContainsFunc(sensitivities, func(sens string) bool {
		return slices.ContainsFunc(s.law.Profile.Never, func(n string) bool {
			return terminology.Subsumes(terminology.ActCode.URI(), n, sens) || n == "SUD" && consent.SubstanceUse(sens)
		})
	})
}

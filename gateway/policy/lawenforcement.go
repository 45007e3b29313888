package policy

import (
	"slices"

	"github.com/handoff-health/handoff/fhir/terminology"
)

// LawEnforcement says whether the requester is law enforcement: by its
// organisation, or by a role that the law counts so.
func (e *Engine) LawEnforcement(r *Requester) bool {
	if r.Police {
		return true
	}
	for _, role := range r.Roles {
		if terminology.SystemOf(role.System) == terminology.ActorRole && slices.Contains(e.law.police, role.Code) {
			return true
		}
	}
	return false
}

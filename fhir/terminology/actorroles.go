package terminology

import "slices"

// actorRoles are the codes of the project's actor-role system, which has no
// hierarchy.
var actorRoles = []string{
	"law-enforcement-officer", "custody-officer", "dispatcher", "co-responder-clinician", "treating-clinician",
	"emergency-physician", "case-manager", "prosecutor", "attorney", "researcher", "marketer",
}

// ActorRoles returns the codes of the project's actor-role system.
func ActorRoles() []string { return slices.Clone(actorRoles) }

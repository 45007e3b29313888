package terminology

import "slices"

// actorRoles are the codes of the project's actor-role system, which has no
// hierarchy.
var actorRoles = []string{
	"law-enforcement-officer", "custody-officer", "dispatcher", "co-responder-clinician", "treating-clinician",
	"emergency-physician", "case-manager", "prosecutor", "attorney", "researcher", "marketer",
}

// purposesOfUse are the codes of the project's purpose-of-use system: purposes
// of police that v3-ActReason has not.
var purposesOfUse = []string{"CRISIS", "LAWENF"}

// PurposesOfUse returns the codes of the project's purpose-of-use system.
func PurposesOfUse() []string { return slices.Clone(purposesOfUse) }

// ActorRoles returns the codes of the project's actor-role system.
func ActorRoles() []string { return slices.Clone(actorRoles) }

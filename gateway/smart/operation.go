package smart

import "slices"

// Scopes of operations that no resource scope covers: canonical URLs, as SMART
// 2.2 has it for extension scopes. Each must be registered for a client and
// asked for; no wildcard holds it.
const (
	ScopeExplainAccess = "https://handoff-health.github.io/fhir/scope/explain-access"
	// ScopeIntrospect opens token introspection (RFC 7662).
	ScopeIntrospect = "https://handoff-health.github.io/fhir/scope/introspect"
	// ScopeRegisterLaunch lets a system register the context of an EHR launch.
	ScopeRegisterLaunch = "https://handoff-health.github.io/fhir/scope/launch"
	// ScopeManageClients opens the registration API.
	ScopeManageClients = "https://handoff-health.github.io/fhir/scope/manage-clients"
	// ScopeFeedReport opens the reports of feeds, to whoever looks after them.
	ScopeFeedReport = "https://handoff-health.github.io/fhir/scope/feed-report"
)

// An operation is a scope with who can never be granted it.
type operation struct {
	scope    string
	noPolice bool // not open to law enforcement, whatever is registered
}

// operations has one line for each scope.
var operations = []operation{
	{scope: ScopeExplainAccess, noPolice: true},
	// An answer names the patient in context of somebody else's token.
	{scope: ScopeIntrospect, noPolice: true},
	{scope: ScopeRegisterLaunch},
	{scope: ScopeManageClients},
	// It counts, and shows codes of the agency's own records that no vocabulary has.
	{scope: ScopeFeedReport},
}

// OperationScopes lists the scopes of operations that exist.
func OperationScopes() []string {
	out := make([]string, len(operations))
	for i, o := range operations {
		out[i] = o.scope
	}
	return out
}

// OperationScope says whether s is the scope of an operation, and whether a
// client of a law-enforcement agency can hold it.
func OperationScope(s string) (known, police bool) {
	i := slices.IndexFunc(operations, func(o operation) bool { return o.scope == s })
	if i < 0 {
		return false, false
	}
	return true, !operations[i].noPolice
}

package auth

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/gateway/smart"
)

// ScopeExplainAccess opens $explain-access.
const ScopeExplainAccess = smart.ScopeExplainAccess

// splitScopes takes the scopes of operations out of a list; the rest is for the
// grammar of resource scopes.
func splitScopes(list string) (operations []string, rest string) {
	var others []string
	for s := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ' ' }) {
		known, _ := smart.OperationScope(s)
		switch {
		case !known:
			others = append(others, s)
		case !slices.Contains(operations, s):
			operations = append(operations, s)
		}
	}
	return operations, strings.Join(others, " ")
}

// operations are those of asked that the client is registered for and that its
// kind of organisation can hold.
func (c *Client) operations(asked []string) []string {
	var out []string
	for _, s := range asked {
		known, police := smart.OperationScope(s)
		if known && (police || !c.lawEnforcement()) && slices.Contains(c.Operations, s) {
			out = append(out, s)
		}
	}
	return out
}

// MayUse says whether the scope of an operation was granted.
func (p *Principal) MayUse(operation string) bool { return slices.Contains(p.Operations, operation) }

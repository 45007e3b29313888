package auth

import (
	"context"
	"fmt"

	"github.com/handoff-health/handoff/gateway/smart"
)

// pickingScopes are what finding a patient and an encounter takes.
var pickingScopes = smart.ParseGranted("user/Patient.rs user/Encounter.rs")

// Picking says for whom the pages of a launch look for patients and encounters:
// for the person, in the role and for the purposes that they chose, at the
// organisation of the app. What the app is registered for is neither needed nor
// added. There is no token of it: only the gateway itself can ask with it.
func (r *Registry) Picking(ctx context.Context, app string, said Asserted, base string) (*Principal, error) {
	c, err := r.Client(ctx, app)
	if err != nil {
		return nil, fmt.Errorf("picking: %w", err)
	}
	c.Scopes, c.Operations, c.ContextScopes = pickingScopes, nil, nil
	p, err := c.principal(pickingScopes, nil, &said, base, &personClaims{Authorization: "picking"})
	if err != nil {
		return nil, fmt.Errorf("picking: %w", err)
	}
	p.TokenID = "picking" // what the trail shows in the place of a token
	return &p, nil
}

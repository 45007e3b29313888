package auth

import (
	"slices"

	"github.com/handoff-health/handoff/gateway/guard"
)

// built is a principal with the state of the registry that it was built from.
type built struct {
	from      *registrations
	principal Principal
}

// principal says who the token's client is now.
func (v *Verifier) principal(t *verified, state *registrations) (*Principal, error) {
	if b := t.cached.Load(); b != nil && b.from == state {
		p := b.principal
		return &p, nil
	}
	c := state.clients[t.client]
	if c == nil || c.Disabled && !guard.Off(guard.ClientDisabled) {
		return nil, whyNot(c)
	}
	if want := t.issuer.clientIssuer(); c.Issuer != want && !guard.Off(guard.TokenClientIssuer) {
		return nil, faultf("client-issuer", "client %q belongs to issuer %q", c.ID, c.Issuer)
	}
	var signedIn *personClaims
	if t.person.Authorization != "" {
		signedIn = &t.person
	}
	var p Principal
	var err error
	if t.outsider != nil {
		p, err = c.outsiderPrincipal(t, v.base)
	} else {
		p, err = c.principal(t.scopes, t.operations, t.asserted, v.base, signedIn)
	}
	if err != nil {
		return nil, err
	}
	b := &built{from: state, principal: p}
	b.principal.TokenID, b.principal.Issuer, b.principal.Expires = t.claims.id, t.issuer.ID, t.claims.expires
	if signedIn != nil {
		b.principal.User.Subject = t.claims.subject
		for _, s := range t.context {
			if slices.Contains(c.ContextScopes, s) {
				b.principal.ContextScopes = append(b.principal.ContextScopes, s)
			}
		}
	}
	t.cached.Store(b)
	p = b.principal
	return &p, nil
}

// clientIssuer is what Client.Issuer must be for this issuer's tokens.
func (is *Issuer) clientIssuer() string {
	if is.Outside {
		return is.ID
	}
	return ""
}

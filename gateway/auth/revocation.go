package auth

import (
	"context"
	"net/http"

	"github.com/handoff-health/handoff/gateway/guard"
)

// A RevocationEndpoint ends tokens for the clients that hold them (RFC 7009). An
// access token ends alone; a refresh token ends with its family, access tokens
// too. What is no token of the client's own is left alone and answered like what
// is no token: the answer tells nothing about tokens of others.
type RevocationEndpoint struct{ o TokenInquiries }

// NewRevocationEndpoint checks the options.
func NewRevocationEndpoint(o TokenInquiries) (*RevocationEndpoint, error) {
	o, err := o.check()
	if err != nil {
		return nil, err
	}
	return &RevocationEndpoint{o}, nil
}

// ServeHTTP answers one request.
func (e *RevocationEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.o.serve(w, r, "revoke", e.answer)
}

func (e *RevocationEndpoint) answer(ctx context.Context, r *http.Request, q *Inquiry) (any, error) {
	form, err := e.o.read(r)
	if err != nil {
		return nil, err
	}
	by, err := e.o.Clients.Authenticate(ctx, r.Header, form, &q.Attempt)
	if err != nil {
		return nil, err
	}
	token, err := about(form)
	if err != nil {
		return nil, err
	}
	client := by.Client().ID
	t, _, err := e.o.access(ctx, token)
	if err != nil {
		return nil, err
	}
	if t != nil {
		q.Asked, q.AskedOf, q.AskedFor = t.claims.id, t.client, t.person.Authorization
		if t.client != client && !guard.Off(guard.ClientOwnTokens) {
			return nil, nil
		}
		q.Effective = true
		return nil, Revoke(ctx, e.o.Facts, t.issuer.ID, t.claims.id, t.claims.expires)
	}
	f, err := e.o.family(ctx, token)
	if f == nil || err != nil {
		return nil, err
	}
	q.AskedOf, q.AskedFor = f.Authorization.Client, f.Authorization.ID
	if f.Authorization.Client != client && !guard.Off(guard.ClientOwnTokens) {
		return nil, nil
	}
	q.Effective = true
	return nil, EndAuthorization(ctx, e.o.Facts, f.Authorization.ID, latest(f.Ends, e.o.Now().Add(MaxPersonTokenLife)))
}

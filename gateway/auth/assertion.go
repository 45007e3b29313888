package auth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/guard"
)

const (
	maxAssertionBytes = 8 << 10
	maxJTIBytes       = 255
)

// assertionTypes are the typ values of client assertions: SMART says JWT; some
// libraries leave it out or follow RFC 7523bis.
var assertionTypes = []string{"jwt", "", "client-authentication+jwt"}

// byAssertion says which registered client made the assertion. All refusals
// before the signature is verified read the same to the caller: nobody learns
// which clients exist. Afterwards the client has proven itself and is told what
// is wrong.
func (n *Authenticator) byAssertion(ctx context.Context, form map[string]string, a *Attempt) (*Authenticated, error) {
	raw := form["client_assertion"]
	if len(raw) > maxAssertionBytes {
		return nil, unknownClient(faultf("size", "assertion of %d bytes", len(raw)))
	}
	s, err := parseSigned(raw)
	if err != nil {
		return nil, unknownClient(err)
	}
	id := s.claims.issuer
	if checkClientID(id) != nil || s.claims.subject != id && !guard.Off(guard.ClientAssertionSubject) {
		return nil, unknownClient(faultf("subject", "iss and sub are not one client id"))
	}
	a.Client = id
	if given := form["client_id"]; given != "" && given != id && !guard.Off(guard.ClientIDAgrees) {
		return nil, unknownClient(faultf("client-id", "client_id is not the assertion's iss"))
	}
	client, generation, err := n.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if client == nil || client.Disabled && !guard.Off(guard.ClientDisabled) || client.keys == nil {
		n.decoy.verify(ctx, s)
		return nil, unknownClient(whyNot(client))
	}
	if _, _, err := verifySignature(ctx, s, expectation{
		keys: client.keys, algorithms: client.algorithms(), types: assertionTypes, jku: client.JWKSURL,
	}); err != nil {
		return nil, unknownClient(err)
	}
	if err := n.checkAssertion(ctx, &s.claims, client); err != nil {
		return nil, err
	}
	return &Authenticated{client: client, claims: &s.claims, generation: generation, Method: MethodPrivateKeyJWT}, nil
}

// Why a client that was named is none that acts here.
const (
	reasonUnknown  = "client-unknown"
	reasonDisabled = "client-disabled"
)

func whyNot(c *registered) error {
	switch {
	case c == nil:
		return faultf(reasonUnknown, "no such client")
	case c.Disabled:
		return faultf(reasonDisabled, "the client is disabled")
	}
	return faultf("client-outside", "the client has no keys here: it belongs to another issuer, or authenticates otherwise")
}

// unknownClient is the one refusal of a client that has proven nothing.
func unknownClient(err error) error {
	return &Refusal{Status: http.StatusUnauthorized, Code: codeInvalidClient, Description: "client authentication failed", Reason: reasonOf(err), Err: err}
}

// checkAssertion judges the claims of an assertion whose signature holds, and
// uses its jti up last. exp gets no clock skew, on neither side: an assertion
// that has expired is refused, and the five minutes that SMART allows are five
// minutes of this server's clock. nbf and iat get it.
func (n *Authenticator) checkAssertion(ctx context.Context, c *claims, client *registered) error {
	refuse := func(description string, err error) error {
		return &Refusal{Status: http.StatusUnauthorized, Code: codeInvalidClient, Description: description, Reason: reasonOf(err), Err: err}
	}
	now := n.o.Now()
	if err := c.current(now, 0, n.o.Skew); err != nil {
		return refuse("the assertion is not in force: check exp, nbf, iat and the clock", err)
	}
	if c.expires.After(now.Add(maxAssertionLife)) && !guard.Off(guard.ClientAssertionLife) {
		return refuse("exp is more than five minutes ahead", faultf("lifetime", "exp %v ahead", c.expires.Sub(now)))
	}
	if !n.audience(c, client) && !guard.Off(guard.ClientAssertionAudience) {
		return refuse("aud must be the URL of this token endpoint", faultf("audience", "aud %.200q", c.audience))
	}
	if (c.id == "" || len(c.id) > maxJTIBytes) && !guard.Off(guard.ClientAssertionID) {
		return refuse("jti is missing or too long", faultf("jti", "jti of %d bytes", len(c.id)))
	}
	// The note outlives the assertion by more than any tolerated skew.
	first, err := n.once(ctx, factKey(factReplay, c.issuer, c.id), c.expires.Add(2*maxSkew))
	if err != nil {
		return err
	}
	if !first && !guard.Off(guard.ClientAssertionReplay) {
		return refuse("the assertion was used before: make a new one, with a new jti, for each request", faultf("replay", "jti was used"))
	}
	// A process that stood still, or waited for the store, may have noted it after a
	// note of before had gone.
	if err := c.current(n.o.Now(), 0, n.o.Skew); err != nil {
		return refuse("the assertion has expired while it was judged", err)
	}
	return nil
}

// audience wants the token URL, alone or in an array whose every value is
// acceptable: an assertion that another server could use too is not taken.
func (n *Authenticator) audience(c *claims, client *registered) bool {
	ok := func(aud string) bool {
		return aud == n.o.TokenURL || (client.AcceptIssuerAudience && aud == n.o.Issuer)
	}
	return len(c.audience) > 0 && !slices.ContainsFunc(c.audience, func(aud string) bool { return !ok(aud) })
}

// once takes a key that can be taken one time only: of several callers at the
// same moment exactly one is first.
func (n *Authenticator) once(ctx context.Context, key string, expires time.Time) (first bool, err error) {
	_, err = n.o.Facts.PutIfAbsent(ctx, key, []byte("1"), expires)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, store.ErrExists):
		return false, nil
	}
	return false, faultf("store", "note the assertion: %w", err)
}

// A decoy costs an unknown client as much time as a known one, so that the
// answer's delay does not tell them apart.
type decoy struct{ keys *KeySet }

func newDecoy() (*decoy, error) {
	k, err := GenerateKey(ES384)
	if err != nil {
		return nil, err
	}
	jwks, err := PublicKeys(k)
	if err != nil {
		return nil, err
	}
	ks, err := ParseKeySet(jwks)
	return &decoy{ks}, err
}

// verify tries the signature with the decoy's key under the kid it names.
func (d *decoy) verify(ctx context.Context, s *signed) {
	keys := &KeySet{keys: []publicKey{d.keys.keys[0]}}
	keys.keys[0].kid = s.header.Get("kid").Text()
	_, _, _ = verifySignature(ctx, s, expectation{keys: keys, algorithms: []string{RS384, ES384}, types: assertionTypes})
}

package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/guard"
)

// An IDTokenCheck pins what an id token of an OpenID Provider must be. All of it
// comes from configuration and from the sign-in that was begun; nothing in a
// token widens it.
type IDTokenCheck struct {
	Issuer     string // iss, byte for byte
	Client     string // aud: the id of this gateway at the provider
	Nonce      string // of the sign-in that was begun
	Algorithms []string
	Keys       KeySource
	// Oldest is the earliest auth_time that counts, before skew is taken off; a
	// token without auth_time is refused.
	Oldest time.Time
	Now    time.Time
	Skew   time.Duration // between the clocks; at most a minute, 0 is DefaultSkew
}

// An IDToken is what a provider says of a person, believed.
type IDToken struct {
	Subject  string
	SignedIn time.Time // auth_time
	ACR      string
	Methods  []string // amr
	MFA      bool     // amr proves more than one factor
	Claims   resource.Node
}

// idTokenTypes are the values of typ that providers write; an access token's
// at+jwt is none of them.
var idTokenTypes = []string{"", "jwt"}

// maxSubjectBytes is the longest sub (OpenID Connect Core 2).
const maxSubjectBytes = 255

// VerifyIDToken judges an id token as OpenID Connect Core 3.1.3.7 has it. An error
// has a stable reason ([Reason]) and says nothing of the token's contents that a
// person may not read.
func VerifyIDToken(ctx context.Context, compact string, k IDTokenCheck) (*IDToken, error) {
	if k.Issuer == "" || k.Client == "" || k.Nonce == "" || k.Keys == nil || k.Now.IsZero() || k.Skew > maxSkew {
		return nil, errors.New("id token: the check says too little")
	}
	if err := checkAlgorithms(k.Algorithms); err != nil {
		return nil, fmt.Errorf("id token: %w", err)
	}
	if k.Skew == 0 {
		k.Skew = DefaultSkew
	}
	s, err := parseSigned(compact)
	if err != nil {
		return nil, err
	}
	_, _, err = verifySignature(ctx, s, expectation{keys: k.Keys, algorithms: k.Algorithms, types: idTokenTypes})
	if err != nil && !guard.Off(guard.SignInSignature) {
		return nil, err
	}
	if err := k.check(&s.claims); err != nil {
		return nil, err
	}
	return k.read(&s.claims)
}

// check judges the claims that bind the token to this sign-in.
func (k *IDTokenCheck) check(c *claims) error {
	if c.issuer != k.Issuer && !guard.Off(guard.SignInIssuer) {
		return faultf("issuer", "iss is not the provider's")
	}
	if err := k.audience(c); err != nil && !guard.Off(guard.SignInAudience) {
		return err
	}
	if err := c.current(k.Now, k.Skew, k.Skew); err != nil && !guard.Off(guard.SignInExpiry) {
		return err
	}
	if c.issuedAt.IsZero() {
		return faultf("issued", "iat is missing")
	}
	if !c.node.Get("nonce").Is(k.Nonce) && !guard.Off(guard.SignInNonce) {
		return faultf("nonce", "nonce is not the one of this sign-in")
	}
	return nil
}

// audience wants this client, no other that is not trusted, and azp to name it
// where it is there.
func (k *IDTokenCheck) audience(c *claims) error {
	azp := c.node.Get("azp")
	switch {
	case !c.forAudience(k.Client):
		return faultf("audience", "aud does not name this gateway")
	case slices.ContainsFunc(c.audience, func(a string) bool { return a != k.Client }):
		return faultf("audience", "aud names others beside this gateway")
	case azp.Exists() && !azp.Is(k.Client):
		return faultf("audience", "azp is another client")
	}
	return nil
}

func (k *IDTokenCheck) read(c *claims) (*IDToken, error) {
	t := &IDToken{Subject: c.subject, Claims: c.node}
	if c.subject == "" || len(c.subject) > maxSubjectBytes {
		return nil, faultf("subject", "sub is missing or longer than %d bytes", maxSubjectBytes)
	}
	at, err := numericDate(c.node.Get("auth_time"))
	switch {
	case !c.node.Get("auth_time").Exists():
		return nil, faultf("auth-time", "auth_time is missing: the provider must say when the person signed in")
	case err != nil:
		return nil, faultf("auth-time", "auth_time: %w", err)
	case at.After(k.Now.Add(k.Skew)):
		return nil, faultf("auth-time", "auth_time is in the future")
	case at.Before(k.Oldest.Add(-k.Skew)) && !guard.Off(guard.SignInAge):
		return nil, faultf("auth-time", "the person signed in at the provider too long ago")
	}
	t.SignedIn = at.UTC()
	if acr := c.node.Get("acr"); acr.Exists() {
		if t.ACR, err = line(acr, "acr"); err != nil {
			return nil, faultf("claims", "%w", err)
		}
	}
	if amr := c.node.Get("amr"); amr.Exists() && amr.Len() > 0 {
		if t.Methods, err = texts(amr, "amr"); err != nil {
			return nil, faultf("claims", "%w", err)
		}
	}
	t.MFA = severalFactors(t.Methods)
	return t, nil
}

// PlainText reads a claim that a person could be shown: 1 to 255 bytes on one
// line, without control and format characters. name is for the error.
func PlainText(n resource.Node, name string) (string, error) { return line(n, name) }

// Reason returns the stable reason why something signed was not believed, "error"
// where there is none.
func Reason(err error) string { return reasonOf(err) }

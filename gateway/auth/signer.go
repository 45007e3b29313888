package auth

import (
	"crypto/rand"
	"errors"
	"time"
)

// assertionType is the one value of client_assertion_type (RFC 7523 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// maxAssertionLife is how far ahead exp may lie: SMART 2.2 says five minutes.
const maxAssertionLife = 5 * time.Minute

// A Signer makes client assertions: the gateway, or a tool, as a client of
// somebody else's token endpoint.
type Signer struct {
	client string
	key    *PrivateKey
	life   time.Duration
	now    func() time.Time
}

// NewSigner makes assertions for the client id with its key; each lives for
// life (0: four minutes, at most five).
func NewSigner(client string, key *PrivateKey, life time.Duration, now func() time.Time) (*Signer, error) {
	if client == "" || key == nil {
		return nil, errors.New("signer: client id or key is missing")
	}
	if life == 0 {
		life = 4 * time.Minute
	}
	if life < time.Second || life > maxAssertionLife {
		return nil, errors.New("signer: an assertion lives between one second and five minutes")
	}
	if now == nil {
		now = time.Now
	}
	return &Signer{client: client, key: key, life: life, now: now}, nil
}

// Assertion makes a fresh assertion for the token endpoint aud (its URL).
func (s *Signer) Assertion(aud string) (string, error) { return s.AssertionFor(aud, nil) }

// AssertionFor is Assertion with the person and the purposes that the client
// asks for; nil names none.
func (s *Signer) AssertionFor(aud string, a *Asserted) (string, error) {
	if aud == "" {
		return "", errors.New("signer: the audience is missing")
	}
	now := s.now()
	return s.key.sign(struct {
		Issuer     string      `json:"iss"`
		Subject    string      `json:"sub"`
		Audience   string      `json:"aud"`
		Expires    int64       `json:"exp"`
		IssuedAt   int64       `json:"iat"`
		ID         string      `json:"jti"`
		Extensions *extensions `json:"extensions,omitempty"`
		Methods    []string    `json:"amr,omitempty"`
	}{s.client, s.client, aud, now.Add(s.life).Unix(), now.Unix(), rand.Text(), a.claim(), a.methods()}, "JWT")
}

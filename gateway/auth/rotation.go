package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// A Retiring is what a rotation replaced: a key set or the hash of a secret, which
// counts beside the new one until a time.
type Retiring struct {
	JWKS       []byte
	SecretHash string
	Until      time.Time
}

// NewSecret makes a client secret of 256 bits with what a registration keeps of
// it. The secret is shown once and kept nowhere.
func NewSecret() (secret, hash string) {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails
	secret = base64.RawURLEncoding.EncodeToString(raw[:])
	sum := sha256.Sum256([]byte(secret))
	return secret, secretHashPrefix + hex.EncodeToString(sum[:])
}

// secretHashesAt are those that count at a time.
func (c *Client) secretHashesAt(now time.Time) []string {
	hashes := c.SecretHashes
	for _, r := range c.Retiring {
		if r.SecretHash != "" && now.Before(r.Until) {
			hashes = append(slices.Clip(hashes), r.SecretHash)
		}
	}
	return hashes
}

// A rotation is a key set with those that it replaces, as long as they count. It
// is immutable: with the time, fewer of its sets are in force.
type rotation struct {
	now  func() time.Time
	sets []phase // with all that still count at a time; the last is for good
}

type phase struct {
	until time.Time // zero: for good
	set   *KeySet
}

// newRotation reads the sets. Two keys under one kid would make every assertion
// with it ambiguous.
func newRotation(jwks []byte, retiring []Retiring, now func() time.Time) (*rotation, error) {
	current, err := ParseKeySet(jwks)
	if err != nil {
		return nil, err
	}
	var old []phase
	for _, r := range retiring {
		if len(r.JWKS) == 0 {
			continue
		}
		set, err := ParseKeySet(r.JWKS)
		if err != nil {
			return nil, fmt.Errorf("former keys: %w", err)
		}
		old = append(old, phase{r.Until, set})
	}
	slices.SortStableFunc(old, func(a, b phase) int { return b.until.Compare(a.until) })
	// From the last to end, each phase has what the one after it has, and its own.
	out := []phase{{set: current}}
	for _, p := range old {
		merged, err := merge(out[0].set, p.set)
		if err != nil {
			return nil, err
		}
		out = append([]phase{{p.until, merged}}, out...)
	}
	return &rotation{now: now, sets: out}, nil
}

func merge(a, b *KeySet) (*KeySet, error) {
	out := &KeySet{keys: slices.Clone(a.keys)}
	for _, k := range b.keys {
		i := slices.IndexFunc(out.keys, func(have publicKey) bool { return have.kid == k.kid })
		switch {
		case i < 0:
			out.keys = append(out.keys, k)
		case out.keys[i].thumbprint != k.thumbprint:
			return nil, fmt.Errorf("a new key has the kid %.40q of a former one that still counts", k.kid)
		}
	}
	return out, nil
}

// Keys implements KeySource.
func (r *rotation) Keys(context.Context, string) (*KeySet, error) {
	now := r.now()
	for _, p := range r.sets {
		if p.until.IsZero() || now.Before(p.until) {
			return p.set, nil
		}
	}
	return r.sets[len(r.sets)-1].set, nil
}

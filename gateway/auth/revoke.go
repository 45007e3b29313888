package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// Keys of facts. What was signed by others is hashed: it may be long and odd.
const (
	factReplay  = "auth/jti/"
	factRevoked = "auth/revoked/"
)

// factKey hashes the parts with their lengths, so that no two pairs meet.
func factKey(prefix string, parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return prefix + hex.EncodeToString(h.Sum(nil))
}

// Revoke ends an access token before its time: every request that starts after
// it returns is refused. expires is the token's, after which the note goes.
func Revoke(ctx context.Context, facts store.Facts, issuer, tokenID string, expires time.Time) error {
	_, err := facts.PutIfAbsent(ctx, factKey(factRevoked, issuer, tokenID), []byte("1"), expires.Add(maxSkew))
	if err != nil && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("revoke token: %w", err)
	}
	return nil
}

// revoked asks the deny list. An error is no answer.
func revoked(ctx context.Context, facts store.Facts, issuer, tokenID string) (bool, error) {
	_, err := facts.Get(ctx, factKey(factRevoked, issuer, tokenID))
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	}
	return false, fmt.Errorf("deny list: %w", err)
}

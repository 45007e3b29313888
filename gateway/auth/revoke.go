package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/guard"
)

// Keys of facts. What was signed by others is hashed: it may be long and odd.
const (
	factReplay  = "auth/jti/"
	factRevoked = "auth/ended/token/"
)

// factKey hashes the parts with their lengths, so that no two pairs meet.
func factKey(prefix string, parts ...string) string {
	text := make([]byte, 0, 256)
	for _, p := range parts {
		text = strconv.AppendInt(text, int64(len(p)), 10)
		text = append(text, ':')
		text = append(text, p...)
	}
	sum := sha256.Sum256(text)
	return string(hex.AppendEncode([]byte(prefix), sum[:]))
}

// Revoke ends one access token before its time: every request that starts after
// it returns is refused. expires is the token's, after which the note goes.
func Revoke(ctx context.Context, facts store.Facts, issuer, tokenID string, expires time.Time) error {
	return noteUntil(ctx, facts, factRevoked, expires.Add(maxSkew), issuer, tokenID)
}

// listEndings lists those of a token. Their keys are made once a token, not once a
// request.
func (t *verified) listEndings() []ending {
	list := []ending{endingOfClient(t.client, t.generation.client)}
	if t.person.Authorization != "" {
		list = append(list, endingsOfPerson(t.person.Authorization, t.claims.subject, t.person.Session, t.generation.person)...)
	}
	for i := range list {
		list[i].guard = guard.TokenEnded
	}
	return append(list, ending{key: factKey(factRevoked, t.issuer.ID, t.claims.id), reason: "revoked", guard: guard.TokenRevoked})
}

// alive refuses a token that was ended. An error that is no fault is no answer.
func (t *verified) alive(ctx context.Context, facts store.Facts) error {
	by, err := endedBy(ctx, facts, t.endings, t.endingKeys, t.claims.issuedAt)
	if err == nil && by != nil {
		err = faultf(by.reason, "the token was ended before its time")
	}
	return err
}

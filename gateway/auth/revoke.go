package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return prefix + hex.EncodeToString(h.Sum(nil))
}

// Revoke ends one access token before its time: every request that starts after
// it returns is refused. expires is the token's, after which the note goes.
func Revoke(ctx context.Context, facts store.Facts, issuer, tokenID string, expires time.Time) error {
	return note(ctx, facts, factKey(factRevoked, issuer, tokenID), expires.Add(maxSkew), []byte("1"))
}

// An ending is one way in which a token can be ended before its time.
type ending struct {
	key     string
	guard   guard.Name
	reason  string
	instant bool // the note says up to which time of issue
}

// listEndings lists those of a token. Their keys are made once a token, not once a
// request.
func (t *verified) listEndings() []ending {
	list := []ending{
		{key: factKey(factRevoked, t.issuer.ID, t.claims.id), guard: guard.TokenRevoked, reason: "revoked"},
		{key: factKey(factEndedClient, t.client), guard: guard.TokenEnded, reason: "client-ended", instant: true},
	}
	if t.person.Authorization == "" {
		return list
	}
	list = append(list,
		ending{key: factKey(factEndedAuthorization, t.person.Authorization), guard: guard.TokenEnded, reason: "authorization-ended"},
		ending{key: factKey(factEndedSubject, t.claims.subject), guard: guard.TokenEnded, reason: "subject-ended", instant: true})
	if t.person.Session != "" {
		list = append(list, ending{key: factKey(factEndedSession, t.person.Session), guard: guard.TokenEnded, reason: "session-ended"})
	}
	return list
}

// alive refuses a token that was ended. An error that is no fault is no answer.
func (t *verified) alive(ctx context.Context, facts store.Facts) error {
	for i := range t.endings {
		e := &t.endings[i]
		var is bool
		var err error
		if e.instant {
			is, err = endedAfter(ctx, facts, e.key, t.claims.issuedAt)
		} else {
			is, err = noted(ctx, facts, e.key)
		}
		if err != nil {
			return err
		}
		if is && !guard.Off(e.guard) {
			return faultf(e.reason, "the token was ended before its time")
		}
	}
	return nil
}

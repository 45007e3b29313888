package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
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
	notes, err := store.Gather(ctx, facts, t.endingKeys)
	if err != nil {
		return fmt.Errorf("ended tokens: %w", err)
	}
	for _, note := range notes {
		i := slices.Index(t.endingKeys, note.Key)
		if i < 0 {
			return errors.New("ended tokens: the store gave another note than was asked for")
		}
		e := &t.endings[i]
		is := true
		if e.instant {
			if is, err = endsWhat(note, t.claims.issuedAt); err != nil {
				return err
			}
		}
		if is && !guard.Off(e.guard) {
			return faultf(e.reason, "the token was ended before its time")
		}
	}
	return nil
}

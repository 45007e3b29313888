package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// A generation says under which ends of a client, and of a person at it, something
// was given: the mark of each one's last end at that time. Every end makes a new mark,
// so that what was given under another has ended, whatever any clock says.
//
// As text, in a token and in what the authorization server keeps, it is the client's
// mark or, for a person, "client.person".
type generation struct{ client, person string }

// claimGeneration is the claim of the gateway's own access tokens. Those of an older
// release and of outside issuers have none: they are judged by their time.
const claimGeneration = "generation"

// neverEnded is the mark of who was not ended, as far as the store remembers.
const neverEnded = "0"

// A note of the end of a client or a person holds the second up to which it ends what
// has no generation, and random bytes that make every note another. Notes of an older
// release have no such bytes.
const (
	instantBytes = 8
	freshBytes   = 16
)

var (
	// errDamagedNote is refused with: whoever was ended under it gets nothing here.
	errDamagedNote = errors.New("ended tokens: the note of an end is damaged, or was written by a newer release: " +
		"update all gateways of a store together; a note that stays unreadable is replaced by ending its client or person again")
	markLength = base64.RawURLEncoding.EncodedLen(freshBytes)
)

// newNote makes the note of an end at this time.
func newNote(at time.Time) []byte {
	value := binary.BigEndian.AppendUint64(nil, uint64(max(at.Unix(), 0)))
	var fresh [freshBytes]byte
	_, _ = rand.Read(fresh[:]) // never fails
	return append(value, fresh[:]...)
}

// markOf is the mark of a note. It tells nothing of when the end was.
func markOf(value []byte) string {
	sum := sha256.Sum256(value)
	return base64.RawURLEncoding.EncodeToString(sum[:freshBytes])
}

// instantOf is the second of a note.
func instantOf(value []byte) (int64, error) {
	if len(value) != instantBytes && len(value) != instantBytes+freshBytes {
		return 0, errDamagedNote
	}
	return int64(binary.BigEndian.Uint64(value)), nil //nolint:gosec // written by newNote
}

// ReadGeneration returns the generation of what a client is given now, for a person if
// subject is not empty. It is to be read before anything of them is judged, and then
// put into whatever is given: who is ended meanwhile, at any gateway, has nothing of
// it, however long this one stands still.
func ReadGeneration(ctx context.Context, facts store.Facts, client, subject string) (string, error) {
	keys := []string{factKey(factEndedClient, client)}
	if subject != "" {
		keys = append(keys, factKey(factEndedSubject, subject))
	}
	notes, err := store.Gather(ctx, facts, keys)
	if err != nil {
		return "", fmt.Errorf("ended tokens: %w", err)
	}
	marks := make([]string, len(keys))
	for i, key := range keys {
		marks[i] = neverEnded
		for _, note := range notes {
			if note.Key == key {
				marks[i] = markOf(note.Value)
			}
		}
	}
	return strings.Join(marks, "."), nil
}

// PersonGeneration is [ReadGeneration] of a person alone, for a sign-in. ended is the
// second in which the person was last ended, the zero time if they never were: what they
// have proven up to then counts no more.
func PersonGeneration(ctx context.Context, facts store.Facts, subject string) (mark string, ended time.Time, err error) {
	note, err := facts.Get(ctx, factKey(factEndedSubject, subject))
	if errors.Is(err, store.ErrNotFound) {
		return neverEnded, time.Time{}, nil
	}
	if err != nil {
		return "", time.Time{}, fmt.Errorf("ended tokens: %w", err)
	}
	instant, err := instantOf(note.Value)
	if err != nil {
		return "", time.Time{}, err
	}
	return markOf(note.Value), time.Unix(instant, 0).UTC(), nil
}

// parseGeneration reads what ReadGeneration returned.
func parseGeneration(text string, forPerson bool) (generation, error) {
	client, person, two := strings.Cut(text, ".")
	if two != forPerson || !isMark(client) || two && !isMark(person) {
		return generation{}, faultf("claims", "%s is malformed", claimGeneration)
	}
	return generation{client, person}, nil
}

func isMark(s string) bool {
	if s == neverEnded {
		return true
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	return err == nil && len(s) == markLength && len(raw) == freshBytes
}

// readGeneration reads the claim of an own token; the zero generation if it has none.
func readGeneration(claims resource.Node, forPerson bool) (generation, error) {
	n := claims.Get(claimGeneration)
	if !n.Exists() {
		return generation{}, nil
	}
	return parseGeneration(n.Text(), forPerson)
}

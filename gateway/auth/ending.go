package auth

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// Endings are facts that the verifier reads at each request: what is written here
// is in force for every request that starts after the function has returned, on
// every node that shares the store.
//
// A client and a person have tokens that nobody counts, so theirs end by their
// time: all that were issued until an instant. That instant and the iat of a token
// are both of the store's clock, whichever nodes wrote them.
const (
	factEndedAuthorization = "auth/ended/authorization/"
	factEndedSession       = "auth/ended/session/"
	factEndedClient        = "auth/ended/client/"
	factEndedSubject       = "auth/ended/subject/"
)

// maxTokenSpan is the longest time between iat and exp of any token that the
// verifier believes, so that an ending need not be kept for longer.
const maxTokenSpan = 24 * time.Hour

// MaxFamilyLife is the longest that refresh tokens of one authorization may live:
// for so long the end of a client or a person is kept.
const MaxFamilyLife = 90 * 24 * time.Hour

// EndAuthorization ends the family of tokens that came of one authorization
// ([Authorization.ID]). until is when the last of its tokens would have ended by
// itself; the note goes then.
func EndAuthorization(ctx context.Context, facts store.Facts, id string, until time.Time) error {
	return noteUntil(ctx, facts, factEndedAuthorization, id, until)
}

// EndSession ends every token of a sign-in ([Authorization.Session]). until is as
// in [EndAuthorization].
func EndSession(ctx context.Context, facts store.Facts, session string, until time.Time) error {
	return noteUntil(ctx, facts, factEndedSession, session, until)
}

// EndClient ends every token of a client, its own and those for persons, that was
// issued up to and in the second of at.
func EndClient(ctx context.Context, facts store.Facts, client string, at time.Time) error {
	return noteInstant(ctx, facts, factEndedClient, client, at)
}

// EndSubject ends every token for a person who signed in here
// ([Authorization.Subject]), at whatever app, that was issued up to and in the
// second of at.
func EndSubject(ctx context.Context, facts store.Facts, subject string, at time.Time) error {
	return noteInstant(ctx, facts, factEndedSubject, subject, at)
}

// Ended says whether the authorization, or the sign-in in which it was given, was
// ended. An empty id is none. An error is no answer.
func Ended(ctx context.Context, facts store.Facts, authorization, session string) (bool, error) {
	if authorization != "" {
		if is, err := noted(ctx, facts, factKey(factEndedAuthorization, authorization)); is || err != nil {
			return is, err
		}
	}
	if session == "" {
		return false, nil
	}
	return noted(ctx, facts, factKey(factEndedSession, session))
}

// FamilyEnded says whether an authorization that began then was ended in any of the
// four ways.
func FamilyEnded(ctx context.Context, facts store.Facts, a *Authorization, began time.Time) (bool, error) {
	if is, err := Ended(ctx, facts, a.ID, a.Session); is || err != nil {
		return is, err
	}
	if is, err := SubjectEnded(ctx, facts, a.Subject, began); is || err != nil {
		return is, err
	}
	return ClientEnded(ctx, facts, a.Client, began)
}

// SubjectEnded says whether what the person was given at this time was ended by
// [EndSubject].
func SubjectEnded(ctx context.Context, facts store.Facts, subject string, issued time.Time) (bool, error) {
	return endedAfter(ctx, facts, factKey(factEndedSubject, subject), issued)
}

// ClientEnded is [SubjectEnded] for [EndClient].
func ClientEnded(ctx context.Context, facts store.Facts, client string, issued time.Time) (bool, error) {
	return endedAfter(ctx, facts, factKey(factEndedClient, client), issued)
}

var errNoID = errors.New("end tokens: of nobody; the id is missing")

// noteUntil keeps an ending that has no time of its own.
func noteUntil(ctx context.Context, facts store.Facts, prefix, id string, until time.Time) error {
	if id == "" {
		return errNoID
	}
	return note(ctx, facts, factKey(prefix, id), until.Add(maxSkew), []byte("1"))
}

// noteInstant keeps the latest instant up to which tokens are ended.
func noteInstant(ctx context.Context, facts store.Facts, prefix, id string, at time.Time) error {
	if id == "" {
		return errNoID
	}
	value := binary.BigEndian.AppendUint64(nil, uint64(max(at.Unix(), 0)))
	return note(ctx, facts, factKey(prefix, id), at.Add(MaxFamilyLife+2*maxSkew), value)
}

const noteTries = 8

// note writes an ending. One that is there stays if it says and lasts as much,
// and is replaced by what says more.
func note(ctx context.Context, facts store.Facts, key string, expires time.Time, value []byte) error {
	for range noteTries {
		_, err := facts.PutIfAbsent(ctx, key, value, expires)
		if err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrExists) {
			return fmt.Errorf("end tokens: %w", err)
		}
		there, err := facts.Get(ctx, key)
		if errors.Is(err, store.ErrNotFound) {
			continue // expired in between
		}
		if err != nil {
			return fmt.Errorf("end tokens: %w", err)
		}
		if string(there.Value) >= string(value) && !there.Expires.Before(expires) {
			return nil
		}
		_, err = facts.CompareAndSet(ctx, key, there.Version, more(value, there.Value), latest(expires, there.Expires))
		if err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("end tokens: %w", err)
		}
	}
	return errors.New("end tokens: others write the same ending all the time")
}

// noted says whether a note is there. An error is no answer.
func noted(ctx context.Context, facts store.Facts, key string) (bool, error) {
	_, err := facts.Get(ctx, key)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	}
	return false, fmt.Errorf("ended tokens: %w", err)
}

// endedAfter says whether what was issued then is ended by an instant. What does
// not say when it was issued is ended.
func endedAfter(ctx context.Context, facts store.Facts, key string, issued time.Time) (bool, error) {
	f, err := facts.Get(ctx, key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("ended tokens: %w", err)
	}
	return endsWhat(f, issued)
}

// endsWhat says whether a note with an instant ends what was issued then.
func endsWhat(note store.Fact, issued time.Time) (bool, error) {
	if len(note.Value) != 8 {
		return false, errors.New("ended tokens: a note is damaged")
	}
	return issued.Unix() <= int64(binary.BigEndian.Uint64(note.Value)), nil //nolint:gosec // written by noteInstant
}

// more is the later of two instants: they sort as their bytes do.
func more(a, b []byte) []byte {
	if string(a) < string(b) {
		return b
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

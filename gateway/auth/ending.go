package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/guard"
)

// Endings are facts that the verifier reads at each request: what is written here
// is in force for every request that starts after the function has returned, on
// every node that shares the store.
//
// A client and a person have tokens that nobody counts, so an end of theirs is a new
// generation: it ends all that was given in another, and what was under way while it
// was noted. What has no generation ends by its time: all that was issued until an
// instant of the store's clock.
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
	return noteUntil(ctx, facts, factEndedAuthorization, until.Add(maxSkew), id)
}

// EndSession ends every token of a sign-in ([Authorization.Session]). until is as
// in [EndAuthorization].
func EndSession(ctx context.Context, facts store.Facts, session string, until time.Time) error {
	return noteUntil(ctx, facts, factEndedSession, until.Add(maxSkew), session)
}

// EndClient ends every token of a client, its own and those for persons, that was
// given until now, whatever its iat; of an outside issuer or an older release, that was
// issued up to and in the second of at.
func EndClient(ctx context.Context, facts store.Facts, client string, at time.Time) error {
	return noteGeneration(ctx, facts, factEndedClient, client, at)
}

// EndSubject ends every sign-in of a person here ([Authorization.Subject]), and every
// token for them at whatever app, that was given until now; of an older release, that
// began or was issued up to and in the second of at.
func EndSubject(ctx context.Context, facts store.Facts, subject string, at time.Time) error {
	return noteGeneration(ctx, facts, factEndedSubject, subject, at)
}

// FamilyEnded says whether an authorization was ended in any of the four ways. One
// that was kept without a generation is judged by when it began.
func FamilyEnded(ctx context.Context, facts store.Facts, a *Authorization, began time.Time) (bool, error) {
	var g generation
	if a.Generation != "" {
		var err error
		if g, err = parseGeneration(a.Generation, true); err != nil {
			return false, err
		}
	}
	list := append([]ending{endingOfClient(a.Client, g.client)}, endingsOfPerson(a.ID, a.Subject, a.Session, g.person)...)
	by, err := endedBy(ctx, facts, list, keysOf(list), began)
	return by != nil, err
}

// A SignIn is one of a person, as it is kept.
type SignIn struct {
	Session    string
	Subject    string
	Generation string // of the person ([PersonGeneration]); "" of an older release
	Began      time.Time
}

// SignInEnded says whether a sign-in was ended, alone ([EndSession]) or with its person
// ([EndSubject]). One that was kept without a generation is judged by when it began.
func SignInEnded(ctx context.Context, facts store.Facts, s SignIn) (bool, error) {
	if s.Generation != "" && !isMark(s.Generation) {
		return false, faultf("claims", "%s of a sign-in is malformed", claimGeneration)
	}
	list := []ending{endingOfSession(s.Session), endingOfSubject(s.Subject, s.Generation)}
	by, err := endedBy(ctx, facts, list, keysOf(list), s.Began)
	return by != nil, err
}

// An ending is one way in which a token can be ended before its time.
type ending struct {
	key    string
	reason string
	guard  guard.Name // "": none
	// whole: it ends a client or a person: what was given under another mark or, if
	// mark is empty, up to an instant.
	whole bool
	mark  string
}

func endingOfClient(client, mark string) ending {
	return ending{key: factKey(factEndedClient, client), reason: "client-ended", whole: true, mark: mark}
}

// endingsOfPerson lists those of what a person let an app do.
func endingsOfPerson(authorization, subject, session, mark string) []ending {
	list := []ending{
		{key: factKey(factEndedAuthorization, authorization), reason: "authorization-ended"},
		endingOfSubject(subject, mark),
	}
	if session != "" {
		list = append(list, endingOfSession(session))
	}
	return list
}

func endingOfSubject(subject, mark string) ending {
	return ending{key: factKey(factEndedSubject, subject), reason: "subject-ended", whole: true, mark: mark}
}

func endingOfSession(session string) ending {
	return ending{key: factKey(factEndedSession, session), reason: "session-ended"}
}

func keysOf(list []ending) []string {
	keys := make([]string, len(list))
	for i := range list {
		keys[i] = list[i].key
	}
	return keys
}

// endedBy returns by which of the endings something is over that was issued then, nil
// if by none. keys are those of the list, in its order. An error is no answer.
func endedBy(ctx context.Context, facts store.Facts, list []ending, keys []string, issued time.Time) (*ending, error) {
	notes, err := store.Gather(ctx, facts, keys)
	if err != nil {
		return nil, fmt.Errorf("ended tokens: %w", err)
	}
	for _, note := range notes {
		i := slices.Index(keys, note.Key)
		if i < 0 {
			return nil, errors.New("ended tokens: the store gave another note than was asked for")
		}
		e := &list[i]
		if is, err := e.ends(note, issued); err != nil || is && !guard.Off(e.guard) {
			return e, err
		}
	}
	return nil, nil
}

// ends says whether the note of this ending ends what was issued then. What says
// neither its generation nor when it was issued is ended.
func (e *ending) ends(note store.Fact, issued time.Time) (bool, error) {
	if !e.whole {
		return true, nil
	}
	until, err := instantOf(note.Value)
	if err != nil {
		return false, fmt.Errorf("%s: %w", note.Key, err)
	}
	if e.mark != "" && !guard.Off(guard.TokenGeneration) {
		return e.mark != markOf(note.Value), nil
	}
	return issued.Unix() <= until, nil
}

var errNoID = errors.New("end tokens: of nobody; the id is missing")

// noteUntil keeps an ending that has no time of its own: nothing shortens it.
func noteUntil(ctx context.Context, facts store.Facts, prefix string, until time.Time, id ...string) error {
	if slices.Contains(id, "") {
		return errNoID
	}
	return note(ctx, facts, factKey(prefix, id...), func(there *store.Fact) ([]byte, time.Time) {
		if there != nil && !there.Expires.Before(until) {
			return nil, time.Time{}
		}
		return []byte("1"), until
	})
}

// noteGeneration makes a new generation. The instant of its note only grows.
func noteGeneration(ctx context.Context, facts store.Facts, prefix, id string, at time.Time) error {
	if id == "" {
		return errNoID
	}
	at = at.Truncate(time.Second)
	value, until := newNote(at), at.Add(MaxFamilyLife+2*maxSkew)
	var first *store.Fact
	return note(ctx, facts, factKey(prefix, id), func(there *store.Fact) ([]byte, time.Time) {
		if there == nil {
			return value, until
		}
		instant, err := instantOf(there.Value)
		covers := err == nil && instant >= at.Unix() && !there.Expires.Before(until)
		switch {
		case first == nil:
			first = there
		case covers && string(first.Value) != string(there.Value):
			// Somebody else's end, noted after this one was begun, ends all that this one does.
			return nil, time.Time{}
		}
		if err == nil && instant > at.Unix() {
			value = append(there.Value[:instantBytes:instantBytes], value[instantBytes:]...)
		}
		return value, latest(until, there.Expires)
	})
}

const noteTries = 16

// note writes an ending. next says what is to stand there, and until when, in the
// place of what does; a nil value leaves it.
func note(ctx context.Context, facts store.Facts, key string, next func(there *store.Fact) ([]byte, time.Time)) error {
	var there *store.Fact
	for range noteTries {
		value, until := next(there)
		if value == nil {
			return nil
		}
		var err error
		if there == nil {
			_, err = facts.PutIfAbsent(ctx, key, value, until)
		} else {
			_, err = facts.CompareAndSet(ctx, key, there.Version, value, until)
		}
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound):
			return fmt.Errorf("end tokens: %w", err)
		}
		found, err := facts.Get(ctx, key)
		switch {
		case errors.Is(err, store.ErrNotFound):
			there = nil // expired in between
		case err != nil:
			return fmt.Errorf("end tokens: %w", err)
		default:
			there = &found
		}
	}
	return errors.New("end tokens: others write the same ending all the time")
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

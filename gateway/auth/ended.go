package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// factEnded starts the keys of what was ended as a whole, not token by token.
const factEnded = "auth/ended/"

const (
	endedAuthorization = "authorization"
	endedSession       = "session"
)

// EndAuthorization ends every token of a person's authorization of an app, on
// every node: requests that start after it returns are refused. until is when the
// last of them would have expired; the note goes then.
func EndAuthorization(ctx context.Context, facts store.Facts, id string, until time.Time) error {
	return end(ctx, facts, endedAuthorization, id, until)
}

// EndSession does the same for every authorization of one sign-in.
func EndSession(ctx context.Context, facts store.Facts, session string, until time.Time) error {
	return end(ctx, facts, endedSession, session, until)
}

func end(ctx context.Context, facts store.Facts, what, id string, until time.Time) error {
	if id == "" {
		return fmt.Errorf("end %s: it has no id", what)
	}
	_, err := facts.PutIfAbsent(ctx, factKey(factEnded, what, id), []byte("1"), until.Add(maxSkew))
	if err != nil && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("end %s: %w", what, err)
	}
	return nil
}

// Ended says whether the authorization, or the session in which it was given, was
// ended. An empty id is none. An error is no answer.
func Ended(ctx context.Context, facts store.Facts, authorization, session string) (bool, error) {
	for _, x := range [...]struct{ what, id string }{{endedAuthorization, authorization}, {endedSession, session}} {
		if x.id == "" {
			continue
		}
		switch _, err := facts.Get(ctx, factKey(factEnded, x.what, x.id)); {
		case err == nil:
			return true, nil
		case !errors.Is(err, store.ErrNotFound):
			return false, fmt.Errorf("ended %ss: %w", x.what, err)
		}
	}
	return false, nil
}

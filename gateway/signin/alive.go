package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/handoff-health/handoff/fhir/store"
)

// currentKey leads from the id of a session to where it lies: + id. The value is
// the hash of the session's cookie, never the cookie.
const currentKey = "signin/current/"

// Alive says whether a session is in force, by its id: for those who have no
// browser to ask, such as an app that wants a new token. It is no use of the
// session: an app that asks by itself keeps nobody signed in.
func (s *Server) Alive(ctx context.Context, id string) (bool, error) {
	at, err := s.o.Facts.Get(ctx, currentKey+id)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("session: %w", err)
	}
	fact, err := s.o.Facts.Get(ctx, sessionKey+string(at.Value))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("session: %w", err)
	}
	var held session
	if err := json.Unmarshal(fact.Value, &held); err != nil {
		return false, fmt.Errorf("session: %w", err)
	}
	if held.Person.Session != id {
		return false, nil
	}
	return s.lives(ctx, &held)
}

const pointTries = 4

// point writes where a session lies now: under a new cookie after every sign-in.
func (s *Server) point(ctx context.Context, held *session, cookie string) error {
	key, value := currentKey+held.Person.Session, []byte(HashHandle(cookie))
	for range pointTries {
		_, err := s.o.Facts.PutIfAbsent(ctx, key, value, held.Ends)
		if err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrExists) {
			return fmt.Errorf("keep session: %w", err)
		}
		there, err := s.o.Facts.Get(ctx, key)
		if err == nil {
			_, err = s.o.Facts.CompareAndSet(ctx, key, there.Version, value, held.Ends)
		}
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound):
			return fmt.Errorf("keep session: %w", err)
		}
	}
	return errors.New("keep session: others write the same one all the time")
}

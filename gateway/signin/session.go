package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/guard"
)

// A session is what the store keeps of one, under the hash of its cookie.
type session struct {
	Person Person    `json:"person"`
	Used   time.Time `json:"used"`
	Ends   time.Time `json:"ends"`
}

const (
	sessionKey = "signin/session/" // + hash of the cookie
	// touchEvery is how often the use of a session is written down. A session can
	// end that much before its idle time has passed, never after.
	touchEvery = time.Minute
)

// succeed makes the session of a person who signed in, and ends the one that the
// browser had. Somebody who signs in again goes on under the same id, so that
// apps that are open stay open; anybody else's session ends with its tokens.
func (s *Server) succeed(ctx context.Context, r *http.Request, p *Person) (*session, error) {
	now := s.o.Now()
	p.Session, p.Began = HashHandle(NewHandle())[:32], now
	before, _, err := s.load(ctx, r)
	lives := false
	if err == nil && before != nil {
		lives, err = s.lives(ctx, before)
	}
	switch {
	case err != nil:
		return nil, err
	case before == nil:
	case before.Person.Subject == p.Subject && lives:
		p.Session = before.Person.Session
		if err := s.o.Facts.Delete(ctx, sessionKey+HashHandle(s.cookie(r, sessionCookie))); err != nil {
			return nil, fmt.Errorf("end session: %w", err)
		}
	default:
		if err := s.remove(ctx, r, before); err != nil {
			return nil, err
		}
	}
	return &session{Person: *p, Used: now, Ends: p.SignedIn.Add(s.o.Absolute)}, nil
}

// begin keeps a session and gives the browser its cookie, a new one: nothing that
// was known before the sign-in names what comes after it.
func (s *Server) begin(ctx context.Context, w http.ResponseWriter, held *session) error {
	raw, err := json.Marshal(held)
	if err != nil {
		return fmt.Errorf("keep session: %w", err)
	}
	cookie := NewHandle()
	if _, err := s.o.Facts.PutIfAbsent(ctx, sessionKey+HashHandle(cookie), raw, held.Ends); err != nil {
		return fmt.Errorf("keep session: %w", err)
	}
	if err := s.point(ctx, held, cookie); err != nil {
		return err
	}
	s.setCookie(w, sessionCookie, cookie)
	return nil
}

// remove ends a session and its tokens.
func (s *Server) remove(ctx context.Context, r *http.Request, held *session) error {
	// What was let in at the last moment of the session may be refreshed for as long.
	if err := s.o.EndTokens(ctx, held.Person.Session, held.Ends.Add(auth.MaxFamilyLife)); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	if err := s.o.Facts.Delete(ctx, sessionKey+HashHandle(s.cookie(r, sessionCookie))); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// load returns the session of the browser as it is stored, ended or not; nil if
// there is none.
func (s *Server) load(ctx context.Context, r *http.Request) (*session, *store.Fact, error) {
	cookie := s.cookie(r, sessionCookie)
	if cookie == "" {
		return nil, nil, nil
	}
	fact, err := s.o.Facts.Get(ctx, sessionKey+HashHandle(cookie))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("session: %w", err)
	}
	var held session
	if err := json.Unmarshal(fact.Value, &held); err != nil {
		return nil, nil, fmt.Errorf("session: %w", err)
	}
	return &held, &fact, nil
}

// Current implements [Sessions].
func (s *Server) Current(r *http.Request) (*Person, error) {
	held, fact, err := s.load(r.Context(), r)
	if err != nil || held == nil {
		return nil, err
	}
	if lives, err := s.lives(r.Context(), held); err != nil || !lives {
		return nil, err
	}
	now := s.o.Now()
	if now.Sub(held.Used) < touchEvery {
		return &held.Person, nil
	}
	held.Used = now
	raw, err := json.Marshal(held)
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	_, err = s.o.Facts.CompareAndSet(r.Context(), fact.Key, fact.Version, raw, held.Ends)
	switch {
	case errors.Is(err, store.ErrConflict):
		// Another request of the browser wrote it, or ended it.
		again, _, err := s.load(r.Context(), r)
		if err != nil || again == nil || !s.inForce(again) {
			return nil, err
		}
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("session: %w", err)
	}
	return &held.Person, nil
}

// lives says whether a session is in force and was not ended, by itself or with its
// person. Several can have one id, after sign-ins at the same time: who signs out ends
// them all.
func (s *Server) lives(ctx context.Context, held *session) (bool, error) {
	if !s.inForce(held) {
		return false, nil
	}
	ended, err := auth.SignInEnded(ctx, s.o.Facts, held.signIn())
	if err != nil {
		return false, fmt.Errorf("session: %w", err)
	}
	return !ended, nil
}

// signIn is what can be ended of a session.
func (held *session) signIn() auth.SignIn {
	p := &held.Person
	return auth.SignIn{Session: p.Session, Subject: p.Subject, Generation: p.Generation, Began: p.Began}
}

// inForce says whether a session counts now: its provider is still one, its time
// has not passed, and it was used, unless its provider's terminals are exempt.
func (s *Server) inForce(held *session) bool {
	p := s.providers[held.Person.Provider]
	now := s.o.Now()
	switch {
	case p == nil:
		return false
	case !now.Before(held.Ends) && !guard.Off(guard.SignInAbsolute):
		return false
	case !p.Exempt && now.Sub(held.Used) >= s.o.Idle && !guard.Off(guard.SignInIdle):
		return false
	}
	return true
}

// End implements [Sessions].
func (s *Server) End(w http.ResponseWriter, r *http.Request) (*Person, error) {
	ctx := context.WithoutCancel(r.Context())
	held, _, err := s.load(ctx, r)
	if err != nil {
		return nil, err
	}
	if held == nil {
		s.setCookie(w, sessionCookie, "")
		return nil, nil
	}
	if err := s.remove(ctx, r, held); err != nil {
		return nil, err
	}
	s.setCookie(w, sessionCookie, "")
	r = s.numbered(w, r)
	if err := s.record(ctx, r, happened{interaction: audit.Logout, person: &held.Person, status: http.StatusOK}); err != nil {
		return nil, err
	}
	return &held.Person, nil
}

// known returns the providers of the list that this server has, in its own order.
func (s *Server) known(ids []string) []*Provider {
	var out []*Provider
	for i := range s.o.Providers {
		if slices.Contains(ids, s.o.Providers[i].ID) {
			out = append(out, &s.o.Providers[i])
		}
	}
	return out
}

package launch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/signin"
)

// takeContext puts what an EHR launch holds into the flow, if the person who signed
// in may see it: to whom it was opened elsewhere opens nothing here. An encounter
// that this person may not see is left out, as one that never was.
func (s *Server) takeContext(r *http.Request, f *flow) error {
	c, err := s.use(r.Context(), f)
	if err != nil {
		return err
	}
	f.chosen.Launched, f.chosen.Context = true, c.Context
	if c.Patient != "" {
		seen, err := s.patient(r, f, c.Patient)
		if err != nil {
			return err
		}
		if seen == nil {
			return errContext
		}
		f.chosen.take(seen)
	}
	if c.Encounter != "" {
		seen, err := s.encounter(r, f, c.Encounter)
		if err != nil {
			return err
		}
		if seen != nil {
			f.chosen.Encounter, f.chosen.Visit = seen.Reference, seen.whole()
		}
	}
	return s.keep(r.Context(), f)
}

const useTries = 3

// use takes the launch for this request, and for no other. The request can take
// it again: after trouble, in another role, for another person who signed in.
func (s *Server) use(ctx context.Context, f *flow) (*registered, error) {
	key, me := contextKey+signin.HashHandle(f.request.Launch), signin.HashHandle(f.request.ID)
	for range useTries {
		fact, err := s.o.Facts.Get(ctx, key)
		if errors.Is(err, store.ErrNotFound) {
			return nil, errContext
		}
		if err != nil {
			return nil, err
		}
		c := &registered{}
		if err := json.Unmarshal(fact.Value, c); err != nil {
			return nil, fmt.Errorf("launch: %w", err)
		}
		if !s.usable(f, c, me) {
			return nil, errContext
		}
		switch ended, err := s.ended(ctx, c); {
		case err != nil:
			return nil, err
		case ended:
			return nil, errContext
		}
		if c.UsedBy == me {
			return c, nil
		}
		c.UsedBy = me
		raw, err := json.Marshal(c)
		if err != nil {
			return nil, fmt.Errorf("launch: %w", err)
		}
		_, err = s.o.Facts.CompareAndSet(ctx, key, fact.Version, raw, f.request.Created.Add(flowLife))
		if err == nil || !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound) {
			return c, err
		}
	}
	return nil, errContext
}

// ended says whether who registered a launch was ended since.
func (s *Server) ended(ctx context.Context, c *registered) (bool, error) {
	if c.Generation == "" || guard.Off(guard.TokenEnded) {
		return false, nil
	}
	now, err := auth.ReadGeneration(ctx, s.o.Facts, c.By, "")
	return now != c.Generation, err
}

// usable says whether a launch is for this request, its app and the person who
// signed in.
func (s *Server) usable(f *flow, c *registered, me string) bool {
	p := f.person
	who := c.Subject == "" || c.Subject == p.ID || c.Subject == p.Subject || p.FHIRUser != "" && c.Subject == p.FHIRUser
	switch {
	case c.UsedBy != "" && c.UsedBy != me && !guard.Off(guard.LaunchOnce),
		c.UsedBy == "" && !s.o.Now().Before(c.Expires),
		c.Client != f.app.ID && !guard.Off(guard.LaunchClient),
		!who && !guard.Off(guard.LaunchSubject):
		return false
	}
	return true
}

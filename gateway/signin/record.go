package signin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/handoff-health/handoff/gateway/audit"
)

// happened is what the audit trail is told. Neither passwords nor codes, tokens
// or cookies are part of it.
type happened struct {
	interaction string // audit.Login …
	person      *Person
	provider    *Provider
	claimed     string // the name that somebody gave who is not known to be that person
	reason      string // of a refusal; "" where it went well
	status      int
}

// record writes an event before the answer leaves. Its id is the request's.
func (s *Server) record(ctx context.Context, r *http.Request, h happened) error {
	about := url.Values{}
	e := &audit.Event{
		ID: requestID(r), At: s.o.Now(), Interaction: h.interaction, Operation: r.Method, Path: r.URL.Path,
		Status: h.status, Reason: h.reason, Source: s.o.Source(r),
	}
	if h.reason != "" {
		e.Outcome = audit.Minor
	}
	if h.provider != nil {
		e.Organization = h.provider.Organization
		about.Set("provider", h.provider.ID)
	}
	if h.claimed != "" {
		about.Set("claimed_user", h.claimed)
	}
	if p := h.person; p != nil {
		e.User, e.UserName, e.Organization = p.FHIRUser, p.Name, p.Organization
		if e.User == "" {
			e.User = p.ID
		}
		for _, role := range p.Roles {
			e.Roles = append(e.Roles, role.String())
		}
		about.Set("provider", p.Provider)
		about["amr"] = p.Methods
		about.Set("mfa", strconv.FormatBool(p.MFA))
		if p.ACR != "" {
			about.Set("acr", p.ACR)
		}
		if p.Session != "" {
			about.Set("sid", p.Session)
		}
	}
	e.Query = about.Encode()
	if err := s.o.Audit.Record(context.WithoutCancel(ctx), e); err != nil {
		return fmt.Errorf("record %s: %w", h.interaction, err)
	}
	return nil
}

type requestKey struct{}

// requestID is the id of the request as ServeHTTP, or who called us, gave it.
func requestID(r *http.Request) string {
	id, _ := r.Context().Value(requestKey{}).(string)
	return id
}

// numbered gives a request an id, and tells it to the browser.
func (s *Server) numbered(w http.ResponseWriter, r *http.Request) *http.Request {
	if requestID(r) != "" {
		return r
	}
	id := s.o.NewID()
	w.Header().Set("X-Request-Id", id)
	return r.WithContext(context.WithValue(r.Context(), requestKey{}, id))
}

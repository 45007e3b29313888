package oauth

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/smart"
)

const userinfoRealm = "userinfo"

// userinfo says who signed in, to the bearer of an access token with the scope
// openid (OpenID Connect Core 5.3).
func (s *Server) userinfo(w http.ResponseWriter, r *http.Request) {
	e := &audit.Event{ID: s.o.NewID(), At: s.o.Now(), Interaction: "userinfo", Operation: r.Method, Path: UserInfoPath, Source: s.o.Source(r), Status: http.StatusOK}
	said, challenge := s.whoIs(r, e)
	body, err := json.Marshal(said)
	if err != nil {
		e.Status = http.StatusInternalServerError
	}
	if e.Status != http.StatusOK {
		e.Outcome = audit.Minor
	}
	e.Duration = s.o.Now().Sub(e.At)
	if err := s.o.Recorder.Record(context.WithoutCancel(r.Context()), e); err != nil {
		e.Status, challenge = http.StatusInternalServerError, ""
	}
	noStore(w.Header())
	if challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	if e.Status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", "GET, POST")
	}
	if e.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	if e.Status != http.StatusOK {
		w.WriteHeader(e.Status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // the caller has gone if this fails
}

// whoIs finds the person of the token, and sets what the event says of it.
func (s *Server) whoIs(r *http.Request, e *audit.Event) (said map[string]any, challenge string) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		e.Status, e.Reason = http.StatusMethodNotAllowed, "method"
		return nil, ""
	}
	refused := func(err error) (map[string]any, string) {
		e.Reason = auth.AsRefusal(err).Reason
		e.Status, challenge = auth.Challenge(userinfoRealm, err)
		return nil, challenge
	}
	bearer, err := auth.BearerFromRequest(r)
	if err != nil {
		return refused(err)
	}
	ctx, err := s.o.Pin(r.Context())
	if err != nil {
		return refused(err)
	}
	p, err := s.o.Verifier.Verify(ctx, bearer)
	if err != nil {
		return refused(err)
	}
	e.Client, e.Organization, e.TokenID, e.Purposes = p.Client, p.Requester.Organization, p.TokenID, p.Purposes
	e.User, e.UserName = p.User.ID, p.User.Name
	if p.Requester.Reference != "" {
		e.User = p.Requester.Reference
	}
	f := (*family)(nil)
	if p.Authorization != "" {
		if f, err = s.keys.family(r.Context(), p.Authorization); err != nil {
			return refused(err)
		}
	}
	scope := strings.Join(p.ContextScopes, " ")
	if f == nil || !has(scope, smart.ScopeOpenID) {
		e.Status, e.Reason = http.StatusForbidden, "scope"
		return nil, auth.InsufficientScope(userinfoRealm)
	}
	e.User = personOf(&f.Authorization)
	said = s.profile(&f.Authorization, scope)
	said["sub"] = f.Authorization.Subject
	return said, ""
}

package oauth

import (
	"context"
	"errors"
	"net/http"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/auth"
)

// token answers a token request. The form is read and the client authenticated
// before the library is asked, which then finds the grant; the answer is in the
// audit trail before it leaves.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	c := &call{attempt: &auth.Attempt{At: s.o.Now(), Source: s.o.Source(r), Method: r.Method}}
	b := &buffer{}
	if err := s.readToken(r, c); err != nil {
		c.refusal = auth.AsRefusal(err)
	} else {
		s.engine.ServeHTTP(b, forLibrary(r, c, "grant_type", "client_id", "code", "redirect_uri", "code_verifier", "refresh_token", "scope"))
		if c.refusal == nil && b.status != http.StatusOK {
			c.refusal = b.refusal()
		}
	}
	c.attempt.Close(c.refusal, s.o.Now())
	// A caller that hangs up must not leave the trail without the attempt.
	if err := s.o.Auditor.TokenRequested(context.WithoutCancel(r.Context()), c.attempt); err != nil {
		c.refusal = &auth.Refusal{Status: http.StatusInternalServerError, Code: "server_error", Reason: "audit", Err: err}
	}
	if c.refusal != nil {
		auth.WriteRefusal(w, r, c.refusal)
		return
	}
	noStore(w.Header())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(b.body) // the caller has gone if this fails
}

// readToken reads the form and finds out which client sent it.
func (s *Server) readToken(r *http.Request, c *call) error {
	if r.Method != http.MethodPost {
		return &auth.Refusal{Status: http.StatusMethodNotAllowed, Code: "invalid_request", Description: "POST only", Reason: "method"}
	}
	var err error
	if c.form, err = auth.ReadForm(r); err != nil {
		return err
	}
	c.attempt.GrantType = c.form["grant_type"]
	wrong := func(code, description, reason string) error {
		return &auth.Refusal{Status: http.StatusBadRequest, Code: code, Description: description, Reason: reason}
	}
	switch c.form["grant_type"] {
	case auth.GrantAuthorizationCode, auth.GrantRefreshToken, auth.GrantClientCredentials:
	case "":
		return wrong("invalid_request", "grant_type is missing", "grant-type")
	default:
		return wrong("unsupported_grant_type", "grant_type must be authorization_code, refresh_token or client_credentials", "grant-type")
	}
	if c.form["udap"] != "" {
		return wrong("invalid_request", "UDAP is not supported here", "udap")
	}
	if err := s.nameFromToken(r, c); err != nil {
		return err
	}
	if c.client, err = s.names.Authenticate(r.Context(), r.Header, c.form, c.attempt); err != nil {
		return err
	}
	c.form["client_id"] = c.client.Client().ID // as proven
	return nil
}

// nameFromToken finds the client of a refresh token that comes without one:
// SMART's request has no client_id. A client that has a key or a secret must
// still use it.
func (s *Server) nameFromToken(r *http.Request, c *call) error {
	f := c.form
	if f["grant_type"] != auth.GrantRefreshToken || f["refresh_token"] == "" || f["client_id"] != "" || f["client_secret"] != "" ||
		f["client_assertion"] != "" || len(r.Header.Values("Authorization")) > 0 {
		return nil
	}
	t := &ticket{}
	switch _, err := s.keys.get(r.Context(), secretKey(refreshFacts, f["refresh_token"]), t); {
	case errors.Is(err, store.ErrNotFound):
		return invalidGrant("refresh-unknown", "the refresh token is not known, or over")
	case err != nil:
		return err
	}
	f["client_id"] = t.Client
	return nil
}

// invalidGrant refuses a code or a refresh token.
func invalidGrant(reason, description string) error {
	return &auth.Refusal{Status: http.StatusBadRequest, Code: "invalid_grant", Description: description, Reason: reason}
}

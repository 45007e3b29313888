package registration

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
)

// act does what is no change of the metadata: disable, enable, unlock, secret, keys.
func (s *Server) act(ctx context.Context, c *call) (reply, error) {
	do := map[string]func(context.Context, *call) (reply, error){
		"disable": s.disable(true), "enable": s.disable(false), "unlock": s.unlock, "secret": s.secret, "keys": s.keys,
	}[c.action]
	if do == nil {
		return reply{}, absent()
	}
	if c.r.Method != http.MethodPost {
		return reply{}, wrongMethod("POST")
	}
	c.about.Set("action", c.action)
	return do(ctx, c)
}

func (s *Server) disable(disabled bool) func(context.Context, *call) (reply, error) {
	return func(ctx context.Context, c *call) (reply, error) {
		client, _, err := s.find(ctx, c)
		if err != nil {
			return reply{}, err
		}
		a, err := readAction(c.body)
		if err != nil {
			return reply{}, err
		}
		c.about["changed"] = []string{"disabled"}
		c.about.Set("reason", a.reason)
		if !disabled && s.disabledThere(client.ID) {
			return reply{}, &auth.Refusal{Status: http.StatusForbidden, Code: "access_denied", Description: "the client is disabled in the gateway's configuration", Reason: "configuration"}
		}
		err = s.o.Store.SetDisabled(ctx, client.ID, State{Disabled: disabled, By: c.by(), Reason: a.reason})
		if errors.Is(err, ErrOperator) {
			return reply{}, &auth.Refusal{Status: http.StatusForbidden, Code: "access_denied", Description: "the operator has disabled the client", Reason: "operator"}
		}
		return reply{status: http.StatusNoContent}, err
	}
}

// disabledThere says whether the configuration disables the client.
func (s *Server) disabledThere(id string) bool {
	return slices.ContainsFunc(s.o.Config.Clients, func(cl config.Client) bool { return cl.ID == id && cl.Disabled })
}

func (s *Server) unlock(ctx context.Context, c *call) (reply, error) {
	client, _, err := s.find(ctx, c)
	if err != nil {
		return reply{}, err
	}
	a, err := readAction(c.body)
	if err != nil {
		return reply{}, err
	}
	c.says(a)
	n, err := s.o.Limits.Unlock(ctx, client.ID)
	return reply{http.StatusOK, "", map[string]int{"unlocked": n}}, err
}

// rotation finds the manager's own client, at the version that the request names if
// any, and reads what replaces its key or secret.
func (s *Server) rotation(ctx context.Context, c *call) (*Record, action, error) {
	rec, err := s.own(ctx, c)
	if err != nil {
		return nil, action{}, err
	}
	if err := c.matches(rec, false); err != nil {
		return nil, action{}, err
	}
	a, err := readAction(c.body)
	c.says(a)
	return rec, a, err
}

func (s *Server) secret(ctx context.Context, c *call) (reply, error) {
	rec, a, err := s.rotation(ctx, c)
	if err != nil {
		return reply{}, err
	}
	c.about["changed"] = []string{"client_secret"}
	secret, until, err := s.o.Store.RotateSecret(ctx, rec, a.overlap)
	if err != nil {
		return reply{}, changedMeanwhile(err)
	}
	return reply{http.StatusOK, etag(rec), map[string]any{
		"client_id": rec.ID, "client_secret": secret, "client_secret_expires_at": 0, "former_secret_until": until.Format(time.RFC3339),
	}}, nil
}

func (s *Server) keys(ctx context.Context, c *call) (reply, error) {
	rec, a, err := s.rotation(ctx, c)
	if err != nil {
		return reply{}, err
	}
	switch {
	case (len(a.jwks) > 0) == (a.uri != ""):
		return reply{}, refused(codeMetadata, "give either jwks or jwks_uri")
	case a.uri != "" && !strings.HasPrefix(a.uri, "https://") && !s.local():
		return reply{}, refused(codeMetadata, "jwks_uri must be an https URL")
	case rec.Metadata.AuthMethod != auth.MethodPrivateKeyJWT:
		return reply{}, refused(codeMetadata, "the client has no keys: its token_endpoint_auth_method is %s", rec.Metadata.AuthMethod)
	}
	c.about["changed"] = []string{"jwks", "jwks_uri"}
	until, err := s.o.Store.RotateKeys(ctx, rec, a.jwks, a.uri, a.overlap)
	if err != nil {
		return reply{}, changedMeanwhile(err)
	}
	answer := map[string]any{"client_id": rec.ID}
	if !until.IsZero() {
		answer["former_keys_until"] = until.Format(time.RFC3339)
	}
	return reply{http.StatusOK, etag(rec), answer}, nil
}

// An action is the body of a path that is no registration.
type action struct {
	reason  string
	overlap time.Duration
	jwks    json.RawMessage
	uri     string
}

// says notes why something is done, for the trail.
func (c *call) says(a action) {
	if a.reason != "" {
		c.about.Set("reason", a.reason)
	}
}

const maxOverlapSeconds = int64(MaxOverlap / time.Second)

// readAction reads it strictly: what is not known could have been meant.
func readAction(raw []byte) (a action, err error) {
	if len(raw) == 0 {
		return a, nil
	}
	doc, err := resource.ParseDocument(raw)
	if err != nil || doc.Root().Kind() != resource.Object {
		return a, invalid(codeRequest, "the body is not a JSON object whose names stand once")
	}
	for n := range doc.Root().Members() {
		switch n.Name() {
		case "reason":
			if a.reason, err = textOf(n); err == nil && len(a.reason) > maxName {
				err = invalid(codeRequest, "reason is longer than %d bytes", maxName)
			}
		case "overlap":
			var seconds int64
			if json.Unmarshal(n.Raw(), &seconds) != nil || seconds < 0 || seconds > maxOverlapSeconds {
				return a, invalid(codeRequest, "overlap is not a number of seconds, at most %d (30 days)", maxOverlapSeconds)
			}
			a.overlap = time.Duration(seconds) * time.Second
		case "jwks":
			if n.Kind() != resource.Object {
				return a, invalid(codeMetadata, "jwks is not an object")
			}
			a.jwks = slices.Clone(n.Raw())
		case "jwks_uri":
			a.uri, err = textOf(n)
		default:
			return a, invalid(codeRequest, "the member %.40q is not known here", n.Name())
		}
		if err != nil {
			return a, err
		}
	}
	return a, nil
}

package registration

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/guard"
)

// register makes a client (RFC 7591 3).
func (s *Server) register(ctx context.Context, c *call) (reply, error) {
	m, ignored, err := readMetadata(c.body)
	if err != nil {
		return reply{}, err
	}
	now := s.o.Now().UTC()
	rec := &Record{ID: "client-" + strings.ToLower(rand.Text()), Created: now, Updated: now, By: c.by(), Metadata: *m}
	secret, err := s.settle(c, rec)
	if err != nil {
		return reply{}, err
	}
	c.about.Set("client", rec.ID)
	c.note(nil, &rec.Metadata)
	if err := s.o.Store.create(ctx, rec); err != nil {
		return reply{}, err
	}
	return s.written(ctx, http.StatusCreated, rec, secret, ignored)
}

// written answers with what is now registered, and with its secret if it has a new
// one.
func (s *Server) written(ctx context.Context, status int, rec *Record, secret string, ignored []string) (reply, error) {
	client, _ := s.o.Store.client(rec)
	states, err := s.o.Store.States(ctx)
	if err != nil {
		return reply{}, err
	}
	client.Disabled = states[rec.ID].Disabled
	body, err := s.describe(ctx, &client, rec, true)
	if err != nil {
		return reply{}, err
	}
	body.withSecret(secret)
	body.warn(ignored)
	return reply{status, etag(rec), body}, nil
}

// settle fills in what the body leaves open, makes a secret where one is needed,
// and holds all of it to the rules.
func (s *Server) settle(c *call, rec *Record) (secret string, err error) {
	m := &rec.Metadata
	if err := m.normal(c.manager.Requester.Organization); err != nil {
		return "", err
	}
	if !c.manages(m.Organization) {
		return "", refused(codeMetadata, "organization is not one whose clients you manage")
	}
	if m.JWKSURI != "" && !strings.HasPrefix(m.JWKSURI, "https://") && !s.local() {
		return "", refused(codeMetadata, "jwks_uri must be an https URL")
	}
	if m.AuthMethod == auth.MethodSecretBasic || m.AuthMethod == auth.MethodSecretPost {
		if rec.SecretHash == "" {
			secret, rec.SecretHash = auth.NewSecret()
		}
	} else {
		rec.SecretHash = ""
		rec.Retiring = slices.DeleteFunc(rec.Retiring, func(r Replaced) bool { return r.SecretHash != "" })
	}
	if _, problems := s.o.Store.client(rec); len(problems) > 0 {
		return "", problemsError(problems)
	}
	return secret, nil
}

// local says whether the gateway itself is reached on this machine only, as a demo
// is: then its clients may be here too. Elsewhere nobody makes it ask its own ports.
func (s *Server) local() bool {
	u, err := url.Parse(s.o.Origin)
	return err == nil && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1")
}

// own returns a registration that the API made; a client of the configuration is
// changed there.
func (s *Server) own(ctx context.Context, c *call) (*Record, error) {
	_, rec, err := s.find(ctx, c)
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, &auth.Refusal{Status: http.StatusForbidden, Code: "access_denied", Description: "the client is in the gateway's configuration, and changed there; here it can be disabled and enabled", Reason: "configuration"}
	}
	return rec, nil
}

// matches asks If-Match, so that two managers do not overwrite each other.
func (c *call) matches(rec *Record, required bool) error {
	given := c.r.Header.Values("If-Match")
	switch {
	case guard.Off(guard.ClientManageVersion):
		return nil
	case len(given) == 0 && !required:
		return nil
	case len(given) == 0:
		return conflict(http.StatusPreconditionRequired, "send If-Match with the ETag of the registration that you read")
	case len(given) > 1 || given[0] != etag(rec):
		return conflict(http.StatusPreconditionFailed, "the registration is not as you read it; read it again")
	}
	return nil
}

func changedMeanwhile(err error) error {
	if errors.Is(err, ErrChanged) {
		return conflict(http.StatusPreconditionFailed, "the registration was changed meanwhile; read it again")
	}
	return err
}

// update replaces a registration (RFC 7592 2.2). Keys that it changes count no
// longer; to let them overlap there is the path keys.
func (s *Server) update(ctx context.Context, c *call) (reply, error) {
	rec, err := s.own(ctx, c)
	if err != nil {
		return reply{}, err
	}
	if err := c.matches(rec, true); err != nil {
		return reply{}, err
	}
	m, ignored, err := readMetadata(c.body)
	if err != nil {
		return reply{}, err
	}
	if id := clientIDOf(c.body); id != "" && id != rec.ID {
		return reply{}, refused(codeMetadata, "client_id is not that of the path")
	}
	before := rec.Metadata
	if m.Organization == "" {
		m.Organization = before.Organization
	}
	rec.Metadata = *m
	proof := rec.SecretHash
	otherKeys := compact(m.JWKS) != compact(before.JWKS) || m.JWKSURI != before.JWKSURI
	if otherKeys {
		rec.Retiring = slices.DeleteFunc(rec.Retiring, func(r Replaced) bool { return len(r.JWKS) > 0 })
	}
	secret, err := s.settle(c, rec)
	if err != nil {
		return reply{}, err
	}
	c.note(&before, &rec.Metadata)
	write := s.o.Store.replace
	if otherKeys || rec.SecretHash != proof {
		write = func(ctx context.Context, rec *Record) error { return s.o.Store.replaceProof(ctx, rec, 0) }
	}
	if err := write(ctx, rec); err != nil {
		return reply{}, changedMeanwhile(err)
	}
	return s.written(ctx, http.StatusOK, rec, secret, ignored)
}

// compact is JSON without its white space, as it is kept.
func compact(raw json.RawMessage) string {
	var out bytes.Buffer
	if json.Compact(&out, raw) != nil {
		return string(raw)
	}
	return out.String()
}

func clientIDOf(body []byte) string {
	doc, err := resource.ParseDocument(body)
	if err != nil {
		return ""
	}
	return doc.Root().Get("client_id").Text()
}

// remove ends a registration (RFC 7592 2.3).
func (s *Server) remove(ctx context.Context, c *call) (reply, error) {
	rec, err := s.own(ctx, c)
	if err != nil {
		return reply{}, err
	}
	if err := c.matches(rec, false); err != nil {
		return reply{}, err
	}
	c.note(&rec.Metadata, nil)
	return reply{status: http.StatusNoContent}, s.o.Store.delete(ctx, rec.ID)
}

// note says in the event which members changed, and how those that are no keys.
func (c *call) note(before, after *Metadata) {
	names := changed(orNone(before), orNone(after))
	c.about["changed"] = names
	was, is := members(before), members(after)
	for _, name := range names {
		if name == "jwks" {
			continue
		}
		c.about.Set("before."+name, cut(was[name]))
		c.about.Set("after."+name, cut(is[name]))
	}
}

func orNone(m *Metadata) *Metadata {
	if m == nil {
		return &Metadata{}
	}
	return m
}

func cut(s string) string {
	const most = 300
	if len(s) > most {
		return s[:most]
	}
	return s
}

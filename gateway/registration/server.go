package registration

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/smart"
)

// Path is where clients are registered; a client's own path is below it.
const Path = "/oauth/register"

// A Verifier says for whom a bearer token speaks.
type Verifier interface {
	Verify(ctx context.Context, bearer string) (*auth.Principal, error)
}

// A Limiter says whether a caller may ask again, and if not, when.
type Limiter interface {
	Request(p *auth.Principal) (wait time.Duration, ok bool)
	// Unlock lets a client that was locked out try again, and says how often it was locked.
	Unlock(ctx context.Context, client string) (int, error)
}

// Options are the parts of a Server. All are required unless said otherwise.
type Options struct {
	Origin   string // public origin, "https://gateway.example"
	Config   *config.Config
	Store    *Store
	Registry *auth.Registry
	Verifier Verifier
	Limits   Limiter
	Audit    audit.Recorder
	World    *World // what lint compares with; optional
	NewID    func() string
	Pin      func(context.Context) (context.Context, error) // optional: of a store with memory
	Source   func(*http.Request) string                     // address of a caller; optional, the peer's
	Now      func() time.Time                               // optional
	Logger   *slog.Logger                                   // optional
}

// A Server answers the registration API. It is safe for concurrent use.
type Server struct{ o Options }

// New checks the options.
func New(o Options) (*Server, error) {
	if o.Origin == "" || o.Config == nil || o.Store == nil || o.Registry == nil || o.Verifier == nil || o.Limits == nil || o.Audit == nil || o.NewID == nil {
		return nil, errors.New("registration: a part is missing")
	}
	if o.Pin == nil {
		o.Pin = func(ctx context.Context) (context.Context, error) { return ctx, nil }
	}
	if o.Source == nil {
		o.Source = func(r *http.Request) string { return r.RemoteAddr }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{o}, nil
}

// Handlers are what the server mounts, by path as gateway/rest has them.
func (s *Server) Handlers() map[string]http.Handler {
	return map[string]http.Handler{Path: s, Path + "/:client": s, Path + "/:client/:action": s}
}

// A call is one request on its way to its answer.
type call struct {
	r       *http.Request
	manager *auth.Principal
	client  string // of the path
	action  string
	body    []byte
	event   *audit.Event
	about   url.Values // what the event says of the change
}

// A reply is a finished answer. body nil: none.
type reply struct {
	status int
	etag   string
	body   any
}

// ServeHTTP answers one request: authenticate, do, record, and only then answer.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{r: r, about: url.Values{}, event: &audit.Event{
		ID: s.o.NewID(), At: s.o.Now(), Interaction: audit.ClientChange, Operation: r.Method, Path: r.URL.Path, Source: s.o.Source(r),
	}}
	answer, err := s.serve(r.Context(), c)
	refusal := auth.AsRefusal(err)
	e := c.event
	e.Status, e.Duration, e.Query = answer.status, s.o.Now().Sub(e.At), c.about.Encode()
	if refusal != nil {
		e.Status, e.Reason, e.Outcome = refusal.Status, refusal.Reason, audit.Minor
	}
	// The record must not depend on the caller's patience.
	if failed := s.o.Audit.Record(context.WithoutCancel(r.Context()), e); failed != nil {
		refusal = &auth.Refusal{Status: http.StatusInternalServerError, Code: codeServer, Reason: "audit", Err: failed}
	}
	h := w.Header()
	h.Set("X-Request-Id", e.ID)
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	if refusal != nil {
		s.refuse(w, refusal)
		return
	}
	if answer.etag != "" {
		h.Set("ETag", answer.etag)
	}
	s.write(w, answer.status, answer.body)
}

func (s *Server) refuse(w http.ResponseWriter, f *auth.Refusal) {
	h := w.Header()
	if f.Status >= http.StatusInternalServerError {
		s.o.Logger.Error("a registration request failed", "error", f.Err)
	}
	switch {
	case f.Code == codeFactor:
		h.Set("WWW-Authenticate", auth.InsufficientAuthentication("handoff"))
	case f.Status == http.StatusUnauthorized, f.Code == codeScope:
		_, challenge := auth.Challenge("handoff", f)
		h.Set("WWW-Authenticate", challenge)
	case f.Status == http.StatusMethodNotAllowed:
		h.Set("Allow", f.Reason)
	}
	if f.RetryAfter > 0 {
		h.Set("Retry-After", auth.RetryAfter(f.RetryAfter))
	}
	body := map[string]string{"error": f.Code}
	if f.Code == "" {
		body["error"] = "invalid_token"
	}
	if f.Description != "" {
		body["error_description"] = f.Description
	}
	s.write(w, f.Status, body)
}

func (s *Server) write(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	raw, err := json.Marshal(body)
	if err != nil { // texts, numbers and key sets that were read: cannot happen
		status, raw = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(raw) // the caller has gone if this fails
}

// serve is the order of things: who asks, may they, what, on which client.
func (s *Server) serve(ctx context.Context, c *call) (reply, error) {
	// The request is there before it is asked who sends it: else whoever sends slowly
	// would register by a token that ended meanwhile.
	unreadable := c.read()
	ctx, err := s.o.Pin(ctx)
	if err != nil {
		return reply{}, err
	}
	if err := s.authorize(ctx, c); err != nil {
		return reply{}, err
	}
	if unreadable != nil {
		return reply{}, unreadable
	}
	if c.client == "" {
		switch c.r.Method {
		case http.MethodPost:
			return s.register(ctx, c)
		case http.MethodGet, http.MethodHead:
			return s.list(ctx, c)
		}
		return reply{}, wrongMethod("GET, POST")
	}
	c.about.Set("client", c.client)
	if c.action != "" {
		return s.act(ctx, c)
	}
	switch c.r.Method {
	case http.MethodGet, http.MethodHead:
		return s.show(ctx, c)
	case http.MethodPut:
		return s.update(ctx, c)
	case http.MethodDelete:
		return s.remove(ctx, c)
	}
	return reply{}, wrongMethod("DELETE, GET, PUT")
}

func wrongMethod(allow string) error {
	return &auth.Refusal{Status: http.StatusMethodNotAllowed, Code: codeRequest, Description: "the method is not for this path", Reason: allow}
}

// authorize lets in who holds the scope, and of persons who signed in with more
// than one factor.
func (s *Server) authorize(ctx context.Context, c *call) error {
	bearer, err := auth.BearerFromRequest(c.r)
	if err != nil {
		return err
	}
	p, err := s.o.Verifier.Verify(ctx, bearer)
	if err != nil {
		return err
	}
	c.manager = p
	e := c.event
	e.Client, e.Organization, e.TokenID, e.Purposes = p.Client, p.Requester.Organization, p.TokenID, p.Purposes
	if e.User, e.UserName = p.Requester.Reference, p.User.Name; e.User == "" {
		e.User = p.User.ID
	}
	if !p.MayUse(smart.ScopeManageClients) && !guard.Off(guard.ClientManageScope) {
		return &auth.Refusal{Status: http.StatusForbidden, Code: codeScope, Description: "the token does not hold " + smart.ScopeManageClients, Reason: "scope"}
	}
	if p.User.ID != "" && !p.User.MFA && !guard.Off(guard.ClientManageMFA) {
		return &auth.Refusal{Status: http.StatusForbidden, Code: codeFactor, Description: "clients are registered by a person who signed in with more than one factor", Reason: "factor"}
	}
	if wait, ok := s.o.Limits.Request(p); !ok {
		return auth.TooMany(wait)
	}
	return nil
}

// read takes path and body apart.
func (c *call) read() error {
	rest := strings.TrimPrefix(c.r.URL.Path, Path)
	parts := strings.Split(strings.TrimPrefix(rest, "/"), "/")
	c.client = parts[0]
	if len(parts) > 1 {
		c.action = parts[1]
	}
	if len(parts) > 2 || strings.HasSuffix(rest, "/") {
		return absent()
	}
	if c.r.URL.RawQuery != "" {
		return refused(codeRequest, "there are no parameters in the URL here")
	}
	raw, err := io.ReadAll(io.LimitReader(c.r.Body, maxMetadata+1))
	if err != nil || len(raw) > maxMetadata {
		return refused(codeRequest, "the body cannot be read, or is larger than %d bytes", maxMetadata)
	}
	if len(raw) == 0 {
		return nil
	}
	if t, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || t != "application/json" || len(c.r.Header.Values("Content-Encoding")) > 0 {
		return refused(codeRequest, "Content-Type must be application/json, without a content coding")
	}
	c.body = raw
	return nil
}

// manages says whether the caller may see and change clients of an organisation:
// its own, and those that the operator named for it. Law enforcement never has more
// than its own.
func (c *call) manages(organization string) bool {
	p := c.manager
	if guard.Off(guard.ClientManageOwn) || organization == p.Requester.Organization {
		return true
	}
	return !p.Police && !p.Requester.Police && slices.Contains(p.Manages, organization)
}

// by names the caller in a record.
func (c *call) by() string {
	if c.event.User != "" {
		return c.event.User + " through " + c.manager.Client
	}
	return c.manager.Client
}

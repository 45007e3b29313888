package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/epoch"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/rest"
)

// An interaction is what is peculiar to one FHIR interaction: hooks that the
// pipeline calls between its own steps. A nil hook does nothing; no hook can
// leave a step out.
type interaction struct {
	open bool // needs no token
	// who asks more of the caller than the scopes that demands has. It sees the
	// token and the path alone.
	who func(*exchange) error
	// read takes parameters and body apart. It touches no data.
	read func(*Server, *exchange) error
	// locate finds whom the interaction is about; what it reads stays inside.
	locate func(context.Context, *Server, *exchange) error
	// gather collects what could be in the answer, from here and from connected
	// systems that policy lets be asked.
	gather func(context.Context, *Server, *exchange) error
	// act does the write of a write interaction, after its subject was judged; an
	// operation does its own there.
	act func(context.Context, *Server, *exchange) error
	// render makes the answer from what was kept.
	render func(*Server, *exchange) (*rest.Response, error)
}

// interactions has a row for each interaction of rest.Routes.
func interactions() map[string]interaction {
	return map[string]interaction{
		rest.Capabilities:   {open: true, render: renderCapabilities},
		rest.Discovery:      {open: true, render: renderDiscovery},
		rest.Preflight:      {open: true, render: renderPreflight},
		rest.Read:           {read: readShape, locate: locateInstance, gather: gatherInstance, render: renderInstance},
		rest.VRead:          {read: readVersion, locate: locateInstance, gather: gatherInstance, render: renderInstance},
		rest.SearchType:     {read: readQuery, locate: locatePerson, gather: gatherMatches, render: renderSearchset},
		rest.CrisisSummary:  {read: readCrisis, locate: locateCrisis, gather: gatherCrisis, render: renderCrisis},
		rest.WhatIf:         {read: readWhatIf, render: renderWhatIf},
		rest.ExplainAccess:  {who: mayExplain, read: readExplain, locate: locateExplain, gather: gatherExplain, act: actExplain, render: renderExplain},
		rest.Capture:        {read: readCapture, locate: locateSubject, gather: gatherSubject, act: actCapture, render: renderCaptured},
		rest.Definitions:    {read: readDefinitions, render: renderDefinitions},
		rest.Definition:     {read: readNothing, render: renderDefinition},
		rest.Revoke:         {read: readRevoke, locate: locateRevoked, act: actRevoke, render: renderRevoked},
		rest.DeclareBasis:   {read: readDeclaration, act: actDeclare, render: renderWritten},
		rest.AcceptBasis:    {who: mayDetermine, read: readAcceptance, locate: locateInstance, act: actAccept, render: renderWritten},
		rest.RejectBasis:    {who: mayDetermine, read: readReason(true), locate: locateInstance, act: actReject, render: renderWritten},
		rest.WithdrawBasis:  {who: mayDetermine, read: readReason(false), locate: locateInstance, act: actWithdraw, render: renderWritten},
		rest.CancelTask:     {read: readReason(false), locate: locateInstance, act: actCancel, render: renderWritten},
		rest.BreakGlass:     {who: mayBreakGlass, read: readBreakGlass, act: actBreakGlass, render: renderWritten},
		rest.CompleteReview: {who: mayDetermine, read: readReview, locate: locateInstance, act: actReview, render: renderWritten},
		rest.Create:         {read: readBody, locate: locateSubject, gather: gatherSubject, act: actCreate, render: renderWritten},
		rest.Update:         {read: readBody, locate: locateStanding, gather: gatherStanding, act: actUpdate, render: renderWritten},
	}
}

// handle takes one request through all steps. Whatever happens before, the
// event is recorded, and only then does the answer leave.
func (s *Server) handle(ctx context.Context, r *rest.Request) *rest.Response {
	x := s.begin(r)
	answer, err := s.guard(ctx, x)
	if err != nil {
		answer = s.refuse(x, err)
	}
	if failed := s.close(x, answer, err); failed != nil {
		s.o.Logger.Error("what was decided cannot be recorded; no answer was given", "request", x.event.ID, "error", failed)
		err = outcome.Internal(failed)
		answer = s.refuse(x, err)
		_ = s.close(x, answer, err) // of a refusal without resources
	}
	// The record must not depend on the caller's patience.
	if err := s.o.Audit.Record(context.WithoutCancel(ctx), x.event); err != nil {
		s.o.Logger.Error("the audit record could not be written; no answer was given", "request", x.event.ID, "error", err)
		return s.refuse(x, outcome.Internal(err))
	}
	return answer
}

// guard turns a panic into an error, so that a fault in a step ends in a
// refusal and not in half an answer.
func (s *Server) guard(ctx context.Context, x *exchange) (answer *rest.Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.o.Logger.Error("a step panicked", "request", x.event.ID, "panic", p, "stack", string(debug.Stack()))
			answer, err = nil, outcome.Internal(fmt.Errorf("panic: %v", p))
		}
	}()
	return s.steps(ctx, x)
}

// steps is the order of things. It is the only caller of every step.
func (s *Server) steps(ctx context.Context, x *exchange) (*rest.Response, error) {
	if x.req.Fault != nil {
		return nil, x.req.Fault
	}
	hooks, known := s.interactions[x.req.Interaction]
	if known && hooks.open {
		return hooks.render(s, x)
	}
	// Who shows no token costs the store nothing.
	bearer, err := "", error(nil)
	if inside(ctx) == nil {
		bearer, err = auth.BearerFromRequest(x.req.HTTP)
	}
	if err != nil {
		return nil, unauthenticated(err)
	}
	if ctx, err = s.enter(ctx, x, bearer); err != nil {
		return nil, err
	}
	if err := s.limited(x); err != nil {
		return nil, err
	}
	if !known {
		return nil, noRoute(x.req)
	}
	if err := s.may(x, hooks); err != nil {
		return nil, err
	}
	if err := x.req.Acceptable(); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := hooks.read(s, x); err != nil {
		return nil, err
	}
	if time.Since(began) > slowly {
		if ctx, err = s.enter(ctx, x, bearer); err == nil {
			err = s.may(x, hooks)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, step := range []func(context.Context, *Server, *exchange) error{
		launch, hooks.locate, attributes, hooks.gather, judge, still(hooks, bearer), hooks.act,
	} {
		if step == nil {
			continue
		}
		if err := step(ctx, s, x); err != nil {
			return nil, err
		}
	}
	answer, err := hooks.render(s, x)
	if err != nil {
		return nil, err
	}
	// What goes out under a broken glass is on record before it goes.
	if err := s.document(ctx, x); err != nil {
		return nil, err
	}
	return answer, nil
}

// slowly is how long a request may take to be read. One that took longer begins when it
// is there: else whoever sends slowly would ask and write by a token, and under Consents,
// that ended meanwhile.
const slowly = 100 * time.Millisecond

// enter begins a request: as of which moment it is answered, and for whom.
func (s *Server) enter(ctx context.Context, x *exchange, bearer string) (context.Context, error) {
	ctx, err := s.pin(ctx)
	if err != nil {
		return ctx, err
	}
	if p, ok := s.o.Store.(pinner); ok {
		x.event.ConsentEpoch = p.Pinned(ctx)
	}
	return ctx, s.authenticate(ctx, x, bearer)
}

// may asks what the token and the path alone say.
func (s *Server) may(x *exchange, hooks interaction) error {
	if err := s.allow(x); err != nil || hooks.who == nil {
		return err
	}
	return hooks.who(x)
}

// still asks the store once more, before anything is written, whether the token is
// alive: judging may have taken its time. What ends between this and the write itself
// ends too late for it (ADR 0018).
func still(hooks interaction, bearer string) func(context.Context, *Server, *exchange) error {
	if hooks.act == nil {
		return nil
	}
	return func(ctx context.Context, s *Server, _ *exchange) error {
		if inside(ctx) != nil {
			return nil
		}
		if _, err := s.o.Verifier.Verify(epoch.Unpinned(ctx), bearer); err != nil {
			return unauthenticated(err)
		}
		return nil
	}
}

// authenticate turns the bearer token into a principal.
func (s *Server) authenticate(ctx context.Context, x *exchange, bearer string) error {
	p, err := inside(ctx), error(nil)
	if p == nil {
		p, err = s.o.Verifier.Verify(ctx, bearer)
	}
	if err != nil {
		return unauthenticated(err)
	}
	x.principal = p
	x.event.Client, x.event.TokenID = p.Client, p.TokenID
	if x.event.User, x.event.UserName = p.Requester.Reference, p.User.Name; x.event.User == "" {
		x.event.User = p.User.ID
	}
	x.event.Organization = p.Requester.Organization
	x.event.Purposes, x.event.Roles = p.Purposes, nil
	for _, role := range p.Requester.Roles {
		x.event.Roles = append(x.event.Roles, role.String())
	}
	return nil
}

// unauthenticated gives the refusal its status; an error that is no refusal is
// this server's own trouble and lets nobody in.
func unauthenticated(err error) error {
	switch status, _ := auth.Challenge("", err); status {
	case http.StatusUnauthorized:
		return outcome.Unauthorized(err)
	case http.StatusBadRequest:
		return outcome.BadRequest(outcome.CodeSecurity, "send one access token, in one Authorization header").Because(err)
	}
	return outcome.Unavailable(err)
}

// noRoute answers what no route fits, from the path alone.
func noRoute(r *rest.Request) error {
	typ, _, _ := strings.Cut(strings.TrimPrefix(r.Path, "/"), "/")
	if r.Path == "" || r.Path == "/" {
		return outcome.MethodNotAllowed("there is no interaction on the whole system: neither search nor history, batch or transaction")
	}
	if search.KnownType(typ) && r.HTTP.Method != http.MethodGet && r.HTTP.Method != http.MethodHead {
		return outcome.MethodNotAllowed("%s is not supported here", r.HTTP.Method)
	}
	return outcome.New(http.StatusNotFound, outcome.CodeNotSupported, "there is no such interaction")
}

// refuse renders an error. What the caller is told never comes from the data.
func (s *Server) refuse(x *exchange, err error) *rest.Response {
	status, body := outcome.Render(ofStore(err))
	h := http.Header{}
	switch status {
	case http.StatusUnauthorized:
		_, challenge := auth.Challenge(realm, err)
		h.Set("WWW-Authenticate", challenge)
	case http.StatusForbidden:
		if challenge := challengeOf(err); challenge != "" {
			h.Set("WWW-Authenticate", challenge)
		}
	case http.StatusMethodNotAllowed:
		h.Set("Allow", allowed(x.req))
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		h.Set("Retry-After", comeAgain(err))
	}
	h.Set("X-Request-Id", x.event.ID)
	if status >= http.StatusInternalServerError {
		s.o.Logger.Error("request failed", "request", x.event.ID, "status", status, "error", err)
	}
	return &rest.Response{Status: status, Header: h, Body: body}
}

// ofStore gives a store's own trouble the status that tells a caller what to do:
// come again, send less, or ask again from the first page.
func ofStore(err error) error {
	var known *outcome.Error
	switch {
	case errors.As(err, &known):
	case errors.Is(err, store.ErrLocked), errors.Is(err, store.ErrFull), errors.Is(err, store.ErrAway), errors.Is(err, store.ErrOlder):
		return outcome.Unavailable(err)
	case errors.Is(err, store.ErrTooLarge):
		return outcome.TooLarge("the store has no room for all that this is found by").Because(err)
	case errors.Is(err, store.ErrCursor):
		return outcome.BadRequest(outcome.CodeValue, "%s is no longer good; start the search again", cursorParam).Because(err)
	}
	return err
}

// realm names the protected space in challenges (RFC 9110 11.5).
const realm = "handoff"

// allowed lists the methods of the routes whose pattern has the path's shape; a
// preflight is answered everywhere.
func allowed(r *rest.Request) string {
	path := strings.Trim(r.Path, "/")
	methods := []string{http.MethodOptions}
	for _, route := range rest.Routes() {
		if path == "" || strings.Count(route.Pattern, "/") != strings.Count(path, "/")+1 || route.Open || slices.Contains(methods, route.Method) {
			continue
		}
		methods = append(methods, route.Method)
		if route.Method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	return strings.Join(methods, ", ")
}

// close completes the event from the answer. An error means that the decisions
// could not be put into it.
func (s *Server) close(x *exchange, answer *rest.Response, err error) error {
	if err := s.account(x, err == nil); err != nil {
		x.kept, x.denied, x.event.Resources, x.event.Facts = nil, nil, nil, nil
		return err
	}
	e := x.event
	e.Duration = s.o.Now().Sub(e.At)
	if e.Status = answer.Status; x.req.HTTP.Method != http.MethodHead {
		e.BytesOut = len(answer.Body)
	}
	if answer.Header == nil {
		answer.Header = http.Header{}
	}
	answer.Header.Set("X-Request-Id", e.ID)
	switch {
	case err == nil:
		e.Outcome = audit.Success
	case answer.Status >= http.StatusInternalServerError:
		e.Outcome = audit.Serious
	default:
		e.Outcome = audit.Minor
	}
	if err != nil {
		e.Reason = reasonOf(err)
	}
	return nil
}

// reasonOf is a stable code of a refusal; the text for people stays in the log.
func reasonOf(err error) string {
	var refusal *auth.Refusal
	if errors.As(err, &refusal) {
		return "token/" + refusal.Reason
	}
	return string(outcome.As(err).Code)
}
